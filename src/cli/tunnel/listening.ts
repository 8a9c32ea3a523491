/** A port on this computer through which a budget is spent. */
import type { Output } from '../output.ts'

/** A port that others can reach is told of: they pay with it. `address`: as it is listened on, IPv6 in brackets or not. */
export function warnIfShared(out: Output, address: string): void {
  if (!/^(127\.|\[?::1\]?($|:))/.test(address)) out.warn('whoever reaches this port spends your budget')
}
