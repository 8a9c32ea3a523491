import type { StoreOp } from '../../src/ports/store.ts'
import { noise, put, u32 } from './bytes.ts'

/** Two records that are only ever committed together. */
export function pairOf(number: number): readonly StoreOp[] {
  return [put('channelIn', u32(number), noise(number, 200)), put('sessionIn', u32(number), noise(number + 1, 60))]
}
