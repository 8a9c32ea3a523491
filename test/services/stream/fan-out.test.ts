import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FanOut } from '../../../src/services/stream/fan-out.ts'

const never = new AbortController().signal

/** A source that is driven by hand. */
function source() {
  let give: ((next: IteratorResult<Uint8Array>) => void) | undefined
  let isAsked = Promise.withResolvers<void>()
  const state = { opened: 0, pulled: 0, left: 0 }
  const open = async (signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> => {
    state.opened += 1
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          state.pulled += 1
          return new Promise((resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason), { once: true })
            give = resolve
            isAsked.resolve()
          })
        },
        return: async () => {
          state.left += 1
          return { done: true, value: undefined }
        },
      }),
    }
  }
  /** Waits until it is pulled, and gives this. */
  const say = async (value: string | undefined): Promise<void> => {
    await isAsked.promise
    isAsked = Promise.withResolvers()
    give?.(value === undefined ? { done: true, value: undefined } : { done: false, value: Buffer.from(value) })
  }
  return { open, say, state }
}

const textOf = ({ value }: IteratorResult<Uint8Array>): string => Buffer.from(value ?? []).toString()
async function rest(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += Buffer.from(piece).toString()
  return text
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('one source for many readers', () => {
  test('is opened once, and each reader gets what comes from when it joined', async () => {
    const { open, say, state } = source()
    const fan = new FanOut(open, {})
    const first = await fan.join(never)
    await say('one ')
    await turn()
    const second = await fan.join(never)
    await say('two')
    await turn()
    await say(undefined)
    assert.deepEqual(await Promise.all([rest(first), rest(second)]), ['one two', 'two'])
    assert.deepEqual([state.opened, state.left], [1, 1])
  })

  test('a reader that falls behind by more than its buffer is cut, and the others get everything', async () => {
    const { open, say } = source()
    const fan = new FanOut(open, { bufferBytes: 10 })
    const quick = (await fan.join(never))[Symbol.asyncIterator]()
    const slow = (await fan.join(never))[Symbol.asyncIterator]()
    for (const word of ['1234', '5678', '9abc', 'defg']) {
      await say(word)
      assert.equal(textOf(await quick.next()), word)
    }
    await assert.rejects(slow.next(), { code: 'SERVICE_FAILED', message: /too slow/ })
    await say('last')
    assert.equal(textOf(await quick.next()), 'last')
    await quick.return?.()
  })

  test('while all readers have enough the source is not read', async () => {
    const { open, say, state } = source()
    const fan = new FanOut(open, {})
    const reader = (await fan.join(never))[Symbol.asyncIterator]()
    await say('x'.repeat(70_000))
    await turn()
    await turn()
    assert.equal(state.pulled, 1)
    assert.equal(textOf(await reader.next()).length, 70_000)
    await say('more')
    assert.equal(textOf(await reader.next()), 'more')
    await reader.return?.()
  })

  test('the source is left after the last reader, and opened anew for the next', async () => {
    const { open, say, state } = source()
    const fan = new FanOut(open, {})
    const stop = new AbortController()
    const readers = [await fan.join(never), await fan.join(stop.signal)].map((one) => one[Symbol.asyncIterator]())
    await say('x')
    assert.equal(textOf((await readers[0]?.next()) ?? assert.fail()), 'x')
    await readers[0]?.return?.()
    await turn()
    assert.equal(state.left, 0)
    stop.abort()
    await turn()
    assert.equal(state.left, 1)
    const next = (await fan.join(never))[Symbol.asyncIterator]()
    await say('again')
    assert.equal(textOf(await next.next()), 'again')
    assert.equal(state.opened, 2)
    await next.return?.()
  })

  test('a source that cannot be opened fails those who wait for it, and is tried again for the next', async () => {
    let tries = 0
    const fan = new FanOut(async () => {
      tries += 1
      throw new Error('no')
    }, {})
    await assert.rejects(Promise.all([fan.join(never), fan.join(never)]))
    await assert.rejects(fan.join(never))
    assert.equal(tries, 2)
  })

  test('no more readers than allowed: BUSY', async () => {
    const { open } = source()
    const fan = new FanOut(open, { maxReaders: 1 })
    await fan.join(never)
    await assert.rejects(fan.join(never), { code: 'BUSY' })
  })
})
