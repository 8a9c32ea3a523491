import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import type { PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { OfferService } from '../../protocols/offer/service.ts'
import { peerIdOfKey } from '../../protocols/peer-identity.ts'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import { TallyError } from '../../src/core/errors.ts'
import type { Address, Seconds } from '../../src/core/ids.ts'
import { type Offer, type SignedOffer, signOffer } from '../../src/core/offer.ts'
import { FREE } from '../../src/core/price.ts'
import { Market } from '../../src/discovery/market.ts'

const domain: Domain = { chainId: 31337n, ledger: `0x${'11'.repeat(20)}` as Address }
const token = `0x${'22'.repeat(20)}` as Address
const nowS = 1_800_000_000 as Seconds

interface Stranger {
  readonly peer: PeerId
  readonly offer: SignedOffer
}

function stranger(service: string): Stranger {
  const key = randomBytes(32)
  const offer: Offer = {
    provider: addressOfKey(key), sequence: 1n, expiry: (nowS + 3600) as Seconds, token, service, kind: 'files', description: '', price: FREE,
    chunk: { kind: 'down', size: 1n }, minReservation: 0n as Amount, minTimeToExpiry: 0, addresses: [], inputs: '', outputs: '',
  } // biome-ignore format: a record
  return { peer: peerIdOfKey(key), offer: signOffer(domain, offer, signerOf(key)) }
}

/** A DHT that names whom the test wants, as anybody can make the real one do. */
function marketOf(named: readonly Stranger[], ask: (one: Stranger, signal: AbortSignal | undefined) => Promise<SignedOffer[]>) {
  const believed: number[] = []
  const addresses = Array.from({ length: 40 }, (_, port) => multiaddr(`/ip4/127.0.0.1/tcp/${port + 1}`))
  const market = new Market(
    {
      routing: {
        provide: async () => undefined,
        cancelReprovide: async () => undefined,
        async *findProviders() {
          for (const { peer: id } of named) yield { id, multiaddrs: addresses, routing: 'test' }
        },
      },
      peers: {
        merge: async (_: PeerId, { multiaddrs }: { multiaddrs: unknown[] }) => void believed.push(multiaddrs.length),
      } as never,
      self: stranger('films').peer,
      offers: {
        fetchOffers: async (target: PeerId, _: string, options?: { signal?: AbortSignal }) => {
          const one = named.find(({ peer }) => peer.equals(target))
          if (one === undefined) throw new TallyError('PEER_UNREACHABLE')
          return await ask(one, options?.signal)
        },
      } as unknown as OfferService,
      dht: { count: 1, some: async () => undefined },
      clock: { nowMs: () => 0, nowS: () => nowS },
      log: { debug: () => undefined, info: () => undefined },
    },
    { domain, tokens: [token], joins: true },
  )
  return { market, believed }
}

const strangers = (count: number): Stranger[] => Array.from({ length: count }, () => stranger('films'))

describe('finding providers', () => {
  test('hears an honest provider behind many that announce the name and do not answer', async () => {
    const named = strangers(101)
    const honest = named.at(-1)
    const { market } = marketOf(named, async (one) => {
      if (one !== honest) throw new TallyError('PEER_UNREACHABLE')
      return [one.offer]
    })
    const found = await Array.fromAsync(market.find('service', 'films'))
    assert.deepEqual(
      found.map(({ peer }) => peer.toString()),
      [honest?.peer.toString()],
    )
  })

  test('asks no more than 20 at the same time, and believes 16 addresses of each', async () => {
    let now = 0
    let most = 0
    const full = Promise.withResolvers<void>()
    const { market, believed } = marketOf(strangers(50), async (one) => {
      most = Math.max(most, ++now)
      // the first ones answer only when as many are asked as will ever be
      if (now === 20) setImmediate(full.resolve)
      await full.promise
      now--
      return [one.offer]
    })
    assert.equal((await Array.fromAsync(market.find('service', 'films'))).length, 50)
    assert.equal(most, 20)
    assert.deepEqual([...new Set(believed)], [16])
  })

  test('ends quietly, asking nobody else, when the caller has had enough', async () => {
    const asked: string[] = []
    const { market } = marketOf(strangers(60), async (one, signal) => {
      asked.push(one.peer.toString())
      if (asked.length === 1) return [one.offer]
      return await new Promise<never>((_, reject) => {
        const stop = (): void => reject(new TallyError('ABORTED'))
        if (signal?.aborted === true) stop()
        signal?.addEventListener('abort', stop, { once: true })
      })
    })
    for await (const { offer } of market.find('service', 'films')) {
      assert.equal(offer.service, 'films')
      break
    }
    assert.ok(asked.length <= 21)
  })
})
