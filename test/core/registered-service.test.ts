import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Address, Hash32, Seconds } from '../../src/core/ids.ts'
import type { Offer } from '../../src/core/offer.ts'
import { FREE, priceOf } from '../../src/core/price.ts'
import { checkRegisteredService, disagreements, type RegisteredService } from '../../src/core/registered-service.ts'
import { A, CHUNK, down, NOW_S, PAYEE, PAYER, TOKEN } from './session/fixture.ts'

const specification = { uri: 'https://a.example/x', hash: `0x${'1'.repeat(64)}` as Hash32 }
const service: RegisteredService = {
  name: 'maps',
  kind: 'files',
  address: '/dns4/a.example/tcp/4001',
  price: down(2),
  chunk: CHUNK,
  token: TOKEN,
  minReservation: A(1_000_000),
  minTimeToExpiry: 3_600,
  inputs: specification,
  outputs: specification,
}
const offer: Offer = {
  provider: PAYEE,
  sequence: 1n,
  expiry: (NOW_S + 100) as Seconds,
  token: TOKEN,
  service: 'maps',
  kind: 'files',
  description: '',
  price: down(2),
  chunk: CHUNK,
  minReservation: A(1_000_000),
  minTimeToExpiry: 3_600,
  addresses: ['/ip4/10.0.0.1/tcp/1'],
  inputs: '',
  outputs: '',
}

describe('a signed offer against what its provider registered', () => {
  test('an offer that says the same keeps its word', () => {
    assert.deepEqual(disagreements(PAYEE, service, offer), [])
  })

  test('an offer may be better for the consumer in every point', () => {
    const better: Offer = {
      ...offer,
      price: down(1),
      chunk: { kind: CHUNK.kind, size: 1n },
      minReservation: A(0),
      minTimeToExpiry: 0,
    }
    assert.deepEqual(disagreements(PAYEE, service, better), [])
    assert.deepEqual(disagreements(PAYEE, service, { ...offer, price: FREE }), [])
  })

  test('each point in which it is worse, or about something else, is named', () => {
    const worse: readonly [Partial<Offer>, string][] = [
      [{ provider: PAYER }, 'provider'],
      [{ service: 'map' }, 'service'],
      [{ kind: 'stream' }, 'kind'],
      [{ token: PAYER as Address }, 'token'],
      [{ price: down(3) }, 'price'],
      [{ price: priceOf([...down(2).rates, { kind: 'calls', amount: A(1), per: 1n }]) }, 'price'],
      [{ chunk: { kind: CHUNK.kind, size: CHUNK.size + 1n } }, 'chunk'],
      [{ chunk: { kind: 'ms', size: 1n } }, 'chunk'],
      [{ minReservation: A(1_000_001) }, 'min-reservation'],
      [{ minTimeToExpiry: 3_601 }, 'min-time-to-expiry'],
    ]
    for (const [parts, point] of worse) assert.deepEqual(disagreements(PAYEE, service, { ...offer, ...parts }), [point])
    const all = Object.assign({}, offer, ...worse.map(([parts]) => parts)) as Offer
    assert.equal(disagreements(PAYEE, service, all).length, 8)
  })
})

describe('a descriptor', () => {
  test('whose minimum reservation pays exactly one chunk is taken, and one base unit less is not', () => {
    const one = { ...service, price: down(1, 1), chunk: { kind: 'down', size: 320n } } as RegisteredService
    assert.doesNotThrow(() => checkRegisteredService({ ...one, minReservation: A(320) }))
    assert.throws(() => checkRegisteredService({ ...one, minReservation: A(319) }), /does not pay one chunk/)
  })

  test('whose chunk costs more than any amount is refused', () => {
    const dear = priceOf([{ kind: 'down', amount: A(2n ** 95n), per: 1n }])
    const size = 2n ** 64n - 1n
    const most = A(2n ** 96n - 1n)
    assert.throws(
      () => checkRegisteredService({ ...service, price: dear, chunk: { kind: 'down', size }, minReservation: most }),
      /does not pay one chunk/,
    )
  })
})
