/** What a buyer who did not get everything should do next. */
import { dialable } from '../../api/node-control.ts'
import type { Amount } from '../../core/amount.ts'
import { TallyError } from '../../core/errors.ts'
import { formatSize } from '../../core/size.ts'
import { formatAmount } from '../../core/token.ts'
import type { Found } from '../../discovery/market.ts'
import { PartlyDelivered } from '../failure.ts'
import type { OpenedNode } from '../open-node.ts'
import type { Outcome, PurchaseInit } from './delivery.ts'

/** A purchase and the node that makes it. */
export interface Deal {
  readonly opened: OpenedNode
  readonly found: Found
  readonly init: PurchaseInit
}

/** As much of a deal as a reservation depends on. */
type Reserved = Pick<Deal, 'opened' | 'found'> & { readonly init: Pick<PurchaseInit, 'budget'> }

/** Why not everything was got, with the exit code that says so and the next step. */
export async function ending(deal: Deal, { paid, bytes, ms, resumable }: Outcome, failure: TallyError): Promise<Error> {
  const { opened, found, init } = deal
  const { node } = opened
  const { token } = node
  if (failure.code === 'BUDGET_REACHED') {
    const free = (await node.money.payingTo(found.provider))?.free ?? (0n as Amount)
    if (paid < init.budget && free < init.budget - paid) {
      return new TallyError('AMOUNT_OVER_DEPOSIT', {
        message: `the reservation is used up: ${formatAmount(free, token)} are free; ${formatSize(bytes)} were delivered`,
        hint: topUp(deal),
      })
    }
    return new TallyError('BUDGET_REACHED', {
      message: `the budget of ${formatAmount(init.budget, token)} is used up; ${formatSize(bytes)} were delivered`,
      hint: 'what has come is kept; the same command with a budget goes on from there',
    })
  }
  if (bytes === 0n && ms === 0n && !resumable) return advised(failure, deal)
  const hint = resumable ? 'the same command goes on with this session at the same byte' : failure.hint
  return new PartlyDelivered(
    new TallyError(failure.code, {
      message: `partly delivered: ${failure.message}`,
      ...(hint !== undefined && { hint }),
      cause: failure,
    }),
  )
}

/** The same failure with the next step, where it is a reservation that is missing. */
export function advised(thrown: unknown, deal: Reserved): Error {
  if (!(thrown instanceof TallyError)) return thrown instanceof Error ? thrown : new TallyError('INTERNAL', { cause: thrown })
  const why = {
    CHANNEL_UNKNOWN: 'nothing is reserved for this provider yet',
    RESERVATION_TOO_SMALL: undefined,
    AMOUNT_OVER_DEPOSIT: undefined,
    CHANNEL_EXPIRED: undefined,
  }
  if (!(thrown.code in why)) return thrown
  const message = why[thrown.code as keyof typeof why] ?? thrown.message
  return new TallyError(thrown.code, { message, hint: topUp(deal), cause: thrown })
}

function topUp({ found, opened, init }: Reserved): string {
  const { token } = opened.node
  const least = found.offer.minReservation > init.budget ? found.offer.minReservation : init.budget
  return `tallystick channel open ${dialable(found.peer.toString(), found.offer.addresses)} '${formatAmount(least, token)}'`
}
