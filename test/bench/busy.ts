/** How busy the one thread of a process was: what is near 1 bounds the figure. */
import { performance } from 'node:perf_hooks'

let last = performance.eventLoopUtilization()

/** The share of the time since the last call in which the event loop did something, 0 to 1. */
export function busySince(): number {
  const now = performance.eventLoopUtilization()
  const { utilization } = performance.eventLoopUtilization(now, last)
  last = now
  return utilization
}
