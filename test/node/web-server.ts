// A web server with one path for each thing that a proxy must pass on.
import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export interface WebServer {
  readonly url: string
  /** events that were made so far by /events, which waits for `nextEvent` between them */
  readonly events: () => number
  readonly nextEvent: () => void
  /** says `events` or `endless` when the client of that path has gone */
  readonly gone: EventEmitter
  close(): Promise<void>
}

export async function webServer(): Promise<WebServer> {
  const gone = new EventEmitter()
  const next = new EventEmitter()
  let events = 0
  const paths: Record<string, (request: http.IncomingMessage, response: http.ServerResponse) => void | Promise<void>> = {
    '/hello': (request, response) => {
      response.setHeader('x-server', 'web').setHeader('tallystick-error', 'forged')
      response.end(JSON.stringify({ url: request.url, ...request.headers }))
    },
    '/small': (_, response) => void response.end('small'),
    '/health': (_, response) => void response.end('well'),
    '/v1/x': (request, response) => void request.resume().on('end', () => response.end('done')),
    '/fail': (_, response) => void response.writeHead(500).end('failed'),
    '/echo': (request, response) => void request.pipe(response),
    '/silent': () => undefined,
    '/broken': (_, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('begun')
      setImmediate(() => response.destroy())
    },
    '/events': async (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.once('close', () => gone.emit('events') && next.emit('next'))
      events = 0
      while (!response.destroyed) {
        events += 1
        response.write(`data: ${events}\n\n`)
        await once(next, 'next')
      }
    },
    '/endless': (_, response) => {
      response.write('begun')
      response.once('close', () => gone.emit('endless'))
    },
    '/zeros': async (_, response) => {
      const zeros = Buffer.alloc(65_536)
      response.once('close', () => response.emit('drain'))
      while (!response.destroyed) if (!response.write(zeros)) await once(response, 'drain')
    },
    '/chat': async (request, response) => {
      let text = ''
      for await (const piece of request) text += piece
      const [kind, count] = text.split(' ')
      const usage = JSON.stringify({ usage: { total_tokens: Number(count) } })
      if (kind === 'json') response.setHeader('content-type', 'application/json').end(usage)
      else if (kind === 'events')
        response.setHeader('content-type', 'text/event-stream').end(`data: {"a":1}\n\ndata: ${usage}\n\ndata: [DONE]\n\n`)
      else response.end('nothing to count')
    },
  }
  const server = http.createServer((request, response) => {
    const path = new URL(request.url ?? '', 'http://x').pathname
    const answer = paths[path]
    if (answer === undefined) response.writeHead(404).end()
    else void answer(request, response)
  })
  server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n')
    socket.on('data', (bytes: Buffer) => socket.write(bytes.toString().toUpperCase()))
    socket.on('end', () => socket.end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    events: () => events,
    nextEvent: () => void next.emit('next'),
    gone,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
