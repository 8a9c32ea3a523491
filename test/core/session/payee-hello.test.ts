import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { newOwner } from '../../../src/core/credit.ts'
import type { Seconds } from '../../../src/core/ids.ts'
import { MAX_COUNT, type Meter, meterOf, ZERO_METER } from '../../../src/core/meter.ts'
import type { Offer } from '../../../src/core/offer.ts'
import { priceOf } from '../../../src/core/price.ts'
import { freeOf } from '../../../src/core/price-free.ts'
import type { Hello } from '../../../src/core/session/messages.ts'
import { type HelloFacts, judgeHello, termsFor } from '../../../src/core/session/payee-hello.ts'
import type { Terms } from '../../../src/core/terms.ts'
import { A, CHUNK, channelIn, down, facts, NOW_S, PAYEE, PAYER, SESSION, TOKEN } from './fixture.ts'

const offer: Offer = {
  provider: PAYEE,
  sequence: 3n,
  expiry: (NOW_S + 100) as Seconds,
  token: TOKEN,
  service: 'files',
  kind: 'files',
  description: '',
  price: down(1),
  chunk: CHUNK,
  minReservation: A(5_000),
  minTimeToExpiry: 3_600,
  addresses: [],
  inputs: '',
  outputs: '',
}
const hello = (of: Partial<Hello> = {}): Hello => ({
  type: 'hello',
  session: SESSION,
  resume: false,
  owner: PAYER,
  token: TOKEN,
  service: 'files',
  inputs: new Uint8Array(0),
  signed: A(0),
  acked: ZERO_METER,
  ...of,
})
const found = (of: Partial<HelloFacts> = {}): HelloFacts => ({
  offer,
  channel: channelIn(),
  live: 0,
  maxSessions: 10,
  banned: false,
  nowS: NOW_S,
  marginS: 600,
  patienceS: 30,
  unreserved: A(0),
  ...of,
})
const lasting = (seconds: number, deposit = 1_000_000n) => ({ ...channelIn(), facts: facts(deposit, NOW_S + seconds) })

describe('hello', () => {
  test('is answered when every demand is met', () => {
    assert.equal(judgeHello(hello(), found()), undefined)
  })
  test('is refused with the first demand that is not met, in the order of the spec', () => {
    const frozen = { ...lasting(10, 10n), frozen: { until: NOW_S, epoch: 0 } }
    const steps: [Partial<HelloFacts>, string][] = [
      [{ live: 10, banned: true, offer: undefined, channel: undefined }, 'BUSY'],
      [{ banned: true, offer: undefined, channel: undefined }, 'BANNED'],
      [{ offer: undefined, channel: undefined }, 'SERVICE_UNKNOWN'],
      [{ channel: undefined }, 'CHANNEL_UNKNOWN'],
      [{ channel: frozen }, 'CHANNEL_FROZEN'],
      [{ channel: lasting(10, 10n) }, 'RESERVATION_TOO_SMALL'],
      [{ channel: lasting(10) }, 'CHANNEL_EXPIRED'],
    ]
    for (const [of, code] of steps) assert.equal(judgeHello(hello(), found(of)), code)
    assert.equal(judgeHello(hello({ token: PAYER }), found()), 'OFFER_FOREIGN')
  })
  test('what the payer may have signed already is not there to be spent again', () => {
    assert.equal(judgeHello(hello({ signed: A(995_001) }), found()), 'RESERVATION_TOO_SMALL')
    assert.equal(judgeHello(hello(), found({ channel: channelIn(995_001) })), 'RESERVATION_TOO_SMALL')
    assert.equal(judgeHello(hello({ signed: A(995_001), resume: true }), found()), undefined)
  })
  test('a reservation that lasts exactly the demanded time is enough, and one second less is not; on resume the demand is over', () => {
    assert.equal(judgeHello(hello(), found({ channel: lasting(3_600) })), undefined)
    assert.equal(judgeHello(hello(), found({ channel: lasting(3_599) })), 'CHANNEL_EXPIRED')
    assert.equal(judgeHello(hello({ resume: true }), found({ channel: lasting(3_599) })), undefined)
  })
  test('a reservation of exactly the demanded amount is enough, and one base unit less is not', () => {
    assert.equal(judgeHello(hello(), found({ channel: lasting(100_000, 5_000n) })), undefined)
    assert.equal(judgeHello(hello(), found({ channel: lasting(100_000, 4_999n) })), 'RESERVATION_TOO_SMALL')
  })
  test('S10: a session that could only be closed again is not begun', () => {
    const short = found({ offer: { ...offer, minTimeToExpiry: 0 }, channel: lasting(630) })
    assert.equal(judgeHello(hello(), short), 'CHANNEL_EXPIRED')
    assert.equal(judgeHello(hello(), { ...short, channel: lasting(631) }), undefined)
    assert.equal(judgeHello(hello({ resume: true }), short), undefined)
  })
})

test('the terms repeat the offer, and what the owner owes comes first, in one session', () => {
  const owner = { ...newOwner(PAYER, TOKEN), debt: A(9) }
  const made = {
    signer: PAYER,
    content: new Uint8Array(2),
    patienceMs: 30_000,
    nowS: NOW_S,
    lastS: 60,
    arrearsTaken: false,
    open: [],
  }
  const terms = termsFor(hello(), offer, owner, made)
  assert.deepEqual(
    [terms.price, terms.chunk, terms.offerSequence, terms.arrears, terms.expiry],
    [offer.price, CHUNK, 3n, 9n, NOW_S + 60],
  )
  assert.equal(termsFor(hello(), offer, owner, { ...made, arrearsTaken: true }).arrears, 0n)
})

test('S11: what a price gives for nothing is given once for each owner, whatever sessions it opens', () => {
  const price = priceOf([
    { kind: 'down', amount: A(2), per: 1n, from: 1_000n },
    { kind: 'down', amount: A(1), per: 1n, from: 5_000n },
    { kind: 'calls', amount: A(7), per: 1n, from: 3n },
  ])
  const generous = { ...offer, price }
  const made = {
    signer: PAYER,
    content: new Uint8Array(0),
    patienceMs: 30_000,
    nowS: NOW_S,
    lastS: 60,
    arrearsTaken: false,
    open: [],
  }
  const freeIn = (had: Partial<Meter>, open: readonly Terms[] = []): Meter =>
    freeOf(termsFor(hello(), generous, { ...newOwner(PAYER, TOKEN), had: meterOf(had) }, { ...made, open }).price)
  assert.deepEqual(freeIn({}), meterOf({ down: 1_000n, calls: 3n }))
  assert.deepEqual(freeIn({ down: 400n, calls: 9n }), meterOf({ down: 600n }))
  const first = termsFor(hello(), generous, newOwner(PAYER, TOKEN), made)
  assert.deepEqual(freeIn({}, [first]), ZERO_METER)
  const { price: spent } = termsFor(hello(), generous, { ...newOwner(PAYER, TOKEN), had: meterOf({ down: MAX_COUNT }) }, made)
  assert.deepEqual(spent.rates.slice(0, 2), [
    { kind: 'down', amount: 2n, per: 1n },
    { kind: 'down', amount: 1n, per: 1n, from: 5_000n },
  ])
})
