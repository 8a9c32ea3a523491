/** How much one kind of message is allowed. */
export interface RateLimit {
  /** Messages per second in the long run; greater than zero. */
  readonly perSecond: number
  /** Messages that may come at once after a pause; at least 1. */
  readonly burst: number
}

export interface RateLimiterInit extends RateLimit {
  /** The time at which the bucket is full: milliseconds of a monotonic clock. */
  readonly nowMs: number
}

/**
 * A token bucket. Reads no clock: the caller gives the time, so a replay gives the same answers. A clock that steps back
 * adds nothing and takes nothing.
 */
export interface RateLimiter {
  /** True, and `cost` (default 1) is used up, when the limit allows it now; else false and nothing is used up. */
  take(nowMs: number, cost?: number): boolean
  /** Milliseconds from `nowMs` until `cost` would be allowed; Infinity when `cost` is above the burst. */
  waitMs(nowMs: number, cost?: number): number
}

/**
 * A full token bucket. Use one for each message type and peer.
 *
 * @throws RangeError when a limit is not a positive number
 */
export function rateLimiter(init: RateLimiterInit): RateLimiter {
  const { perSecond, burst } = init
  if (!(perSecond > 0 && Number.isFinite(perSecond))) throw new RangeError('perSecond must be a positive number')
  if (!(burst >= 1 && Number.isFinite(burst))) throw new RangeError('burst must be at least 1')
  let tokens = burst
  let last = init.nowMs
  const refill = (nowMs: number): void => {
    if (nowMs <= last) return
    tokens = Math.min(burst, tokens + ((nowMs - last) * perSecond) / 1000)
    last = nowMs
  }
  return {
    take(nowMs, cost = 1) {
      refill(nowMs)
      if (tokens < cost) return false
      tokens -= cost
      return true
    },
    waitMs(nowMs, cost = 1) {
      if (cost > burst) return Number.POSITIVE_INFINITY
      refill(nowMs)
      return tokens >= cost ? 0 : Math.ceil(((cost - tokens) * 1000) / perSecond)
    },
  }
}
