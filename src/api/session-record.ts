/** Sessions of all times, as plain data. */
import type { Amount } from '../core/amount.ts'
import { codeOfWire, TallyError } from '../core/errors.ts'
import { channelId, formatAddress, type Seconds } from '../core/ids.ts'
import { formatCount, formatPrice } from '../core/price-text.ts'
import type { PayeeSession } from '../core/session/payee.ts'
import type { PayerSession } from '../core/session/payer.ts'
import { settledOf } from '../core/session/report-entry.ts'
import { formatAmount, type TokenInfo } from '../core/token.ts'
import type { ChannelEntry } from '../node/money.ts'
import type { TallyNode } from '../node/node.ts'
import { buyingView, type SessionView, sellingView } from './views.ts'

export interface SessionQuery {
  /** live: it is going on, or beginning; cut: it may be resumed; open: either */
  readonly state: 'open' | 'live' | 'cut' | 'all'
  readonly role?: 'payer' | 'payee' | undefined
  readonly since?: Seconds | undefined
  readonly until?: Seconds | undefined
  /** so many are listed, newest first */
  readonly limit: number
}

export interface SessionLine extends SessionView {
  /** unix seconds; absent before there were terms */
  readonly opened: number | undefined
}

export interface SessionList {
  readonly sessions: readonly SessionLine[]
  /** older ones that the query fits too */
  readonly left_out: number
}

export interface SessionDetail extends SessionLine {
  readonly provider: string
  readonly consumer: string
  readonly channel: string
  readonly price: string
  readonly chunk: string
  /** the terms are good until then, unix seconds */
  readonly expiry: number | undefined
  readonly closed: number | undefined
  /** why it ended: `completed`, or the code of a failure */
  readonly reason: string | undefined
  /** what of earlier sessions is part of what is billed */
  readonly arrears: string
  /** what the provider holds durably of what was signed */
  readonly paid: string
  /** absent where nothing says which of the channel's promises are this session's */
  readonly settled: string | undefined
  /** of the consumer's command */
  readonly budget: string | undefined
  /** who signed the receipt; absent while there is none */
  readonly receipt: 'provider' | 'both' | undefined
}

type Session = PayeeSession | PayerSession

const isBuying = (session: Session): session is PayerSession => 'wish' in session
const openedAt = (session: Session): Seconds => session.terms?.opened ?? (0 as Seconds)

/** Holds no more sessions than are listed, and as many again. @throws STORE_*, ABORTED */
export async function sessionList(
  node: TallyNode,
  query: SessionQuery,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<SessionList> {
  let newest: Session[] = []
  let fitting = 0
  const sort = (): void => {
    newest = newest.sort((a, b) => openedAt(b) - openedAt(a) || (a.id < b.id ? -1 : 1)).slice(0, query.limit)
  }
  for await (const session of sessionsOf(node, query.role)) {
    signal?.throwIfAborted()
    if (!isWanted(session, query)) continue
    fitting++
    newest.push(session)
    if (newest.length >= 2 * query.limit) sort()
  }
  sort()
  return { sessions: newest.map((session) => lineOf(session, node.token)), left_out: fitting - newest.length }
}

/** The session whose id begins so. @throws NOT_FOUND, USAGE when several do, STORE_* */
export async function sessionDetail(
  node: TallyNode,
  start: string,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<SessionDetail> {
  let found: Session | undefined
  for await (const session of sessionsOf(node, undefined)) {
    signal?.throwIfAborted()
    if (!session.id.startsWith(start)) continue
    if (found !== undefined)
      throw new TallyError('USAGE', { message: `${start} is the beginning of several sessions`, hint: 'give more of the id' })
    found = session
  }
  if (found !== undefined) return await detailOf(node, found)
  throw new TallyError('NOT_FOUND', { message: `this node has no session ${start}`, hint: 'tallystick session list --all shows them' }) // biome-ignore format: one thought
}

async function* sessionsOf({ history }: TallyNode, role: SessionQuery['role']): AsyncGenerator<Session> {
  if (role !== 'payer') yield* history.sold()
  if (role !== 'payee') yield* history.bought()
}

function isWanted(session: Session, { state, since, until }: SessionQuery): boolean {
  const at = openedAt(session)
  if ((since !== undefined && at < since) || (until !== undefined && at >= until)) return false
  if (state === 'all') return true
  if (state === 'cut') return session.status === 'cut'
  return session.status !== 'closed' && (state === 'open' || session.status !== 'cut')
}

function lineOf(session: Session, token: TokenInfo): SessionLine {
  const own = tokenOf(session, token)
  return { ...(isBuying(session) ? buyingView(session, own) : sellingView(session, own)), opened: session.terms?.opened }
}

async function detailOf(node: TallyNode, session: Session): Promise<SessionDetail> {
  const { owner, signer, provider, token: address } = isBuying(session) ? session.wish : session.terms
  const token = tokenOf(session, node.token)
  const channel = channelId({ owner, signer, target: provider, token: address })
  const { price, chunk } = session.terms ?? (session as PayerSession).wish.offered
  const entry = await entryOf(node, channel)
  const settled = entry === undefined ? undefined : settledOf(entry, session)
  return {
    ...lineOf(session, node.token),
    provider: formatAddress(provider), consumer: formatAddress(owner), channel,
    price: formatPrice(price, token), chunk: formatCount(chunk.kind, chunk.size, price.unitName),
    expiry: session.terms?.expiry, closed: session.receipt?.receipt.closed, reason: reasonOf(session),
    arrears: formatAmount(session.terms?.arrears ?? (0n as Amount), token), paid: formatAmount(session.paid, token),
    settled: settled === undefined ? undefined : formatAmount(settled, token),
    budget: isBuying(session) ? formatAmount(session.wish.budget, token) : undefined,
    receipt: signersOf(session),
  } // biome-ignore format: a record
}

async function entryOf({ money }: TallyNode, id: ChannelEntry['id']): Promise<ChannelEntry | undefined> {
  for await (const channel of money.channels()) if (channel.id === id) return channel
  return undefined
}

function reasonOf(session: Session): string | undefined {
  if (isBuying(session) && session.failure !== undefined) return session.failure
  const code = session.receipt?.receipt.reason
  if (code === undefined) return undefined
  return code === 0 ? 'completed' : (codeOfWire(code) ?? `${code}`)
}

/** A consumer countersigns whatever receipt it takes. */
function signersOf(session: Session): SessionDetail['receipt'] {
  if (session.receipt === undefined) return undefined
  return isBuying(session) || session.countersignature !== undefined ? 'both' : 'provider'
}

/** A token that this node had before and has no more: in base units. */
function tokenOf(session: Session, token: TokenInfo): TokenInfo {
  const { token: address } = isBuying(session) ? session.wish : session.terms
  return address === token.address ? token : { address, symbol: 'base', decimals: 0 }
}
