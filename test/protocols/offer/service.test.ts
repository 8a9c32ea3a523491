import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { type RawStream, rawStream } from '../../../protocols/framing/raw-stream.ts'
import * as protocol from '../../../protocols/offer/protocol.ts'
import { type OfferService, type OfferServiceInit, offerService } from '../../../protocols/offer/service.ts'
import { libp2pKey } from '../../../protocols/peer-identity.ts'
import type { SignedOffer } from '../../../src/core/offer.ts'
import { addressOf, testNode } from '../../support/libp2p.ts'
import { PAYEE_KEY } from '../session/nodes.ts'
import { largest, signedOffer } from './samples.ts'

interface Pair {
  readonly server: Libp2p<{ offer: OfferService }>
  readonly client: Libp2p<{ offer: OfferService }>
  fetch(service: string, signal?: AbortSignal): Promise<SignedOffer[]>
  rogue(): Promise<RawStream>
  stop(): Promise<void>
}

/** The asking node has libp2p's default key, ed25519: anyone may ask. */
async function offerPair(init: OfferServiceInit, asking: OfferServiceInit = {}): Promise<Pair> {
  const server = await testNode<{ offer: OfferService }>({
    privateKey: libp2pKey(PAYEE_KEY),
    services: { offer: offerService(init) },
  })
  const client = await testNode<{ offer: OfferService }>({ listen: false, services: { offer: offerService(asking) } })
  return {
    server,
    client,
    fetch: (service, signal) => client.services.offer.fetchOffers(addressOf(server), service, { signal }),
    async rogue() {
      const connection = await client.dial(addressOf(server))
      return rawStream(await connection.newStream(protocol.OFFER_PROTOCOL), { maxFrameBytes: protocol.MAX_ANSWER_BYTES })
    },
    async stop() {
      await client.stop()
      await server.stop()
    },
  }
}

describe('asking for offers', () => {
  let pair: Pair
  let answer: NonNullable<OfferServiceInit['offersFor']> = () => []
  let nowMs = 0
  before(async () => {
    pair = await offerPair({
      offersFor: (service, peer) => answer(service, peer),
      nowMs: () => {
        nowMs += 1000
        return nowMs
      },
    })
  })
  after(() => pair.stop())

  test('gives the offers of the service, decoded, to anyone', async () => {
    const asked: [string, PeerId][] = []
    answer = (service, peer) => {
      asked.push([service, peer])
      return [signedOffer('files', 'Bücher und Bilder')]
    }
    assert.deepEqual(await pair.fetch('files'), [signedOffer('files', 'Bücher und Bilder')])
    assert.equal(asked[0]?.[0], 'files')
    assert.ok(asked[0]?.[1].equals(pair.client.peerId))
  })

  test('gives none when there are none, and at most the first 16', async () => {
    answer = () => []
    assert.deepEqual(await pair.fetch(''), [])
    const many = Array.from({ length: 20 }, (_, i) => largest(`s${i}`))
    answer = async () => many
    assert.deepEqual(await pair.fetch(''), many.slice(0, 16))
  })

  test('is reset when the provider fails; nothing of the failure is told', async () => {
    answer = () => {
      throw new Error('secret words')
    }
    await assert.rejects(pair.fetch('files'), { code: 'STREAM_CUT' })
  })

  test('with a request that is none, or above 66 bytes, is reset', async () => {
    answer = () => assert.fail('must not be asked')
    for (const request of [Uint8Array.of(1, 0x41), new Uint8Array(67)]) {
      const rogue = await pair.rogue()
      await rogue.writeFrame(request)
      await assert.rejects(rogue.readFrame(), { code: 'STREAM_CUT' })
    }
  })

  test('refuses to ask for what is no service name', async () => {
    await assert.rejects(pair.fetch('No Name'), { code: 'MALFORMED' })
  })

  test('that was given up is ABORTED', async () => {
    const asked = Promise.withResolvers<void>()
    const never = new Promise<SignedOffer[]>(() => {})
    answer = () => {
      asked.resolve()
      return never
    }
    const controller = new AbortController()
    const fetching = pair.fetch('files', controller.signal)
    await asked.promise
    controller.abort()
    await assert.rejects(fetching, { code: 'ABORTED' })
  })
})

describe('limits of offers', () => {
  test('an answer that breaks the specification is MALFORMED, one above 65,536 bytes FRAME_TOO_LARGE', async () => {
    const pair = await offerPair({})
    try {
      for (const [bytes_, code] of [
        [Uint8Array.of(0, 0, 0, 1, 17), 'MALFORMED'],
        [Uint8Array.of(0, 1, 0, 1), 'FRAME_TOO_LARGE'],
      ] as const) {
        await pair.server.handle(protocol.OFFER_PROTOCOL, (stream) => void stream.send(bytes_))
        await assert.rejects(pair.fetch(''), { code })
        await pair.server.unhandle(protocol.OFFER_PROTOCOL)
      }
    } finally {
      await pair.stop()
    }
  })

  test('an answer that does not come in time is PEER_UNREACHABLE', async () => {
    const pair = await offerPair({ offersFor: () => new Promise(() => {}) }, { timeoutMs: 20 })
    try {
      await assert.rejects(pair.fetch(''), { code: 'PEER_UNREACHABLE' })
    } finally {
      await pair.stop()
    }
  })

  test('a request that does not come in time is not waited for', async () => {
    const pair = await offerPair({ offersFor: () => [], timeoutMs: 20 })
    try {
      const rogue = await pair.rogue()
      await assert.rejects(rogue.readFrame(), { code: 'STREAM_CUT' })
    } finally {
      await pair.stop()
    }
  })

  test('a peer has 20 requests a second answered; the next one is reset', async () => {
    const pair = await offerPair({ offersFor: () => [], nowMs: () => 0 })
    try {
      for (let i = 0; i < 20; i++) assert.deepEqual(await pair.fetch(''), [])
      await assert.rejects(pair.fetch(''), { code: 'STREAM_CUT' })
    } finally {
      await pair.stop()
    }
  })

  test('a peer has 8 requests at once; the next one is reset, and let in when another is done', async () => {
    const gate = Promise.withResolvers<void>()
    const eighth = Promise.withResolvers<void>()
    let asked = 0
    const offersFor = async (): Promise<SignedOffer[]> => {
      asked += 1
      if (asked === 8) eighth.resolve()
      await gate.promise
      return []
    }
    const pair = await offerPair({ offersFor, nowMs: () => 0 })
    try {
      const waiting = Array.from({ length: 8 }, () => pair.fetch(''))
      await eighth.promise
      await assert.rejects(pair.fetch(''), { code: 'STREAM_CUT' })
      gate.resolve()
      await Promise.all(waiting)
      assert.equal(asked, 8)
    } finally {
      await pair.stop()
    }
  })

  test('a peer that gives up its requests has room for new ones at once', async () => {
    const eighth = Promise.withResolvers<void>()
    let asked = 0
    const offersFor = (): Promise<SignedOffer[]> => {
      asked += 1
      if (asked === 8) eighth.resolve()
      return asked > 8 ? Promise.resolve([]) : new Promise(() => {})
    }
    const pair = await offerPair({ offersFor, nowMs: () => 0 })
    try {
      const controller = new AbortController()
      const waiting = Array.from({ length: 8 }, () => pair.fetch('', controller.signal))
      await eighth.promise
      controller.abort()
      await Promise.allSettled(waiting)
      assert.deepEqual(await pair.fetch(''), [])
    } finally {
      await pair.stop()
    }
  })
})
