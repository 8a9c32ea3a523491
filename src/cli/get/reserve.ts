/** Whether and how a purchase reserves by itself, and what the user is told of it. */
import type { Amount } from '../../core/amount.ts'
import { TallyError } from '../../core/errors.ts'
import { formatAmount, parseAmount, type TokenInfo } from '../../core/token.ts'
import type { Found } from '../../discovery/market.ts'
import type { ReserveOptions } from '../../node/call-options.ts'
import { pulledOut, type ReservePlan, type ReserveStep } from '../../node/reservations.ts'
import type { Job, RelayWish } from '../../ports/chain.ts'
import type { Cli } from '../context.ts'
import type { OpenedNode } from '../open-node.ts'
import { type RelayFlags, relayWish } from '../options.ts'
import { askYes, canAsk } from '../prompt.ts'

const DAY_S = 86_400

interface Wanted {
  readonly found: Found
  readonly flags: { readonly reserve?: string; readonly providers?: number } & RelayFlags
  readonly budget: Amount
}

/**
 * undefined: it may not. Without --yes, and where the settings do not allow it, `--reserve` asks a person.
 *
 * @throws CONFIRMATION_NEEDED when nobody can be asked, ABORTED when the answer is no
 */
export async function reservation(cli: Cli, opened: OpenedNode, wanted: Wanted): Promise<ReserveOptions | undefined> {
  const { autoReserve } = opened.settings.config.consumer
  const options = reserveOptions(cli, opened, wanted)
  // a dry run moves nothing
  if (cli.options.yes === true || autoReserve || cli.options.dryRun === true) return options
  if (wanted.flags.reserve === undefined) return undefined
  const plan = await opened.node.planReserve(wanted.found, wanted.budget, options, { signal: cli.stop.signal })
  // enough is there; what is used up is filled up only by one who was asked
  if (plan === undefined) return undefined
  const text = planText(plan, opened.node.token)
  if (cli.isLent || !canAsk()) {
    const hint = 'say yes with --yes, or look first with --dry-run'
    throw new TallyError('CONFIRMATION_NEEDED', { message: `this would ${text}, and nobody can be asked`, hint })
  }
  if (!(await askYes(`${text}, and more when it is used up, within the budget?`, { signal: cli.stop.signal })))
    throw new TallyError('ABORTED', { message: 'nothing was done' })
  return options
}

function reserveOptions(cli: Cli, { node, settings }: OpenedNode, { flags, budget }: Wanted): ReserveOptions {
  const { token } = node
  const count = BigInt(flags.providers ?? 1)
  const told = flags.reserve === undefined ? undefined : parseAmount(flags.reserve, token)
  if (told === 0n) throw new TallyError('AMOUNT_INVALID', { message: 'nothing would be reserved', hint: 'leave --reserve out' })
  // what one provider has reserved is not there for the next one
  const upTo = told ?? (((budget + count - 1n) / count) as Amount)
  const most = told === undefined || told * count < budget ? budget : told * count
  return {
    upTo,
    allowance: { left: most as Amount },
    forS: settings.config.consumer.reservationDays * DAY_S,
    relay: wishOf(flags, token),
    tell: (step, job) => cli.out.note(stepText(step, job, token)),
  }
}

/** @throws AMOUNT_INVALID */
function wishOf(flags: RelayFlags, token: TokenInfo): RelayWish | undefined {
  const { peers, maxFee } = relayWish(flags) ?? {}
  if (peers === undefined && maxFee === undefined) return undefined
  return { ...(peers && { peers }), ...(maxFee !== undefined && { maxFee: parseAmount(maxFee, token) }) }
}

function stepText({ amount, expiry }: ReserveStep, job: Job | TallyError | undefined, token: TokenInfo): string {
  const what = amount === 0n ? 'the reservation is prolonged' : `${formatAmount(amount, token)} reserved`
  if (job === undefined)
    return amount === 0n ? 'prolonging the reservation …' : `reserving ${formatAmount(amount, token)} until ${dayOf(expiry)} …`
  if (job instanceof TallyError) return `nothing was reserved: ${job.message}`
  return `${what} until ${dayOf(expiry)}, in block ${job.block ?? '?'} (${job.hash ?? '?'})`
}

/** What a plan would do, for people. */
export function planText({ step, action }: ReservePlan, token: TokenInfo): string {
  const pulled = pulledOut(action)
  const parts = [
    ...(pulled > 0n ? [`${formatAmount(pulled, token)} out of the wallet`] : []),
    ...(pulled < step.amount
      ? [
          `${formatAmount((step.amount - pulled) as Amount, token)} out of the ledger balance${action.kind === 'open' && action.sweep !== undefined ? ' and the deposit address' : ''}`,
        ]
      : []),
  ]
  if (step.amount === 0n) return `prolong the reservation until ${dayOf(step.expiry)}`
  return `reserve ${formatAmount(step.amount, token)} until ${dayOf(step.expiry)}: ${parts.join(' and ')}`
}

const dayOf = (at: number): string => new Date(at * 1000).toISOString().slice(0, 10)
