import type { Seconds } from '../core/ids.ts'

/** The two clocks of a node: one that never goes back, and one that people read. */
export interface Clock {
  /** monotonic milliseconds, of no particular origin */
  nowMs(): number
  /** unix seconds */
  nowS(): Seconds
}
