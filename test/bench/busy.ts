/** What a process did with the machine: what bounds a figure. */
import { performance } from 'node:perf_hooks'

let lastLoop = performance.eventLoopUtilization()
let lastCpu = process.cpuUsage()

export interface Busy {
  /** the share of the time in which the event loop did something, 0 to 1 */
  readonly loop: number
  /** processor time of all threads, in milliseconds */
  readonly cpuMs: number
}

/** Since the last call. */
export function busySince(): Busy {
  const now = performance.eventLoopUtilization()
  const loop = performance.eventLoopUtilization(now, lastLoop).utilization
  const { user, system } = process.cpuUsage(lastCpu)
  lastLoop = now
  lastCpu = process.cpuUsage()
  return { loop, cpuMs: (user + system) / 1000 }
}
