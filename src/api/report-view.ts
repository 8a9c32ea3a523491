/** What was earned or spent, as plain data: from the sessions and channels on record, and from the transactions with their fees. */
import { formatDecimal } from '../core/decimal.ts'
import { type Address, formatAddress, type Seconds } from '../core/ids.ts'
import { type ReportFigures, type ReportKey, type ReportLine, ReportSheet } from '../core/report.ts'
import { earningOf, spendingOf } from '../core/session/report-entry.ts'
import type { TokenInfo } from '../core/token.ts'
import type { TallyNode } from '../node/node.ts'
import type { Job } from '../ports/chain.ts'
import { formatGas } from './job-view.ts'

export type ReportSide = 'earnings' | 'spend'

export interface ReportRequest {
  readonly side: ReportSide
  readonly by: readonly ReportKey[]
  /** sessions that were opened from here on, transactions that were asked for from here on */
  readonly since?: Seconds | undefined
  /** and before */
  readonly until?: Seconds | undefined
}

/** Amounts are texts with their token, counts are decimal texts. */
export interface FiguresView {
  readonly sessions: number
  readonly delivered_bytes: string
  readonly up_bytes: string
  readonly running_ms: string
  readonly calls: string
  readonly units: string
  readonly delivered: string
  readonly billed: string
  readonly signed: string
  readonly settled: string
  readonly beyond: string
}

export interface ReportLineView extends FiguresView {
  /** as in 2026-11-25, UTC; absent where it is not grouped by day. So are the others */
  readonly day?: string
  readonly offer?: string
  /** the account of the other end */
  readonly peer?: string
  readonly token: string
}

export interface TotalView extends FiguresView {
  readonly token: string
  /** what left the ledger of that, never more than was settled; in `earnings` */
  readonly withdrawn?: string
}

export interface FeesView {
  readonly transactions: number
  readonly gas_used: string
  readonly fee: string
  /** what relays got for those that they handed in, in tokens; absent where none did */
  readonly relays?: { readonly transactions: number; readonly fee: string }
  readonly by_kind: readonly { readonly kind: string; readonly transactions: number; readonly fee: string }[]
}

export interface ReportView {
  readonly report: ReportSide
  readonly by: readonly ReportKey[]
  /** unix seconds; `until` is not in it */
  readonly since: number | undefined
  readonly until: number | undefined
  readonly lines: readonly ReportLineView[]
  /** one for each token; the sum of its lines */
  readonly totals: readonly TotalView[]
  /** what the transactions cost, in the gas coin */
  readonly fees: FeesView
  /** in `earnings`: what was handed in for others in these days; absent where nothing was */
  readonly relaying?: { readonly handed_in: number; readonly failed: number; readonly fees: string; readonly gas: string }
  /** all channels, whatever the days: what no session on record explains may be below zero */
  readonly channels: readonly { readonly token: string; readonly signed: string; readonly settled: string; readonly unexplained: string }[]
} // biome-ignore format: a record

/** transactions of a provider; all others are a consumer's, so that no fee is in neither report */
const EARNING: readonly string[] = ['settle', 'settle-batch', 'withdraw']

/** Reads every session and channel once; holds lines, no sessions. @throws USAGE when there are too many lines, ABORTED, STORE_* */
export async function reportView(
  node: TallyNode,
  request: ReportRequest,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<ReportView> {
  const { side, by, since, until } = request
  const role = side === 'earnings' ? 'payee' : 'payer'
  const sheet = new ReportSheet({ by, since, until })
  for await (const entry of side === 'earnings' ? earnings(node) : spendings(node)) {
    signal?.throwIfAborted()
    sheet.session(entry)
  }
  for await (const channel of node.money.channels()) {
    signal?.throwIfAborted()
    if (channel.role === role) sheet.channel({ ...channel, token: channel.parties.token })
  }
  const { lines, totals, books } = sheet.report()
  const jobs = node.chain.transactions.list().filter((job) => isWithin(job, request))
  return {
    report: side,
    by,
    since,
    until,
    lines: lines.map((line) => lineView(line, tokenOf(node, line.token))),
    totals: totals.map((total) => {
      const token = tokenOf(node, total.token)
      const taken = { withdrawn: show(withdrawnOf(jobs, total), token) }
      return { token: token.symbol, ...figuresView(total, token), ...(side === 'earnings' && taken) }
    }),
    fees: feesView(node, jobs.filter(({ kind }) => EARNING.includes(kind) === (side === 'earnings'))),
    ...(side === 'earnings' && (await relaying(node, request))),
    channels: books.map(({ token: address, signed, settled, unexplained }) => {
      const token = tokenOf(node, address)
      return { token: token.symbol, signed: show(signed, token), settled: show(settled, token), unexplained: show(unexplained, token) }
    }),
  } // biome-ignore format: a record
}

async function* earnings(node: TallyNode) {
  for await (const session of node.history.sold()) {
    const entry = earningOf(session)
    if (entry !== undefined) yield entry
  }
}

async function* spendings(node: TallyNode) {
  for await (const session of node.history.bought()) {
    const entry = spendingOf(session)
    if (entry !== undefined) yield entry
  }
}

/** One of which it is not known when it was counts where no day is asked for. */
function isWithin({ at }: Pick<Job, 'at'>, { since, until }: ReportRequest): boolean {
  if (at === undefined) return since === undefined && until === undefined
  return (since === undefined || at >= since) && (until === undefined || at < until)
}

/** A withdrawal may also take back what was put in: of earnings it is no more than they were. */
function withdrawnOf(jobs: readonly Job[], { token, settled }: ReportLine): bigint {
  let sum = 0n
  for (const { state, withdrawn } of jobs)
    if (withdrawn?.token === token && (state === 'mined' || state === 'confirmed')) sum += withdrawn.amount
  return sum < settled ? sum : settled
}

/** What others paid for having their transactions handed in. */
async function relaying(node: TallyNode, request: ReportRequest): Promise<Pick<ReportView, 'relaying'>> {
  const { token } = node
  const sums = { handed_in: 0, failed: 0, fees: 0n, gas: 0n }
  for await (const one of node.history.relayed()) {
    if (!isWithin(one, request) || one.token !== token.address) continue
    sums.gas += one.feeWei
    if (one.end === 'failed') sums.failed++
    if (one.end !== 'done') continue
    sums.handed_in++
    sums.fees += one.fee
  }
  if (sums.handed_in + sums.failed === 0) return {}
  return { relaying: { ...sums, fees: show(sums.fees, token), gas: formatGas(sums.gas) } }
}

function feesView(node: TallyNode, jobs: readonly Job[]): FeesView {
  const done = jobs.flatMap(({ relay, state }) =>
    relay !== undefined && (state === 'mined' || state === 'confirmed') ? [relay.fee] : [],
  )
  const relays = {
    transactions: done.length,
    fee: show(
      done.reduce((sum: bigint, fee) => sum + fee, 0n),
      node.token,
    ),
  }

  const paid = jobs.filter(({ feeWei }) => feeWei !== undefined)
  const kinds = Map.groupBy(paid, ({ kind }) => kind)
  const fee = (some: readonly Job[]): string => formatGas(some.reduce((sum, job) => sum + (job.feeWei ?? 0n), 0n))
  return {
    transactions: paid.length,
    gas_used: `${paid.reduce((sum, job) => sum + (job.gasUsed ?? 0n), 0n)}`,
    fee: fee(paid),
    ...(done.length > 0 && { relays }),
    by_kind: [...kinds].map(([kind, some]) => ({ kind, transactions: some.length, fee: fee(some) })),
  }
}

function lineView(line: ReportLine, token: TokenInfo): ReportLineView {
  const { day, offer, peer } = line
  return {
    ...(day !== undefined && { day: new Date(day * 86_400_000).toISOString().slice(0, 10) }),
    ...(offer !== undefined && { offer }),
    ...(peer !== undefined && { peer: formatAddress(peer) }),
    token: token.symbol,
    ...figuresView(line, token),
  }
}

function figuresView({ sessions, counts, ...sums }: ReportFigures, token: TokenInfo): FiguresView {
  return {
    sessions,
    delivered_bytes: `${counts.down}`, up_bytes: `${counts.up}`, running_ms: `${counts.ms}`, calls: `${counts.calls}`, units: `${counts.units}`,
    delivered: show(sums.delivered, token), billed: show(sums.billed, token), signed: show(sums.signed, token), settled: show(sums.settled, token),
    beyond: show(sums.beyond, token),
  } // biome-ignore format: a record
}

/** A sum, which may be more than an amount can hold, or a difference. */
function show(sum: bigint, { decimals, symbol }: TokenInfo): string {
  return `${sum < 0n ? '-' : ''}${formatDecimal(sum < 0n ? -sum : sum, decimals)} ${symbol}`
}

/** A token that this node had before and has no more: in base units. */
function tokenOf({ token }: TallyNode, address: Address): TokenInfo {
  return token.address === address ? token : { address, symbol: 'base', decimals: 0 }
}
