/** A process of the benchmark: a web server whose events say when they were sent. */
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { answer } from './child.ts'

const EVERY_MS = 10

const answers = {
  /** Sends an event every 10 ms to whoever asks. Returns the port. */
  async listen(): Promise<number> {
    const server = http.createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      let next = 0
      const timer = setInterval(() => response.write(`data: ${next++} ${process.hrtime.bigint()}\n\n`), EVERY_MS)
      response.once('close', () => clearInterval(timer))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },
}
export type EventServerAnswers = typeof answers

answer(answers)
