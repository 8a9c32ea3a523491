/** What a failure of a session means for the purchase. */
import { ERRORS, type ErrorCode } from '../../core/errors.ts'

/** the session is over, and a new one may do better */
export const NEW_SESSION: readonly ErrorCode[] = ['SESSION_UNKNOWN', 'SHUTTING_DOWN', 'BUSY', 'CONTENT_CHANGED', 'RATE_EXCEEDED']
/** the reservation is used up or over, and more may be reserved */
export const MORE_RESERVED: readonly ErrorCode[] = ['AMOUNT_OVER_DEPOSIT', 'CHANNEL_EXPIRED']
/** a reservation that was just made may not be known there yet */
export const NOT_SEEN: readonly ErrorCode[] = ['CHANNEL_UNKNOWN', 'RESERVATION_TOO_SMALL']
/** no other provider can help */
export const OWN: readonly ErrorCode[] = ['ABORTED', 'BUDGET_REACHED', 'INTERNAL', 'USAGE', 'FUNDS_LOW', 'GAS_LOW', 'TX_UNKNOWN', 'TX_REVERTED', 'CHAIN_UNREACHABLE', 'CHAIN_WRONG', 'CONTRACT_MISSING', 'STORE_FAILED'] // biome-ignore format: a list

/** Whether the other end may be told; a user who stops has simply had enough. */
export function isForPeers(code: ErrorCode | undefined): code is ErrorCode {
  return code !== undefined && 'wire' in ERRORS[code]
}
