import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  type Answer,
  type Ask,
  cursorOf,
  followRound,
  LAG_ROUNDS,
  newTrail,
  RefusedError,
  type Trail,
  withWatched,
} from '../../src/chain/log-follower.ts'

interface Block {
  readonly hash: string
  /** Keys that this block writes, with the values they get. */
  readonly writes: Readonly<Record<string, number>>
}

/** A chain that can be reorganised between any two questions, and what a listener was told of it. */
class World {
  blocks: Block[] = [{ hash: 'genesis', writes: {} }]
  confirmations: number
  /** Most blocks that one query may ask for. */
  maxRange: number
  told = new Map<string, number | undefined>()
  saved: Trail
  watched = new Set<string>()
  #serial = 0
  #held = new Map<string, number | undefined>()

  constructor(confirmations: number, maxRange: number, maxSpan: number, keep: number) {
    this.confirmations = confirmations
    this.maxRange = maxRange
    this.saved = newTrail({ start: 0, maxSpan, keep })
  }

  mine(writes: Record<string, number>): void {
    this.blocks.push({ hash: `h${++this.#serial}`, writes })
  }

  reorganise(depth: number, replacement: readonly Record<string, number>[]): void {
    this.blocks.length = Math.max(1, this.blocks.length - depth)
    for (const writes of replacement) this.mine(writes)
  }

  get safe(): number {
    return this.blocks.length - 1 - this.confirmations
  }

  valueAt(key: string, block: number): number | undefined {
    for (let at = Math.min(block, this.blocks.length - 1); at >= 0; at--) {
      const value = this.blocks[at]?.writes[key]
      if (value !== undefined) return value
    }
    return undefined
  }

  answer(ask: Ask): Answer {
    switch (ask.type) {
      case 'safe':
        return this.safe
      case 'hash':
        return this.blocks[ask.number]?.hash
      case 'logs': {
        if (ask.to - ask.from + 1 > this.maxRange) return undefined
        const keys = this.blocks.slice(ask.from, ask.to + 1).flatMap((block) => Object.keys(block.writes))
        for (const key of keys) this.watched.add(key)
        return keys.map((key) => `wrote ${key}`)
      }
      case 'slots': {
        const keys = [...ask.touched.map((touch) => touch.split(' ')[1] ?? ''), ...(ask.lost ? this.watched : [])]
        this.#held = new Map(keys.map((key) => [key, ask.at < 0 ? undefined : this.valueAt(key, ask.at)]))
        return undefined
      }
      case 'tell':
        for (const [key, value] of this.#held) this.told.set(key, value)
        return undefined
      case 'save':
        this.saved = ask.trail
        return undefined
    }
  }

  /** One round; `meddle` is called before each answer and may change the chain or say 'crash'. */
  round(meddle: () => 'crash' | undefined = () => undefined): void {
    const steps = followRound(this.saved)
    let step = steps.next()
    while (step.done !== true) {
      if (meddle() === 'crash') return
      step = steps.next(this.answer(step.value))
    }
  }
}

const writesOf = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 0, max: 9 }), { maxKeys: 2 })
const eventOf = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('mine' as const), writes: writesOf }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('reorg' as const),
      depth: fc.integer({ min: 1, max: 9 }),
      blocks: fc.array(writesOf, { minLength: 1, maxLength: 10 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'crash' as const }) },
  { weight: 4, arbitrary: fc.constant({ type: 'nothing' as const }) },
)
type WorldEvent =
  | { type: 'mine'; writes: Record<string, number> }
  | { type: 'reorg'; depth: number; blocks: Record<string, number>[] }
  | { type: 'crash' | 'nothing' }

function happen(world: World, event: WorldEvent | undefined): 'crash' | undefined {
  if (event?.type === 'mine') world.mine(event.writes)
  if (event?.type === 'reorg') world.reorganise(event.depth, event.blocks)
  return event?.type === 'crash' ? 'crash' : undefined
}

describe('log follower', () => {
  test('whatever the chain does between two questions, in the end the listener knows the state at the newest confirmed block', () => {
    fc.assert(
      fc.property(
        fc.array(eventOf, { maxLength: 60 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 12 }),
        (events, confirmations, maxRange, maxSpan, keep) => {
          const world = new World(confirmations, maxRange, maxSpan, keep)
          const queue = [...events]
          while (queue.length > 0) world.round(() => happen(world, queue.shift()))
          // A chain at rest: a few rounds, of which the first may only notice that the RPC lags.
          for (let i = 0; i <= LAG_ROUNDS + 1; i++) world.round()
          // On a chain that became shorter the mark may stand on a block that is still there and was confirmed once.
          const at = cursorOf(world.saved)
          assert(at >= Math.max(-1, world.safe) && at < world.blocks.length)
          for (const key of world.watched) assert.equal(world.told.get(key), world.valueAt(key, at), key)
          for (const block of world.blocks.slice(0, at + 1))
            for (const key of Object.keys(block.writes)) assert(world.told.has(key))
        },
      ),
      { numRuns: 3000 },
    )
  })

  test('a change in a block that is not confirmed is not told', () => {
    const world = new World(2, 100, 100, 100)
    world.mine({ a: 1 })
    world.mine({})
    world.round()
    assert.equal(world.told.has('a'), false)
    world.mine({})
    world.round()
    assert.equal(world.told.get('a'), 1)
  })

  test('a channel whose opening was taken back is told as gone', () => {
    const world = new World(0, 100, 100, 100)
    world.mine({ a: 1 })
    world.round()
    world.reorganise(1, [{}])
    world.round()
    assert.equal(world.told.get('a'), undefined)
    assert(world.told.has('a'))
  })

  test('what is watched late is told at once, and again when the block under it falls', () => {
    const world = new World(0, 100, 100, 100)
    world.mine({ a: 1 })
    world.round()
    world.told.clear()
    world.saved = withWatched(world.saved, ['watched a'])
    world.round()
    assert.equal(world.told.get('a'), 1)
    world.told.clear()
    world.reorganise(1, [{}, {}])
    world.round()
    assert(world.told.has('a'))
  })

  test('ranges shrink until the RPC takes them and grow again', () => {
    const world = new World(0, 3, 64, 100)
    for (let i = 0; i < 40; i++) world.mine({ a: i })
    world.round()
    assert.equal(cursorOf(world.saved), 40)
    assert.equal(world.told.get('a'), 39)
    assert(world.saved.span >= 3)
  })

  test('an RPC that refuses even one block is an error, not an endless loop', () => {
    const world = new World(0, 0, 64, 100)
    world.mine({ a: 1 })
    assert.throws(() => world.round(), RefusedError)
  })

  test('an RPC that lags for a moment makes nothing doubtful', () => {
    const world = new World(0, 100, 100, 100)
    world.mine({ a: 1 })
    world.mine({ a: 2 })
    world.round()
    world.told.clear()
    const last = world.blocks.pop()
    world.round()
    assert.equal(world.saved.behind, 1)
    if (last !== undefined) world.blocks.push(last)
    world.round()
    assert.equal(world.told.size, 0)
    assert.equal(world.saved.behind, 0)
  })

  test('a chain that was cut back is believed after some rounds', () => {
    const world = new World(0, 100, 1, 100)
    world.mine({ a: 1 })
    world.mine({ a: 2 })
    world.round()
    world.blocks.pop()
    for (let i = 0; i <= LAG_ROUNDS; i++) world.round()
    assert.equal(world.told.get('a'), 1)
  })

  test('marks are forgotten behind the depth that is kept, but one stays as the ground', () => {
    const world = new World(0, 100, 1, 5)
    for (let i = 0; i < 30; i++) world.mine({})
    world.round()
    const numbers = world.saved.marks.map((mark) => mark.number)
    assert.deepEqual(numbers, [25, 26, 27, 28, 29, 30])
  })
})
