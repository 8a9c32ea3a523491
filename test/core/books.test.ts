import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { channelBooks, sumBooks } from '../../src/core/books.ts'
import { A, facts } from './session/fixture.ts'

const amounts = fc.bigInt(0n, 1_000n)

test('property: deposit = settled + unsettled, as far as it is covered, + free', () => {
  fc.assert(
    fc.property(amounts, amounts, amounts, (deposit, signed, paid) => {
      const settled = paid < deposit ? paid : deposit
      const books = channelBooks({ ...facts(deposit), settled: A(settled) }, A(signed))
      const covered = books.unsettled < deposit - settled ? books.unsettled : deposit - settled
      assert.equal(books.deposit, books.settled + covered + books.free)
    }),
  )
})

test('property: the sum of the books is the books of the sum', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(amounts, amounts)), (channels) => {
      const books = channels.map(([deposit, signed]) => channelBooks(facts(deposit), A(signed)))
      const sum = sumBooks(books)
      assert.equal(
        sum.signed,
        channels.reduce((all, [, signed]) => all + signed, 0n),
      )
      assert.equal(
        sum.free,
        books.reduce((all, one) => all + one.free, 0n),
      )
    }),
  )
})

test('the books of no channels are zero', () => {
  assert.deepEqual(sumBooks([]), { deposit: 0n, signed: 0n, settled: 0n, unsettled: 0n, free: 0n })
})
