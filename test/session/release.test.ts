import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Closing, signClosing } from '../../src/core/closing.ts'
import { TallyError } from '../../src/core/errors.ts'
import { type ChannelId, type ChannelParties, channelId, type Seconds } from '../../src/core/ids.ts'
import type { FromPayer, Released } from '../../src/core/session/messages.ts'
import type { PayerLink } from '../../src/ports/link.ts'
import type { Self } from '../../src/session/components.ts'
import { type Ending, Releases } from '../../src/session/releases.ts'
import { A, DOMAIN, HandClock, START_S, selfOf, TOKEN } from './market.ts'
import { refused, ScriptedProvider } from './scripted-provider.ts'

const payer = selfOf(0xa3)
const payee = selfOf(0xb3)
const stranger = selfOf(0xb4)
const PARTIES: ChannelParties = { owner: payer.address, signer: payer.address, target: payee.address, token: TOKEN }
const ENDING: Ending = { id: channelId(PARTIES), parties: PARTIES, amount: A(5_000), epoch: 3 }
const RIGHT: Closing = { channel: ENDING.id, amount: A(5_000), deadline: (START_S + 600) as Seconds, epoch: 3 }

/** What a peer answers: signed by it, unless somebody else did. */
const released = (of: Partial<Closing> = {}, by: Self = payee): Released => {
  const closing = { ...RIGHT, ...of }
  return { type: 'released', ...closing, signature: signClosing(DOMAIN, closing, by.sign) }
}

function linkTo(peer: Self): PayerLink & { readonly said: FromPayer[] } {
  const said: FromPayer[] = []
  return {
    address: peer.address,
    publicKey: peer.publicKey,
    said,
    send: (message) => void said.push(message),
    async *[Symbol.asyncIterator]() {},
    close: async () => undefined,
    abort: () => undefined,
  }
}

function desk(answerMs?: number) {
  const releases = new Releases({ domain: DOMAIN, clock: new HandClock(), ...(answerMs === undefined ? {} : { answerMs }) })
  const link = linkTo(payee)
  return { releases, link, asking: (signal?: AbortSignal) => releases.ask(link, ENDING, signal) }
}

describe('the release of a channel', () => {
  test('is asked for at exactly the amount and epoch that are known, and answered with exactly these', async () => {
    const { releases, link, asking } = desk()
    const asked = asking()
    assert.deepEqual(link.said, [{ type: 'release', owner: payer.address, token: TOKEN, amount: A(5_000), epoch: 3 }])
    releases.onReleased(link, released())
    assert.deepEqual(await asked, released())
  })

  const wrong: Record<string, Released> = {
    'a higher amount': released({ amount: A(5_001) }),
    'a lower amount': released({ amount: A(4_999) }),
    'another epoch': released({ epoch: 4 }),
    'a deadline in the past': released({ deadline: (START_S - 1) as Seconds }),
    'a deadline that is now': released({ deadline: START_S as Seconds }),
    'the signature of somebody else': released({}, stranger),
    'our own signature': released({}, payer),
    'a signature on a higher amount': { ...released({ amount: A(5_001) }), amount: A(5_000) },
    'a signature on another epoch': { ...released({ epoch: 2 }), epoch: 3 },
    'a signature on another deadline': { ...released(), deadline: (START_S + 601) as Seconds },
    'a signature for another channel': { ...released({ channel: `0x${'ee'.repeat(32)}` as ChannelId }), channel: ENDING.id },
    'no signature': { ...released(), signature: new Uint8Array(65) },
  }
  for (const [name, answer] of Object.entries(wrong)) {
    test(`with ${name} is HEAD_DISAGREES`, async () => {
      const { releases, link, asking } = desk()
      const asked = refused(asking())
      releases.onReleased(link, answer)
      assert.equal(await asked, 'HEAD_DISAGREES')
      // and the right answer that follows is not waited for any more
      releases.onReleased(link, released())
    })
  }

  test('hears nothing about another channel, from another peer, or on another stream', async () => {
    const { releases, link, asking } = desk()
    const asked = asking()
    releases.onReleased(link, released({ channel: `0x${'ee'.repeat(32)}` as ChannelId }))
    releases.onReleased(linkTo(stranger), released({ amount: A(9_000) }, stranger))
    releases.onReleased(linkTo(payee), released({ amount: A(9_000) }))
    assert.equal(releases.fail(linkTo(stranger), new TallyError('BUSY')), false)
    releases.onReleased(link, released())
    assert.equal((await asked).amount, 5_000n)
  })

  test('by the peer of another channel is no release of this one', async () => {
    const { releases } = desk()
    const link = linkTo(stranger)
    const asked = refused(releases.ask(link, ENDING, undefined))
    releases.onReleased(link, released({}, stranger))
    assert.equal(await asked, 'HEAD_DISAGREES')
  })

  test('that a silent provider does not give is PEER_UNREACHABLE, and may be asked for again', async () => {
    const { releases, link, asking } = desk(0)
    assert.equal(await refused(asking()), 'PEER_UNREACHABLE')
    const again = asking()
    releases.onReleased(link, released())
    assert.equal((await again).epoch, 3)
  })

  test('that is refused fails with the reason of the provider', async () => {
    const { releases, link, asking } = desk()
    const asked = refused(asking())
    assert.equal(releases.fail(link, new TallyError('CHANNEL_IN_USE')), true)
    assert.equal(await asked, 'CHANNEL_IN_USE')
    assert.equal(releases.fail(link, new TallyError('CHANNEL_IN_USE')), false)
  })

  test('is asked for once at a time', async () => {
    const { releases, link, asking } = desk()
    const first = asking()
    assert.equal(await refused(asking()), 'CHANNEL_IN_USE')
    assert.equal(link.said.length, 1)
    releases.onReleased(link, released())
    await first
  })

  test("is not asked for by who has stopped waiting already; an answer that comes too late is nobody's", async () => {
    const { releases, link, asking } = desk()
    assert.equal(await refused(asking(AbortSignal.abort())), 'ABORTED')
    assert.deepEqual(link.said, [])
    const abort = new AbortController()
    const asked = refused(asking(abort.signal))
    abort.abort()
    assert.equal(await asked, 'ABORTED')
    releases.onReleased(link, released())
  })
})

describe('the release of a channel, asked for by the desk', () => {
  test('is for all that was promised, and fails with what the provider says or with the end of its stream', async () => {
    await ScriptedProvider.meet({ credit: 0 }, async (provider) => {
      const live = await provider.open()
      await provider.untilPaid(1_000n)
      await live.close()
      const { line, desk: payerDesk, parties } = provider
      const sign = (of: Partial<Closing>): Released => {
        const closing = { channel: channelId(parties), amount: A(1_000), deadline: (START_S + 60) as Seconds, epoch: 0, ...of }
        return { type: 'released', ...closing, signature: signClosing(DOMAIN, closing, provider.self.sign) }
      }
      provider.script = (message) => (message.type === 'release' ? [sign({ amount: message.amount })] : undefined)
      assert.equal((await payerDesk.release(line, parties)).amount, 1_000n)
      provider.script = (message) => (message.type === 'release' ? [sign({ amount: A(1_000_000) })] : undefined)
      assert.equal(await refused(payerDesk.release(line, parties)), 'HEAD_DISAGREES')
      provider.script = (message) => (message.type === 'release' ? [{ type: 'fault', session: undefined, code: 109 }] : undefined)
      assert.equal(await refused(payerDesk.release(line, parties)), 'CHANNEL_IN_USE')
      provider.script = (message) => (message.type === 'release' ? [] : undefined)
      const from = provider.heard.length
      const asked = refused(payerDesk.release(line, parties))
      await provider.until('release', from)
      provider.cut()
      assert.equal(await asked, 'STREAM_CUT')
      assert.equal(await refused(payerDesk.release(line, parties)), 'STREAM_CUT')
    })
  })
})
