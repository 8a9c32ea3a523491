import assert from 'node:assert/strict'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { RemoteControl } from '../../src/api/client.ts'
import type { Control } from '../../src/api/control.ts'
import { startApi } from '../../src/api/server.ts'
import { ROUTES } from '../../src/api/wire.ts'

async function socketPath(t: TestContext): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'tally-api-')))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 's')
}
const never = (): Promise<never> => new Promise(() => undefined)

test('a server that is closed does not wait for a peer that is silent: its caller is told SHUTTING_DOWN', async (t) => {
  const path = await socketPath(t)
  const begun = Promise.withResolvers<AbortSignal | undefined>()
  const mute = {
    carryOut: (_, { signal } = {}) => {
      begun.resolve(signal)
      return never()
    },
  } satisfies Partial<Control>
  const api = await startApi(path, mute as unknown as Control, { graceMs: 0 })
  const call = new RemoteControl(path).carryOut({ kind: 'deposit', amount: '1' })
  const told = assert.rejects(call, { code: 'SHUTTING_DOWN' })
  const signal = await begun.promise
  assert.equal(signal?.aborted, false)
  await api.close()
  assert.equal(signal?.aborted, true)
  await told
})

test('a server that is closed does not wait for a caller that says nothing', async (t) => {
  const path = await socketPath(t)
  const api = await startApi(path, {} as Control, { graceMs: 0 })
  const socket = connect({ path })
    .resume()
    .on('error', () => undefined)
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await new Promise<void>((resolve) =>
    socket.write(`POST ${ROUTES.plan.path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n`, () => resolve()),
  )
  await api.close()
  await gone
})

test('a server that is closed answers what has begun', async (t) => {
  const path = await socketPath(t)
  const begun = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<never[]>()
  const slow = {
    channels: () => {
      begun.resolve()
      return answer.promise
    },
  } satisfies Partial<Control>
  const api = await startApi(path, slow as unknown as Control)
  const call = new RemoteControl(path).channels()
  await begun.promise
  const closed = api.close()
  answer.resolve([])
  assert.deepEqual(await call, [])
  await closed
})
