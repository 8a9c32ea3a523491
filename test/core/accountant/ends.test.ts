// The two ends of a link, and a hop that is opened again. @see protocols/clearing/SPEC.md sections 4, 6, 7 and 9
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type ConsumerInput,
  type ConsumerState,
  consumerStep,
  newConsumer,
  type Wanted,
} from '../../../src/core/accountant/consumer.ts'
import { agreeOnHeld, heldOf } from '../../../src/core/accountant/held.ts'
import { type Hop, newHop } from '../../../src/core/accountant/hop.ts'
import { equalBytes } from '../../../src/core/bytes.ts'
import { NO_CHANNEL } from '../../../src/core/channel.ts'
import { channelId, type Seconds } from '../../../src/core/ids.ts'
import { anchorOf, type Chain, newChain } from '../../sim/clearing-chains.ts'
import { TOKEN } from '../../sim/clearing-ledger.ts'
import { A, ACCOUNTANT, AccountantBench, CONSUMER, lockOf, MARGIN_S, PROVIDER, said, sign } from './bench.ts'

const NOW = 1_000_000
const parties = { owner: CONSUMER, signer: CONSUMER, target: ACCOUNTANT, token: TOKEN }
const facts = { ...NO_CHANNEL, deposit: A(1_000), expiry: (NOW + 50_000) as Seconds }
const empty = newHop(channelId(parties), parties, facts)
const GOOD = new Uint8Array(65).fill(1)
const context = {
  chainS: NOW as Seconds,
  uniform: true,
  sign: (...what: [Parameters<typeof sign>[1], Parameters<typeof sign>[2]]) => sign(empty, ...what),
  verify: ({ amount, locks, signature }: Parameters<typeof isOurs>[0]) => isOurs({ amount, locks, signature }),
  verifyGrant: (_: unknown, signature: Uint8Array) => equalBytes(signature, GOOD),
}
function isOurs({ amount, locks, signature }: NonNullable<Hop['promise']>): boolean {
  return equalBytes(sign(empty, amount, locks).signature, signature)
}
function wantedOf(chain: Chain, expiry = NOW + 1_000): Wanted {
  const lock = lockOf(chain, 11, expiry)
  return {
    lock, rent: A(5), hops: [{ peer: new Uint8Array(33), unit: A(10), rent: A(0), expiry: (expiry - 100) as Seconds }],
    grant: { consumer: CONSUMER, anchor: lock.anchor, unit: A(10), steps: lock.steps, expiry: (expiry - 100) as Seconds },
    last: { signer: ACCOUNTANT, provider: PROVIDER },
  } // biome-ignore format: a record
}
/** Runs the inputs, and tells of each what its effects were. */
function run(state: ConsumerState, ...inputs: ConsumerInput[]): { state: ConsumerState; told: string[] } {
  let now = state
  const told = inputs.map((input) => {
    const step = consumerStep(now, input, context)
    now = step.state
    return step.effects
      .map((one) => (one.type === 'send' ? one.message.type : one.type === 'failed' || one.type === 'drop' ? one.code : one.type))
      .join(' ')
  })
  return { state: now, told }
}

describe('a consumer', () => {
  const [a, b] = [newChain(10), newChain(10)]
  const granted = (chain: Chain, of: { signer?: typeof ACCOUNTANT; signature?: Uint8Array } = {}): ConsumerInput => ({
    type: 'grant', message: { type: 'grant', anchor: anchorOf(chain), owner: ACCOUNTANT, signer: of.signer ?? ACCOUNTANT, signature: of.signature ?? GOOD },
  }) // biome-ignore format: a record
  const want = (chain: Chain, expiry?: number): ConsumerInput => ({ type: 'want', wanted: wantedOf(chain, expiry) })
  const taken = (chain: Chain): ConsumerInput => ({ type: 'taken', anchor: anchorOf(chain) })

  test('stores a link before it asks for it, one at a time, and may reveal words when the grant is right', () => {
    const { told, state } = run(newConsumer(empty), want(a), want(b), taken(a), granted(a), taken(b), granted(b))
    assert.deepEqual(told, ['store link', 'store', 'store link', 'store granted', 'store', 'store granted'])
    assert.equal(state.hop.promise?.amount, 10n)
    assert.equal(state.hop.links.length, 2)
  })
  test('reveals nothing on a grant by another signer, or with a wrong signature', () => {
    const asked = run(newConsumer(empty), want(a), taken(a)).state
    assert.deepEqual(run(asked, granted(a, { signer: PROVIDER })).told, ['store GRANT_WRONG'])
    assert.deepEqual(run(asked, granted(a, { signature: new Uint8Array(65) }), granted(a)).told, ['store GRANT_WRONG', ''])
  })
  test('pays no rent for a link that is refused: the next promise is built without it', () => {
    const refusal: ConsumerInput = { type: 'fault', anchor: anchorOf(a), code: 115 }
    const { told, state } = run(newConsumer(empty), want(a), refusal, want(b), taken(b))
    assert.deepEqual(told, ['store link', 'store EXPOSURE_REACHED', 'store link', 'store'])
    assert.equal(state.hop.promise?.amount, 5n)
  })
  test('moves what is left of its links to the later expiry of a new one, and takes no earlier one', () => {
    const { state } = run(newConsumer(empty), want(a), taken(a), want(b, NOW + 5_000), taken(b))
    assert.deepEqual(
      state.hop.promise?.locks.map(({ expiry }) => expiry),
      [NOW + 5_000, NOW + 5_000],
    )
    assert.deepEqual(run(state, want(newChain(3), NOW + 4_000)).told, ['store EXPIRY_REFUSED'])
  })
  test('folds what it is shown, if it opens its lock, and no more', () => {
    const { state } = run(newConsumer(empty), want(a), taken(a))
    const clear = (known: number, of = a): ConsumerInput => ({
      type: 'clear', entries: [{ anchor: anchorOf(a), known, word: of.words[known] as Uint8Array, free: false }],
    }) // biome-ignore format: a record
    assert.deepEqual(run(state, clear(4)).told, ['store fold'])
    assert.equal(run(state, clear(4)).state.hop.update?.promise.amount, 49n)
    assert.deepEqual(run(state, clear(4, b)).told, ['fault'])
    assert.deepEqual(run(state, clear(4), { type: 'stored' }, clear(4)).told, ['store fold', 'store', ''])
  })
  test('never signs for more than its reservation', () => {
    const wanted = { ...wantedOf(newChain(100)) }
    assert.deepEqual(run(newConsumer(empty), { type: 'want', wanted }).told, ['store AMOUNT_OVER_DEPOSIT'])
  })
})

describe('a hop that is opened again', () => {
  const chain = newChain(10)
  const asked = run(newConsumer(empty), { type: 'want', wanted: wantedOf(chain) }).state
  const stood = run(asked, { type: 'taken', anchor: anchorOf(chain) }).state
  const rules = { verify: isOurs, isOwed: () => true }

  test('goes on from the last promise that was taken, and says again what had no answer', () => {
    assert.deepEqual(run(asked, { type: 'held', message: heldOf(empty) }).told, ['store link'])
  })
  test('takes the update for taken when the payee holds it', () => {
    const { state } = run(asked, { type: 'held', message: heldOf(stood.hop) })
    assert.equal(state.hop.update, undefined)
    assert.equal(state.hop.promise?.amount, 5n)
  })
  test('takes words that are new for a clear', () => {
    const [link] = stood.hop.links
    assert.ok(link !== undefined)
    const known = { ...stood.hop, links: [{ ...link, known: 3, word: chain.words[3] as Uint8Array }] }
    const { state, told } = run(stood, { type: 'held', message: heldOf(known) })
    assert.deepEqual(told, ['store fold'])
    assert.equal(state.hop.update?.promise.amount, 38n)
  })
  test('stops where the payee holds another promise, none, or a word that opens nothing', () => {
    const other = { ...heldOf(stood.hop), promise: sign(empty, A(7), stood.hop.promise?.locks ?? []) }
    assert.equal(agreeOnHeld(stood.hop, other, rules), 'HEAD_DISAGREES')
    assert.equal(agreeOnHeld(stood.hop, heldOf(empty), rules), 'HEAD_DISAGREES')
    const [link] = heldOf(stood.hop).links
    assert.ok(link !== undefined)
    const wrong = { ...heldOf(stood.hop), links: [{ ...link, known: 2 }] }
    assert.equal(agreeOnHeld(stood.hop, wrong, rules), 'HEAD_DISAGREES')
    const forged = { ...heldOf(stood.hop), promise: { amount: A(5), locks: [], signature: new Uint8Array(65) } }
    assert.equal(agreeOnHeld(stood.hop, forged, rules), 'HEAD_DISAGREES')
  })
  test('an accountant says again what its provider did not answer, and grants what it took after all', () => {
    const bench = new AccountantBench()
    const out = bench.now + 1_000
    bench.link(5, [lockOf(chain, 11, out + MARGIN_S)], { unit: 10, expiry: out })
    const { update } = bench.out
    assert.ok(update !== undefined)
    const again = bench.step({ type: 'held', hop: bench.outHop, message: heldOf({ ...bench.out, update: undefined }) })
    assert.equal(said(again, bench.outHop), 'link')
    const took = { ...bench.out, promise: update.promise, links: update.links, update: undefined }
    const granted = bench.step({ type: 'held', hop: bench.outHop, message: heldOf(took) })
    assert.equal(said(granted, bench.inHop), 'grant')
  })
})
