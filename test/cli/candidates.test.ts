import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Candidates } from '../../src/cli/get/candidates.ts'
import type { Found } from '../../src/discovery/market.ts'

const named = (name: string): Found => ({ provider: name }) as unknown as Found
const names = async (candidates: Candidates, count: number): Promise<unknown[]> => {
  const found: unknown[] = []
  for (let i = 0; i < count; i++) found.push((await candidates.next())?.provider)
  return found
}

describe('whom a purchase may buy from', () => {
  test('as many as it was told, the best first, nobody twice', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map(named) as [Found, Found, Found]
    const lookAgain = async (): Promise<Found[]> => [a, b, c]
    assert.deepEqual(await names(new Candidates({ found: a, others: [b, c], most: 2, lookAgain }), 2), ['b', undefined])
    assert.deepEqual(await names(new Candidates({ found: a, others: [a, b], most: 9, lookAgain }), 3), ['b', 'c', undefined])
    assert.deepEqual(await names(new Candidates({ found: a, others: [b], most: 1, lookAgain }), 1), [undefined])
  })

  test('one that was not found at first is found when it is needed; in vain only once, until something has moved', async () => {
    const sold: Found[] = []
    let looks = 0
    const lookAgain = async (): Promise<Found[]> => {
      looks += 1
      if (sold.length === 0) throw new Error('nobody sells it')
      return sold
    }
    const candidates = new Candidates({ found: named('a'), others: [], most: 3, lookAgain })
    assert.deepEqual(await names(candidates, 2), [undefined, undefined])
    assert.deepEqual([looks, candidates.isOpen], [1, false])
    sold.push(named('b'))
    candidates.moved()
    assert.deepEqual([await names(candidates, 1), looks], [['b'], 2])
  })
})
