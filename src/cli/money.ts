/** Every change of money goes the same way: what it would do, a dry run or a yes, then the deed and what is there now. */
import type { Control, Done, MoneyRequest, Plan } from '../api/control.ts'
import { ERRORS, TallyError } from '../core/errors.ts'
import type { Cli } from './context.ts'
import { facts, table } from './output.ts'
import { askYes, canAsk } from './prompt.ts'

/** exit code of a dry run that found nothing in the way */
const DRY_RUN = 10
const MONEY_MS = 120_000

/** @throws CONFIRMATION_NEEDED when there is nobody to ask, and what the node throws */
export async function moveMoney(cli: Cli, request: MoneyRequest): Promise<void> {
  const peers = request.kind === 'close' || request.kind === 'open' || (await asksRelays(cli, request))
  await cli.withControl({ peers }, async (control) => {
    const options = { signal: cli.signal(MONEY_MS) }
    const plan = await control.plan(request, options)
    if (cli.options.dryRun === true) return tellPlan(cli, plan)
    if (plan.transactions === 0) return tellNothing(cli, plan)
    await confirm(cli, plan)
    cli.out.note(`${plan.summary} …`)
    tellDone(cli, await carryOut(control, request, cli))
  })
}

/** Whether the network may be needed to find somebody who hands it in. */
async function asksRelays(cli: Cli, { relay }: MoneyRequest): Promise<boolean> {
  return relay !== undefined || (await cli.settings()).config.relays.length > 0
}

async function carryOut(control: Control, request: MoneyRequest, cli: Cli): Promise<Done> {
  try {
    return await control.carryOut(request, { signal: cli.signal(MONEY_MS) })
  } catch (thrown) {
    if (!(thrown instanceof TallyError) || thrown.code !== 'ABORTED') throw thrown
    // a wait that ended is not a transaction that failed
    const hint = 'look before you do it again: tallystick status'
    throw new TallyError('TX_UNKNOWN', { message: `${ERRORS.TX_UNKNOWN.text}: ${thrown.message}`, hint, cause: thrown })
  }
}

async function confirm(cli: Cli, plan: Plan): Promise<void> {
  if (cli.options.yes === true) return
  if (!canAsk()) {
    const hint = 'say yes with --yes, or look first with --dry-run'
    throw new TallyError('CONFIRMATION_NEEDED', { message: `this would ${plan.summary}, and nobody can be asked`, hint })
  }
  for (const line of planLines(plan)) cli.out.note(line)
  if (!(await askYes('do it?', { signal: cli.stop.signal }))) throw new TallyError('ABORTED', { message: 'nothing was done' })
}

function planLines(plan: Plan): string[] {
  const changes = plan.changes.length === 0 ? [] : ['', ...table(['', 'now', 'after'], plan.changes.map(({ what, now, after }) => [what, now, after]), ['now', 'after']), ''] // biome-ignore format: one thought
  const cost =
    plan.fee_at_most === undefined
      ? []
      : plan.relay_fee !== undefined
        ? [`relay   ${plan.relay_fee}, out of the ledger; no gas`]
        : [
            `gas     ${plan.gas}, at most ${plan.fee_at_most}${plan.transactions > 1 ? `, ${plan.transactions} transactions` : ''}`,
          ]
  return [plan.summary, ...changes, ...(plan.transactions === 0 ? [] : cost), ...plan.notes.map((note) => `note    ${note}`)]
}

function tellPlan(cli: Cli, plan: Plan): void {
  cli.out.text(...planLines(plan), 'dry run: nothing was done')
  cli.out.data({ dry_run: true, ...plan })
  cli.exitCode = DRY_RUN
}

function tellNothing(cli: Cli, plan: Plan): void {
  cli.out.text(`${plan.summary}; nothing was done`)
  cli.out.data({ summary: plan.summary, jobs: [] })
}

function tellDone(cli: Cli, done: Done): void {
  const { out } = cli
  const channel: (readonly [string, string])[] = done.channel === undefined ? [] : [['channel', done.channel.id], ['  free', done.channel.free]] // biome-ignore format: a list
  const jobs = done.jobs.map(
    ({ hash, block, fee, relay }) =>
      ['tx', `${hash ?? '?'} in block ${block ?? '?'}, ${relay === undefined ? 'gas' : 'relay'} ${fee ?? '?'}`] as const,
  )
  out.text(
    `${out.tick} ${done.summary}`,
    ...facts([...jobs, ...channel, ['wallet', done.balance.wallet], ['ledger', done.balance.ledger]]),
  )
  out.data(done)
}
