// Attacks on an honest accountant, one by one, on the ledger's own rules. In each the accountant claims what it pays.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { SignedPromise } from '../../../src/core/promise.ts'
import { anchorOf, newChain } from '../../sim/clearing-chains.ts'
import { BLOCK_S, CLAIM_S } from '../../sim/clearing-ledger.ts'
import { AccountantBench, lockOf, MARGIN_S, said } from './bench.ts'

const claimsAll = (bench: AccountantBench): void => {
  assert.ok(bench.paid > 0n, 'the attack pays somebody')
  assert.ok(bench.paid <= bench.claimed, `paid ${bench.paid}, claimed ${bench.claimed}`)
}

/** A link of ten steps at 10 outwards and 11 inwards, that the provider has; its expiry outwards is 1,000 s ahead. */
function linked(bench = new AccountantBench()) {
  const chain = newChain(10)
  const out = bench.now + 1_000
  const expiry = out + MARGIN_S
  assert.equal(bench.link(5, [lockOf(chain, 11, expiry)], { unit: 10, expiry: out }), 'taken')
  assert.equal(said(bench.taken(chain), bench.inHop), 'grant')
  return { bench, chain, out, expiry, promised: bench.out.promise as SignedPromise }
}

describe('consumer and provider together', () => {
  test('settle the promise before the clear, with deeper words, after everybody has folded', () => {
    const { bench, chain, out, expiry, promised } = linked()
    bench.clear(chain, 4, true)
    bench.step({ type: 'stored', hop: bench.outHop, signature: new Uint8Array(65) })
    assert.equal(bench.out.promise?.amount, 40n)
    assert.equal(bench.fold(5 + 44, [lockOf(chain, 11, expiry, 4)]), 'stored')
    bench.settle(bench.out, promised, [[chain, 10]])
    bench.mineUntil(expiry + BLOCK_S)
    assert.equal(bench.paid, 100n)
    claimsAll(bench)
    assert.ok(out < expiry)
  })
  test('leave the rest out of the next promise, though the provider has freed it', () => {
    const { bench, chain } = linked()
    bench.clear(chain, 4, true)
    assert.equal(bench.fold(5 + 44, []), 'AMOUNT_TOO_LOW')
    assert.equal(bench.fold(5 + 110, []), 'stored', 'unless it is paid in full')
  })
  test('show the last word in the last block before the expiry, while the accountant is away', () => {
    const { bench, chain, out, expiry, promised } = linked()
    bench.mineUntil(out - 2 * BLOCK_S)
    bench.settle(bench.out, promised, [[chain, 10]])
    bench.away = true
    bench.mineUntil(out + 5 * BLOCK_S)
    bench.away = false
    bench.mineUntil(expiry + BLOCK_S)
    assert.equal(bench.paid, 100n)
    claimsAll(bench)
  })
  test('refuse the link, and settle what was signed all the same', () => {
    const bench = new AccountantBench()
    const chain = newChain(10)
    const out = bench.now + 1_000
    const expiry = out + MARGIN_S
    bench.link(5, [lockOf(chain, 11, expiry)], { unit: 10, expiry: out })
    const signed = bench.out.update?.promise as SignedPromise
    assert.equal(
      said(bench.step({ type: 'fault', hop: bench.outHop, anchor: anchorOf(chain), code: 103 }), bench.inHop),
      'AMOUNT_OVER_DEPOSIT',
    )
    assert.equal(bench.fold(5, []), 'AMOUNT_TOO_LOW', 'the lock in is not free yet')
    bench.settle(bench.out, signed, [[chain, 10]])
    bench.mineUntil(expiry + BLOCK_S)
    claimsAll(bench)
  })
  test('let one lock be claimed on the ledger and earn with another that expires later: it is shadowed', () => {
    const { bench, chain, out, expiry, promised } = linked()
    const second = newChain(10)
    const later = { unit: 10, expiry: out + 2_000, to: bench.otherHop }
    const locks = [lockOf(chain, 11, expiry), lockOf(second, 11, expiry + 2_000)]
    assert.equal(bench.link(10, locks, later), 'EXPIRY_REFUSED', 'two expiries on a hop in')
    const moved = [lockOf(chain, 11, expiry + 2_000), lockOf(second, 11, expiry + 2_000)]
    assert.equal(bench.link(10, moved, later), 'taken')
    bench.taken(second, bench.otherHop)
    const other = bench.books.outs.get(bench.otherHop)
    assert.ok(other?.promise !== undefined)
    bench.settle(bench.out, promised, [[chain, 10]])
    // the consumer folds nothing, and never comes again
    bench.mineUntil(expiry + BLOCK_S)
    bench.settle(other, other.promise, [[second, 10]])
    bench.mineUntil(expiry + 2_000 + BLOCK_S)
    assert.equal(bench.paid, 200n)
    claimsAll(bench)
  })
  test('have the accountant paid by a stranger on the ledger, and build the next link on less', () => {
    const { bench, chain, expiry, promised } = linked()
    bench.settle(bench.in, bench.in.promise as SignedPromise, [[chain, 10]])
    bench.settle(bench.out, promised, [[chain, 10]])
    bench.mineUntil(expiry + 4 * BLOCK_S)
    assert.equal(bench.claimed, 115n)
    const second = newChain(10)
    const out = bench.now + 1_000
    const lock = lockOf(second, 11, out + MARGIN_S)
    assert.equal(bench.link(10, [lock], { unit: 10, expiry: out }), 'AMOUNT_TOO_LOW')
    assert.equal(bench.link(115, [lock], { unit: 10, expiry: out }), 'FEE_TOO_LOW')
    assert.equal(bench.link(120, [lock], { unit: 10, expiry: out }), 'taken')
  })
  test('use one chain for two links, so that a fold would begin where the other lock does', () => {
    const { bench, chain, out, expiry } = linked()
    const tail = { words: chain.words.slice(4) }
    const locks = [lockOf(chain, 11, expiry), lockOf(tail, 11, expiry)]
    assert.equal(bench.link(10, locks, { unit: 10, expiry: out }), 'taken')
    bench.taken(tail)
    bench.clear(chain, 4)
    assert.ok(bench.isIdle, 'this fold cannot be written')
    const third = newChain(2)
    assert.equal(bench.link(15, [...locks, lockOf(third, 11, expiry)], { unit: 10, expiry: out }), 'taken')
    assert.equal(bench.out.update?.promise.locks.length, 3, 'and holds up nobody')
    bench.taken(third)
    bench.settle(bench.out, bench.out.promise as SignedPromise, [[chain, 10]])
    bench.mineUntil(expiry + BLOCK_S)
    claimsAll(bench)
  })
})

describe('a link is refused', () => {
  const refused = (change: {
    amount?: number
    unit?: number
    unitOut?: number
    early?: number
    deposits?: { in?: number; out?: number }
  }): string => {
    const bench = new AccountantBench(change.deposits)
    const out = bench.now + 1_000
    const lock = lockOf(newChain(10), change.unit ?? 11, out + MARGIN_S - (change.early ?? 0))
    return bench.link(change.amount ?? 5, [lock], { unit: change.unitOut ?? 10, expiry: out })
  }
  test('when nothing is wrong with it, it is taken', () => assert.equal(refused({}), 'taken'))
  test('E1: when the hop in does not outlast the hop out by the margin', () =>
    assert.equal(refused({ early: 1 }), 'EXPIRY_REFUSED'))
  test('F1: when a step does not pay the fee', () => assert.equal(refused({ unitOut: 11 }), 'FEE_TOO_LOW'))
  test('F2: when the rent is not in the amount', () => assert.equal(refused({ amount: 4 }), 'FEE_TOO_LOW'))
  test('K4: when the reservation does not cover it in full', () => {
    assert.equal(refused({ deposits: { in: 114 } }), 'AMOUNT_OVER_DEPOSIT')
    assert.equal(refused({ deposits: { in: 115 } }), 'taken')
  })
  test('F3: when the own reservation with the provider does not', () => {
    assert.equal(refused({ deposits: { out: 99 } }), 'EXPOSURE_REACHED')
    assert.equal(refused({ deposits: { out: 100 } }), 'taken')
  })
  test('K7: when its anchor was used before, on whatever route', () => {
    const { bench, chain, out, expiry } = linked()
    const again = lockOf(chain, 11, expiry)
    assert.equal(bench.link(10, [again, again], { unit: 10, expiry: out, to: bench.otherHop }), 'LOCKS_REFUSED')
    bench.clear(chain, 10)
    assert.equal(bench.fold(115, []), 'stored')
    assert.equal(bench.link(120, [again], { unit: 10, expiry: out, to: bench.otherHop }), 'LOCKS_REFUSED')
  })
})

describe('an honest accountant', () => {
  test('stores before it tells anybody anything', () => {
    const { bench, chain } = linked()
    assert.equal(bench.clear(chain, 4)[0]?.type, 'store')
    assert.equal(bench.effects.filter(({ type }) => type === 'store').length, 1)
  })
  test('frees a lock in when its own is over, and not before', () => {
    const { bench, chain, out } = linked()
    bench.clear(chain, 4, true)
    bench.mineUntil(out)
    assert.equal(bench.in.links[0]?.freed, false)
    bench.mineUntil(out + 3 * BLOCK_S)
    assert.equal(bench.in.links[0]?.freed, true)
    assert.equal(bench.fold(5 + 44, []), 'stored')
  })
  test('pays nothing for a word that is shown when the lock is over', () => {
    const { bench, chain, out } = linked()
    bench.mineUntil(out + 3 * BLOCK_S)
    assert.equal(said(bench.clear(chain, 10), bench.outHop), 'EXPIRY_REFUSED')
    assert.equal(bench.out.promise?.amount, 0n)
  })
  test('that comes back too late to claim pays for nothing that it is shown then', () => {
    const { bench, chain, expiry } = linked()
    bench.away = true
    bench.mineUntil(expiry - CLAIM_S)
    assert.equal(said(bench.clear(chain, 10), bench.outHop), 'EXPIRY_REFUSED')
    assert.equal(bench.out.promise?.amount, 0n)
  })
  test('frees a lock in as soon as what it has paid since is more than any older promise could pay', () => {
    const { bench, chain, out, expiry } = linked()
    bench.clear(chain, 4, true)
    bench.step({ type: 'stored', hop: bench.outHop, signature: new Uint8Array(65) })
    const second = newChain(10)
    assert.equal(bench.link(10, [lockOf(chain, 11, expiry), lockOf(second, 11, expiry)], { unit: 10, expiry: out }), 'taken')
    bench.taken(second)
    bench.clear(second, 5)
    bench.step({ type: 'clock' })
    assert.equal(bench.in.links[0]?.freed, false, 'signed 90, and an older promise could pay 100')
    bench.step({ type: 'stored', hop: bench.outHop, signature: new Uint8Array(65) })
    bench.clear(second, 6)
    bench.step({ type: 'clock' })
    assert.equal(bench.in.links[0]?.freed, true)
    assert.equal(bench.in.links[1]?.freed, false)
  })
  test('claims a word that the ledger told, though its provider never cleared', () => {
    const { bench, chain, expiry, promised } = linked()
    bench.settle(bench.out, promised, [[chain, 7]])
    bench.mineUntil(bench.now + 4 * BLOCK_S)
    assert.equal(bench.in.links[0]?.known, 7)
    assert.equal(bench.fold(5 + 77, [lockOf(chain, 11, expiry, 7)]), 'stored')
  })
  test('passes a single payment on: the receiver’s word comes back to the payer', () => {
    const bench = new AccountantBench()
    const receipt = newChain(1)
    const out = bench.now + 600
    assert.equal(bench.link(5, [lockOf(receipt, 501, out + MARGIN_S)], { unit: 500, expiry: out }), 'taken')
    bench.taken(receipt)
    const told = bench.clear(receipt, 1)
    assert.equal(said(told, bench.outHop), 'fold')
    assert.equal(bench.out.update?.promise.amount, 500n)
    const clear = told.flatMap((effect) => (effect.type === 'send' && effect.message.type === 'clear' ? [effect.message] : []))
    assert.deepEqual(clear[0]?.entries[0]?.word, receipt.words[1])
    assert.equal(bench.fold(506, []), 'stored')
  })
  test('asks the same for k steps in whatever order they are folded', () => {
    const share = new AccountantBench({}, { perStep: 0n as never, share: 333_333, rent: 0n as never })
    const out = share.now + 1_000
    const tooLow = lockOf(newChain(10), 1, out + MARGIN_S)
    assert.equal(
      share.link(0, [tooLow], { unit: 1, expiry: out }),
      'FEE_TOO_LOW',
      'a third of one is rounded up, once, for a step',
    )
    assert.equal(share.link(0, [lockOf(newChain(10), 2, out + MARGIN_S)], { unit: 1, expiry: out }), 'taken')
  })
})
