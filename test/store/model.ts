import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { ListRange, Space, Store, StoreOp } from '../../src/ports/store.ts'
import { all } from './bytes.ts'

const spaces = ['channelIn', 'channelOut', 'counter'] as const
const space = fc.constantFrom(...spaces)
// few and awkward keys, so that calls meet: prefixes of each other, and the bytes at both ends
const key = fc.array(fc.constantFrom(0, 1, 254, 255), { maxLength: 3 }).map((values) => Uint8Array.from(values))
const value = fc.uint8Array({ maxLength: 40 })

const op: fc.Arbitrary<StoreOp> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('put' as const), space, key, value }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('del' as const), space, key }) },
)
const range: fc.Arbitrary<ListRange> = fc.record(
  { gte: key, lt: key, limit: fc.nat(6), reverse: fc.boolean() },
  { requiredKeys: [] },
)

/** What a store holds, as plainly as it can be said: space and key in hex to value. */
type Model = Map<string, Uint8Array>

/** Any run of commits, concurrent ones too, leaves what a plain map would hold. */
export function modelTest(open: (t: Pick<TestContext, 'after'>) => Promise<{ store: Store; reopen(): Promise<Store> }>): void {
  test('holds what a plain map holds after any commits, also when opened again', async (t) => {
    const rounds = fc.array(fc.array(fc.array(op, { maxLength: 6 }), { maxLength: 6 }), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(rounds, fc.array(range, { maxLength: 5 }), async (commits, ranges) => {
        const { store, reopen } = await open(t)
        const model: Model = new Map()
        for (const calls of commits) {
          await Promise.all(calls.map((ops) => store.commit(ops)))
          for (const ops of calls) for (const one of ops) apply(model, one)
          await compare(store, model, ranges)
        }
        await compare(await reopen(), model, ranges)
      }),
      { numRuns: 25 },
    )
  })
}

function name(of: Space, bytes: Uint8Array): string {
  return `${of}:${Buffer.from(bytes).toString('hex')}`
}

function apply(model: Model, one: StoreOp): void {
  if (one.type === 'put') model.set(name(one.space, one.key), one.value)
  else model.delete(name(one.space, one.key))
}

async function compare(store: Store, model: Model, ranges: readonly ListRange[]): Promise<void> {
  for (const of of spaces) {
    for (const one of [{}, ...ranges]) assert.deepEqual(await all(store.list(of, one)), expected(model, of, one))
  }
  for (const [key, held] of model) {
    const [of = '', hex = ''] = key.split(':')
    assert.deepEqual(await store.get(of as Space, Uint8Array.from(Buffer.from(hex, 'hex'))), held)
  }
}

function expected(model: Model, of: Space, { gte, lt, limit, reverse }: ListRange): [Uint8Array, Uint8Array][] {
  const records = [...model].filter(([key]) => key.startsWith(`${of}:`)).sort(([a], [b]) => (a < b ? -1 : 1))
  const inRange = records
    .filter(([key]) => gte === undefined || key >= name(of, gte))
    .filter(([key]) => lt === undefined || key < name(of, lt))
  if (reverse === true) inRange.reverse()
  return inRange
    .slice(0, limit)
    .map(([key, held]) => [Uint8Array.from(Buffer.from(key.slice(of.length + 1), 'hex')), Uint8Array.from(held)])
}
