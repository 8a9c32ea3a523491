// Apps of this process, sold without a port of their own: each test makes the same calls of each kind of app.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, type TestContext, test } from 'node:test'
import express from 'express'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { PaidSession } from '../../../src/ports/service.ts'
import { type HttpAnswer, type HttpCall, type HttpTarget, httpExchange, httpService } from '../../../src/services/http/index.ts'
import { httpTwin } from './twin.ts'

function honoApp(): HttpTarget {
  const app = new Hono()
  app.get('/hello', (c) => c.json({ host: c.req.header('x-forwarded-host'), name: c.req.query('name') }, 200, { 'x-app': 'yes' }))
  app.post('/upper', async (c) => c.text((await c.req.text()).toUpperCase()))
  app.get('/events', (c) =>
    streamSSE(c, async (stream) => {
      for (const data of ['one', 'two']) await stream.writeSSE({ data })
    }),
  )
  app.get('/boom', () => {
    throw new Error('boom')
  })
  app.onError((_, c) => c.text('failed', 500))
  return { fetch: (request) => app.fetch(request) }
}

function expressApp(): HttpTarget {
  const app = express()
  app.get('/hello', (request, response) => {
    response.set('x-app', 'yes').json({ host: request.get('x-forwarded-host'), name: request.query.name })
  })
  app.post('/upper', express.text({ type: '*/*' }), (request, response) => {
    response.send(String(request.body).toUpperCase())
  })
  app.get('/events', (_, response) => {
    response.set('content-type', 'text/event-stream')
    response.write('data: one\n\n')
    response.end('data: two\n\n')
  })
  app.get('/boom', () => {
    throw new Error('boom')
  })
  app.use((_: unknown, __: express.Request, response: express.Response, ___: express.NextFunction) => {
    response.status(500).end()
  })
  return { app }
}

const call = (method: string, path: string, body?: string): HttpCall => ({
  method, path, headers: [['host', 'web.tally'], ['content-type', 'text/plain']], upgrade: false,
  body: body === undefined ? undefined : BigInt(body.length),
  ...(body !== undefined && { send: pieces(body) }),
}) // biome-ignore format: a record

async function* pieces(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

async function text({ bytes }: HttpAnswer): Promise<string> {
  let all = ''
  for await (const piece of bytes) all += Buffer.from(piece).toString()
  return all
}

for (const [name, app] of [
  ['hono', honoApp],
  ['express', expressApp],
] as const) {
  describe(`an app of ${name}`, () => {
    async function session(t: TestContext): Promise<PaidSession> {
      const service = httpService({ ...app(), timeoutMs: 5_000 })
      t.after(() => service.close())
      return await httpTwin(service)
    }

    test('answers with status, headers and body, and knows the host that was asked for', async (t) => {
      const answer = await httpExchange(await session(t), call('GET', '/hello?name=you'))
      assert.deepEqual([answer.status, answer.headers.find(([key]) => key === 'x-app')?.[1]], [200, 'yes'])
      assert.deepEqual(JSON.parse(await text(answer)), { host: 'web.tally', name: 'you' })
    })

    test('gets the body of a request, and may be asked again', async (t) => {
      const paid = await session(t)
      for (const word of ['one', 'two'])
        assert.equal(await text(await httpExchange(paid, call('POST', '/upper', word))), word.toUpperCase())
    })

    test('streams events', async (t) => {
      assert.equal(await text(await httpExchange(await session(t), call('GET', '/events'))), 'data: one\n\ndata: two\n\n')
    })

    test('says itself that it failed', async (t) => {
      const answer = await httpExchange(await session(t), call('GET', '/boom'))
      assert.equal(answer.status, 500)
      await text(answer)
    })

    test('answers HEAD without a body', async (t) => {
      const answer = await httpExchange(await session(t), call('HEAD', '/hello'))
      assert.deepEqual([answer.status, await text(answer)], [200, ''])
    })
  })
}

test('a handler that throws is a failure of 502, one that never answers of 504, a websocket to it of 501', async (t) => {
  const fail = async (fetch: () => Promise<Response>, one: HttpCall): Promise<unknown> => {
    const service = httpService({ fetch, timeoutMs: 50 })
    t.after(() => service.close())
    return await httpExchange(await httpTwin(service), one).then(() => assert.fail('it answered'), (error) => [error.code, error.fields.status]) // biome-ignore format: one thought
  }
  assert.deepEqual(await fail(async () => await Promise.reject(new Error('no')), call('GET', '/')), ['SERVICE_FAILED', 502])
  assert.deepEqual(await fail(() => new Promise(() => undefined), call('GET', '/')), ['SERVICE_FAILED', 504])
  assert.deepEqual(await fail(async () => new Response(), { ...call('GET', '/'), upgrade: true }), ['SERVICE_FAILED', 501])
})

test('a consumer that leaves aborts the request that the handler has', async (t) => {
  const asked = Promise.withResolvers<Request>()
  const service = httpService({
    fetch: (request) => {
      asked.resolve(request)
      return new Promise(() => undefined)
    },
  })
  t.after(() => service.close())
  const leave = new AbortController()
  const waiting = httpExchange(await httpTwin(service), { ...call('GET', '/'), signal: leave.signal })
  const { signal } = await asked.promise
  const aborted = once(signal, 'abort')
  leave.abort()
  await aborted
  await assert.rejects(waiting, { code: 'ABORTED' })
})
