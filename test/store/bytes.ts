import type { Space, Store, StoreOp } from '../../src/ports/store.ts'

export function put(space: Space, key: Uint8Array, value: Uint8Array): StoreOp {
  return { type: 'put', space, key, value }
}

export function del(space: Space, key: Uint8Array): StoreOp {
  return { type: 'del', space, key }
}

/** The number as four bytes, so that the order of keys is the order of numbers. */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

export function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values)
}

/** Bytes that do not compress and that depend on the seed alone: LevelDB checks compressed blocks, but not these. */
export function noise(seed: number, length: number): Uint8Array {
  const made = new Uint8Array(length)
  let state = seed + 0x9e37_79b9
  for (let i = 0; i < length; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + 0x6d2b_79f5
    made[i] = state >>> 24
  }
  return made
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

export async function keysOf(store: Store, space: Space, range?: Parameters<Store['list']>[1]): Promise<number[][]> {
  return (await all(store.list(space, range))).map(([key]) => [...key])
}
