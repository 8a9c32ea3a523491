/**
 * What a node shows of itself, as plain data: the same object on the control socket, in `--json`, and behind every table. Amounts are
 * texts with their token, such as '0.5 USDC', that read back to the same value; times are unix seconds.
 */
import type { Amount } from '../core/amount.ts'
import { formatAddress } from '../core/ids.ts'
import { formatCount, formatPrice } from '../core/price-text.ts'
import { type Criterion, type Ranked, type Stake, whyFirst } from '../core/ranking.ts'
import type { Counts } from '../core/session/counts.ts'
import { dueOf, type PayeeSession, writtenMeter } from '../core/session/payee.ts'
import { owedOf, type PayerSession, usedMeter } from '../core/session/payer.ts'
import { formatAmount, type TokenInfo } from '../core/token.ts'
import type { Found } from '../discovery/market.ts'
import type { Appraised } from '../node/appraiser.ts'
import type { ChannelEntry } from '../node/money.ts'
import type { TallyNode } from '../node/node.ts'
import { formatGas, type JobView, jobView } from './job-view.ts'
import { type RelayView, relayView } from './relay-view.ts'

export interface BalanceView {
  readonly account: string
  /** tokens outside the ledger */
  readonly wallet: string
  /** in the ledger, in no channel */
  readonly ledger: string
  /** where plain transfers for this node may be sent, and what lies there */
  readonly deposit_address: string
  readonly waiting: string
  /** in channels of this node, not promised to anybody */
  readonly reserved: string
  /** promised to this node, not settled */
  readonly unsettled: string
  /** the coin that pays for transactions */
  readonly gas: string
}

export interface ChannelView {
  readonly id: string
  readonly role: 'payer' | 'payee'
  readonly owner: string
  readonly signer: string
  readonly target: string
  readonly deposit: string
  readonly signed: string
  readonly settled: string
  readonly unsettled: string
  readonly free: string
  readonly expiry: number
  readonly expired: boolean
  readonly epoch: number
}

export interface OfferView {
  readonly provider: string
  readonly peer: string
  readonly service: string
  readonly kind: string
  readonly description: string
  readonly price: string
  readonly chunk: string
  readonly min_reservation: string
  readonly min_time_to_expiry_s: number
  /** what counts of a reservation that is not confirmed yet */
  readonly unconfirmed_credit: string
  readonly addresses: readonly string[]
  readonly took_ms: number
}

/** What a search came to. */
export interface FoundView {
  /** one line: why the first is first */
  readonly why: string
  /** the best first */
  readonly offers: readonly RankedOfferView[]
}

export interface RankedOfferView extends OfferView {
  /** points of a hundred, and where they come from */
  readonly score: string
  readonly points: Readonly<Record<Criterion, string>>
  /** what the registry on chain says: nothing, that the offer keeps its word, or that it breaks it */
  readonly stake: Stake
  /** this node's own sessions with the provider */
  readonly sessions_completed: number
  readonly sessions_failed: number
  readonly paid: string
}

export interface SessionView {
  readonly session: string
  readonly role: 'payer' | 'payee'
  readonly service: string
  readonly with: string
  readonly state: string
  readonly delivered_bytes: string
  /** what was charged beside: bytes of the consumer, calls, units */
  readonly up_bytes: string
  readonly calls: string
  readonly units: string
  readonly running_ms: string
  /** what the meter costs */
  readonly billed: string
  readonly signed: string
}

export interface ChainView {
  readonly reachable: boolean
  readonly chain_id: number
  readonly ledger: string
  readonly head: number | undefined
  readonly confirmed: number | undefined
  readonly error: string | undefined
}

export interface StatusView {
  readonly version: string
  readonly home: string
  readonly account: string
  readonly peer: string
  /** the process that runs the node; absent when it was opened only to be looked at */
  readonly running: { readonly pid: number; readonly since: number } | undefined
  readonly addresses: readonly string[]
  readonly peers: number
  readonly chain: ChainView
  readonly token: { readonly symbol: string; readonly decimals: number; readonly address: string }
  /** absent while the chain does not answer */
  readonly balance: BalanceView | undefined
  readonly selling: readonly { readonly service: string; readonly kind: string; readonly price: string; readonly chunk: string }[]
  readonly sessions: readonly SessionView[]
  /** sums over all channels in which this node is paid, and in which it pays */
  readonly earned: { readonly signed: string; readonly settled: string; readonly unsettled: string }
  readonly spent: { readonly deposit: string; readonly signed: string; readonly settled: string; readonly free: string }
  readonly unfinished: readonly JobView[]
  /** absent where this node is no relay */
  readonly relay: RelayView | undefined
  readonly warnings: readonly string[]
}

export async function balanceView(node: TallyNode, options: { signal?: AbortSignal } = {}): Promise<BalanceView> {
  const [{ token, wallet, ledger, waiting, reserved, unsettled, gasWei }, depositAddress] = await Promise.all([
    node.money.balances(options),
    node.money.depositAddress(options),
  ])
  const show = (amount: Amount): string => formatAmount(amount, token)
  return {
    account: formatAddress(node.address),
    wallet: show(wallet),
    ledger: show(ledger),
    deposit_address: formatAddress(depositAddress),
    waiting: show(waiting),
    reserved: show(reserved),
    unsettled: show(unsettled),
    gas: formatGas(gasWei),
  }
}

export function channelView(
  { id, role, parties, expiry, epoch, ...books }: ChannelEntry,
  token: TokenInfo,
  nowS: number,
): ChannelView {
  const show = (amount: Amount): string => formatAmount(amount, token)
  return {
    id, role, owner: formatAddress(parties.owner), signer: formatAddress(parties.signer), target: formatAddress(parties.target),
    deposit: show(books.deposit), signed: show(books.signed), settled: show(books.settled), unsettled: show(books.unsettled), free: show(books.free),
    expiry, expired: expiry <= nowS, epoch,
  } // biome-ignore format: a record
}

function offerView({ peer, offer, tookMs }: Found, token: TokenInfo): OfferView {
  const { price, chunk } = offer
  return {
    provider: formatAddress(offer.provider), peer: peer.toString(), service: offer.service, kind: offer.kind, description: offer.description,
    price: formatPrice(price, token), chunk: formatCount(chunk.kind, chunk.size, price.unitName), min_reservation: formatAmount(offer.minReservation, token),
    min_time_to_expiry_s: offer.minTimeToExpiry, unconfirmed_credit: formatAmount(offer.unconfirmedCredit ?? (0n as Amount), token), addresses: offer.addresses, took_ms: Math.round(tookMs),
  } // biome-ignore format: a record
}

export function foundView(ranked: readonly Ranked<Appraised>[], token: TokenInfo): FoundView {
  return { why: whyFirst(ranked), offers: ranked.map((one) => rankedView(one, token)) }
}

function rankedView({ candidate, points, score }: Ranked<Appraised>, token: TokenInfo): RankedOfferView {
  const { found, stake, record } = candidate
  return {
    ...offerView(found, token), score: formatPoints(score), stake, sessions_completed: record.completed, sessions_failed: record.failed,
    points: { price: formatPoints(points.price), record: formatPoints(points.record), latency: formatPoints(points.latency),
      demands: formatPoints(points.demands), stake: formatPoints(points.stake) },
    paid: formatAmount(record.paid, token),
  } // biome-ignore format: a record
}

/** Millionths of a point as a decimal, two places. */
function formatPoints(millionths: number): string {
  const hundredths = Math.round(millionths / 10_000)
  return `${Math.floor(hundredths / 100)}.${`${hundredths % 100}`.padStart(2, '0')}`
}

const countsView = ({ up, calls, units }: Counts) => ({ up_bytes: `${up}`, calls: `${calls}`, units: `${units}` })

export function buyingView(session: PayerSession, token: TokenInfo): SessionView {
  const { down, ms, ...counts } = usedMeter(session)
  return {
    session: session.id, role: 'payer', service: session.wish.service, with: formatAddress(session.wish.provider), state: session.status,
    delivered_bytes: `${down}`, ...countsView(counts), running_ms: `${ms}`, billed: formatAmount(owedOf(session), token), signed: formatAmount(session.total, token),
  } // biome-ignore format: a record
}

export function sellingView(session: PayeeSession, token: TokenInfo): SessionView {
  const { down, ms, ...counts } = writtenMeter(session)
  return {
    session: session.id, role: 'payee', service: session.terms.service, with: formatAddress(session.terms.owner), state: session.status,
    delivered_bytes: `${down}`, ...countsView(counts), running_ms: `${ms}`, billed: formatAmount(dueOf(session), token), signed: formatAmount(session.total, token),
  } // biome-ignore format: a record
}

async function sessionViews(node: TallyNode): Promise<SessionView[]> {
  const { token } = node
  const selling = [...node.selling].map((session) => sellingView(session, token))
  const cut = await Array.fromAsync(node.resumable)
  return [...selling, ...[...node.buying, ...cut].map((session) => buyingView(session, token))]
}

export interface StatusInit {
  readonly version: string
  readonly home: string
  readonly running: { readonly pid: number; readonly since: number } | undefined
  readonly nowS: number
}

const SOON_S = 24 * 3_600
const MAX_WARNINGS = 20

/** Never fails because the chain does: then it says so instead of the balance. */
export async function statusView(node: TallyNode, init: StatusInit, options: { signal?: AbortSignal } = {}): Promise<StatusView> {
  const { token, chain } = node
  const show = (amount: Amount): string => formatAmount(amount, token)
  const balance = await balanceView(node, options).catch(() => undefined)
  const { reachable, head, confirmed, error } = chain.status()
  const { earned, spent } = node.money.sums
  return {
    version: init.version,
    home: init.home,
    account: formatAddress(node.address),
    peer: node.peerId.toString(),
    running: init.running,
    addresses: node.addresses,
    peers: node.peers,
    chain: { reachable, chain_id: chain.chainId, ledger: formatAddress(chain.ledger), head, confirmed, error: error?.message },
    token: { symbol: token.symbol, decimals: token.decimals, address: formatAddress(token.address) },
    balance,
    selling: node.offers.map(({ offer: { service, kind, price, chunk } }) => {
      return { service, kind, price: formatPrice(price, token), chunk: formatCount(chunk.kind, chunk.size, price.unitName) }
    }),
    sessions: await sessionViews(node),
    earned: { signed: show(earned.signed), settled: show(earned.settled), unsettled: show(earned.unsettled) },
    spent: { deposit: show(spent.deposit), signed: show(spent.signed), settled: show(spent.settled), free: show(spent.free) },
    unfinished: chain.transactions.list().filter(({ state }) => !['confirmed', 'failed', 'replaced'].includes(state)).map((job) => jobView(job, token)), // biome-ignore format: one thought
    relay: relayView(node),
    warnings: await warnings(node, show, init.nowS),
  }
}

/** What a person should do something about, not more than can be read. */
async function warnings(node: TallyNode, show: (amount: Amount) => string, nowS: number): Promise<string[]> {
  const found: string[] = []
  for await (const channel of node.money.unused()) {
    if (found.length >= MAX_WARNINGS || channel.expiry > nowS) break
    found.push(...warningsOf(channel, show, nowS))
  }
  for await (const channel of node.money.due()) {
    if (found.length >= MAX_WARNINGS || channel.expiry - nowS >= SOON_S) break
    found.push(...warningsOf(channel, show, nowS))
  }
  return found
}

function warningsOf(
  { id, role, expiry, unsettled, free }: ChannelEntry,
  show: (amount: Amount) => string,
  nowS: number,
): string[] {
  const left = expiry - nowS
  if (role === 'payee' && unsettled > 0n && left > 0 && left < SOON_S) {
    return [`channel ${id} expires within a day and ${show(unsettled)} are not settled: tallystick channel settle ${id}`]
  }
  if (role === 'payer' && free > 0n && left <= 0)
    return [`the reservation of channel ${id} is over; take ${show(free)} back: tallystick channel reclaim ${id}`]
  return []
}
