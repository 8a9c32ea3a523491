import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { Libp2p } from '@libp2p/interface'
import { type RawStream, rawStream } from '../../../protocols/framing/raw-stream.ts'
import { libp2pKey } from '../../../protocols/peer-identity.ts'
import { NO_HASH } from '../../../protocols/relay/codec.ts'
import { MAX_ASK_BYTES, RELAY_PROTOCOL } from '../../../protocols/relay/protocol.ts'
import { type RelayHandler, type RelayService, type RelayServiceInit, relayService } from '../../../protocols/relay/service.ts'
import type { Amount } from '../../../src/core/amount.ts'
import { TallyError } from '../../../src/core/errors.ts'
import type { Address } from '../../../src/core/ids.ts'
import { addressOf, testNode } from '../../support/libp2p.ts'
import { PAYEE_KEY } from '../session/nodes.ts'

const ASK = { token: `0x${'a'.repeat(40)}` as Address, gas: 1, bytes: 2 }
const QUOTE = { fee: 3n as Amount, validS: 60, id: new Uint8Array(16) }

function handler(over: Partial<RelayHandler> = {}): RelayHandler {
  return {
    quote: async () => QUOTE,
    submit: async () => ({ state: 'taken', hash: NO_HASH }),
    status: async () => ({ state: 'sent', hash: NO_HASH }),
    ...over,
  }
}

async function pair(t: TestContext, init: RelayServiceInit) {
  const server = await testNode<{ relay: RelayService }>({
    privateKey: libp2pKey(PAYEE_KEY),
    services: { relay: relayService(init) },
  })
  const client = await testNode<{ relay: RelayService }>({ listen: false, services: { relay: relayService() } })
  t.after(async () => {
    await client.stop()
    await server.stop()
  })
  const rogue = async (): Promise<RawStream> => {
    const connection = await (client as Libp2p).dial(addressOf(server))
    return rawStream(await connection.newStream(RELAY_PROTOCOL), { maxFrameBytes: MAX_ASK_BYTES })
  }
  return { quote: () => client.services.relay.quote(addressOf(server), ASK), rogue, server, client }
}

describe('asking a relay', () => {
  test('gives its answer, or what it refuses with; nothing else of a failure is told', async (t) => {
    let fails: Error | undefined
    const { quote } = await pair(t, {
      handler: handler({ quote: async () => (fails === undefined ? QUOTE : Promise.reject(fails)) }),
    })
    assert.deepEqual(await quote(), QUOTE)
    fails = new TallyError('RELAY_CALL_REFUSED', { message: 'secret words' })
    await assert.rejects(quote(), { code: 'RELAY_CALL_REFUSED', message: 'this is no call that the relay hands in' })
    fails = new Error('secret words')
    await assert.rejects(quote(), { code: 'INTERNAL' })
  })

  test('a node that is none is UNSUPPORTED: nothing was said', async (t) => {
    const { quote } = await pair(t, {})
    await assert.rejects(quote(), { code: 'UNSUPPORTED' })
  })

  test('one that does not answer in time is STREAM_CUT: it may have understood', async (t) => {
    const { quote } = await pair(t, { handler: handler({ quote: () => new Promise(() => {}) }), timeoutMs: 50 })
    await assert.rejects(quote(), { code: 'STREAM_CUT' })
  })

  test('with bytes that are no ask, or too many, is reset', async (t) => {
    const { rogue } = await pair(t, { handler: handler({ quote: () => assert.fail('must not be asked') }) })
    for (const bytes of [Uint8Array.of(9), Uint8Array.of(1, 2)]) {
      const stream = await rogue()
      await stream.writeFrame(bytes)
      await assert.rejects(stream.readFrame(), { code: 'STREAM_CUT' })
    }
  })

  test('a flood is cut off: a peer has 20 asks in a burst, and 4 at once', async (t) => {
    const { quote } = await pair(t, { handler: handler(), nowMs: () => 0 })
    for (let i = 0; i < 20; i++) await quote()
    await assert.rejects(quote(), { code: 'STREAM_CUT' })
    const fourth = Promise.withResolvers<void>()
    let asked = 0
    const never = (): Promise<never> => {
      if (++asked === 4) fourth.resolve()
      return new Promise(() => {})
    }
    const slow = await pair(t, { handler: handler({ quote: never }), nowMs: () => 0 })
    const open = Array.from({ length: 4 }, () => slow.quote())
    for (const one of open) one.catch(() => {})
    await fourth.promise
    await assert.rejects(slow.quote(), { code: 'STREAM_CUT' })
    assert.equal(asked, 4)
  })
})
