/** The control of a node that runs in this process. */
import { setTimeout as delay } from 'node:timers/promises'
import { TallyError } from '../core/errors.ts'
import type { ChannelId } from '../core/ids.ts'
import type { Ranked } from '../core/ranking.ts'
import { noOffer } from '../discovery/market.ts'
import type { Appraised } from '../node/appraiser.ts'
import type { ChannelEntry, Money } from '../node/money.ts'
import type { TallyNode } from '../node/node.ts'
import { unlessAborted } from '../services/abort.ts'
import type { CallOptions, ChannelRequest, Control, Done, FindRequest, MoneyRequest, Plan } from './control.ts'
import { type AccountOf, MoneyDesk } from './money-desk.ts'
import type { PeerBook } from './peer-book.ts'
import { type ReportRequest, type ReportView, reportView } from './report-view.ts'
import { type SessionDetail, type SessionList, type SessionQuery, sessionDetail, sessionList } from './session-record.ts'
import {
  type BalanceView,
  balanceView,
  type ChannelView,
  channelView,
  type FoundView,
  foundView,
  type StatusInit,
  type StatusView,
  statusView,
} from './views.ts'

export interface NodeControlInit extends Omit<StatusInit, 'nowS'> {
  readonly book: PeerBook
  readonly accountOf: AccountOf
}

/** how long a look waits for the ledger's newest facts, ms */
const FACTS_MS = 5_000
const POLL_MS = 20
/** so many channels are listed at most */
const MAX_LISTED = 1_000
/** pause between two searches of the DHT, ms: a node that has just started knows nobody */
const SEARCH_AGAIN_MS = 250

const nowS = (): number => Math.floor(Date.now() / 1000)

export class NodeControl implements Control {
  readonly #node: TallyNode
  readonly #init: NodeControlInit
  readonly #desk: MoneyDesk
  /** newest block whose facts were all told */
  #told = -1

  /** Made right after the node: it must hear of the first block that the node hears of. */
  constructor(node: TallyNode, init: NodeControlInit) {
    this.#node = node
    this.#init = init
    this.#desk = new MoneyDesk(node, init.book, init.accountOf)
    node.chain.follow((facts) => {
      for (const fact of facts) if (fact.type === 'head') this.#told = fact.head
    })
  }

  async status(options: CallOptions = {}): Promise<StatusView> {
    await this.#facts(options)
    return await statusView(this.#node, { ...this.#init, nowS: nowS() }, options)
  }

  async balance(options: CallOptions = {}): Promise<BalanceView> {
    await this.#facts(options)
    return await balanceView(this.#node, options)
  }

  async channels(options: CallOptions = {}): Promise<readonly ChannelView[]> {
    await this.#facts(options)
    const { money, token } = this.#node
    const listed = new Map<ChannelId, ChannelEntry>()
    for await (const channel of shownFirst(money)) {
      listed.set(channel.id, channel)
      if (listed.size === MAX_LISTED) break
    }
    return [...listed.values()].map((channel) => channelView(channel, token, nowS()))
  }

  async channel({ id }: ChannelRequest, options: CallOptions = {}): Promise<ChannelView> {
    await this.#facts(options)
    const fits = await this.#node.money.fitting(id.toLowerCase())
    const [found] = fits
    if (found === undefined || fits.length > 1) {
      const message = found === undefined ? `this node has no channel ${id}` : `${id} is the beginning of several channels`
      throw new TallyError('CHANNEL_UNKNOWN', { message, hint: 'tallystick channel list shows them' })
    }
    return channelView(found, this.#node.token, nowS())
  }

  async find(request: FindRequest, options: CallOptions = {}): Promise<FoundView> {
    const ranked = await findOffers(this.#node, request, options)
    for (const { provider, peer, offer } of ranked.map((one) => one.candidate.found))
      await this.#init.book.remember(provider, dialable(peer.toString(), offer.addresses))
    return foundView(ranked, this.#node.token)
  }

  async plan(request: MoneyRequest, options: CallOptions = {}): Promise<Plan> {
    await this.#facts(options)
    return await this.#desk.plan(request, options)
  }

  async carryOut(request: MoneyRequest, options: CallOptions = {}): Promise<Done> {
    await this.#facts(options)
    return await this.#desk.carryOut(request, options)
  }

  /** What was earned or spent. @throws USAGE when there are too many lines, ABORTED, STORE_* */
  async report(request: ReportRequest, options: CallOptions = {}): Promise<ReportView> {
    await this.#facts(options)
    return await reportView(this.#node, request, options)
  }

  async sessions(query: SessionQuery, options: CallOptions = {}): Promise<SessionList> {
    return await sessionList(this.#node, query, options)
  }

  /** The session whose id begins so. @throws NOT_FOUND, USAGE when several do */
  async session(start: string, options: CallOptions = {}): Promise<SessionDetail> {
    await this.#facts(options)
    return await sessionDetail(this.#node, start, options)
  }

  /** Waits until what the node knows of the ledger is as new as the chain; gives up quietly when the chain does not answer. */
  async #facts({ signal }: CallOptions): Promise<void> {
    const limit = AbortSignal.timeout(FACTS_MS)
    const until = signal === undefined ? limit : AbortSignal.any([limit, signal])
    const { chain } = this.#node
    const ready = await unlessAborted(chain.ready({ signal: until }), until).then(
      () => true,
      () => false,
    )
    while (ready && !until.aborted) {
      const { head } = chain.status()
      if (head !== undefined && this.#told >= head) return
      await delay(POLL_MS)
    }
  }
}

/** Those that somebody may want to do something about come first; some of them come twice. */
async function* shownFirst(money: Money): AsyncGenerator<ChannelEntry> {
  yield* money.paying()
  yield* money.due()
  yield* money.earning()
}

/** A peer id alone, or with an address in front where one is known. */
export function dialable(peer: string, addresses: readonly string[]): string {
  const [first] = addresses
  if (first === undefined) return peer
  return first.includes('/p2p/') ? first : `${first}/p2p/${peer}`
}

/**
 * Everybody who sells it, the best first, as soon as somebody is found; a node that has just started searches again until its DHT has peers.
 *
 * @throws OFFER_NOT_FOUND when the time is over, ABORTED
 */
export async function findOffers(
  node: TallyNode,
  { what, name, timeoutMs }: FindRequest,
  { signal }: CallOptions = {},
): Promise<readonly Ranked<Appraised>[]> {
  const limit = AbortSignal.timeout(timeoutMs)
  const until = signal === undefined ? limit : AbortSignal.any([limit, signal])
  while (!until.aborted) {
    const found = await node.search(what, name, { signal: until })
    if (found.length > 0) return found
    await delay(SEARCH_AGAIN_MS, undefined, { signal: until }).catch(() => undefined)
  }
  if (signal?.aborted === true) throw new TallyError('ABORTED', { cause: signal.reason })
  throw noOffer(name)
}
