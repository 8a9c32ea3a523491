/** A session on a reservation that stands in a block and is not confirmed yet, where the provider's offer lets some of it count (S12). */
import type { Amount } from '../core/amount.ts'
import { asTallyError, type ErrorCode } from '../core/errors.ts'
import type { Found } from '../discovery/market.ts'

/** what a provider says that does not see the block yet, or has nothing left in its pool */
const NOT_YET: readonly ErrorCode[] = ['CHANNEL_UNKNOWN', 'RESERVATION_TOO_SMALL', 'CHANNEL_EXPIRED']

/**
 * Begins at once, and else when the reservation is confirmed. `begin` is told how much of an unconfirmed one counts; `expect` hears of what it
 * is that sessions wait for.
 */
export async function beginEarly<T>(
  { offer: { unconfirmedCredit } }: Found,
  begin: (ahead?: Amount) => Promise<T>,
  confirmed: () => Promise<void>,
  expect: (coming: Promise<void>) => void,
): Promise<T> {
  if (unconfirmedCredit === undefined) return await begin()
  try {
    const begun = await begin(unconfirmedCredit)
    expect(confirmed())
    return begun
  } catch (thrown) {
    if (!NOT_YET.includes(asTallyError(thrown).code)) throw thrown
    await confirmed()
    return await begin()
  }
}
