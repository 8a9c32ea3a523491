import { LRUCache } from 'lru-cache'
import { asTallyError, type TallyError } from '../core/errors.ts'
import type { Address, ChannelId, Seconds } from '../core/ids.ts'
import type { ChainFact, ChainListener, ChainNotice, ChainStatus, Unfollow } from '../ports/chain.ts'
import type { Store } from '../ports/store.ts'
import type { Gateway, Header } from './gateway.ts'
import { knownChannels } from './known-channels.ts'
import { FOLLOWED_TOPICS, mentionedIn, newWatchList, touchesOf, withMore } from './ledger-logs.ts'
import type { LedgerReader } from './ledger-reader.ts'
import { type Answer, type Ask, cursorOf, followRound, newTrail, REORGANISED, type Trail, withWatched } from './log-follower.ts'
import { HttpRefusal, RpcRefusal, unreachable } from './rpc-errors.ts'
import { grouped, isNews, type Slot, slotOf, type Told, toldOf } from './slots.ts'
import { createTrailStore } from './trail-store.ts'

export interface WatcherInit {
  readonly gateway: Gateway
  readonly reader: LedgerReader
  readonly store: Store
  /** Blocks on top of a block before its facts count. */
  readonly confirmations: number
  /** Channels with one of these as owner, signer or target are watched by themselves, and their balances too. */
  readonly accounts: readonly Address[]
  /** First block that is read when the store knows none. @default the newest confirmed block at the first start */
  readonly startBlock?: number
  /** Pause between two looks. @default 4_000 */
  readonly pollMs?: number
  /** Most blocks that one query asks for. @default 2_000 */
  readonly maxSpan?: number
  readonly onNotice?: ChainNotice
}

export const WATCHER_DEFAULTS = { pollMs: 4_000, maxSpan: 2_000, keepBlocks: 256 } as const

/** Slots that are read at once. */
const READS_AT_ONCE = 40
/** Channels that are watched by word of mouth: those on record are found on the disk, and need not be kept. */
const MAX_WATCHED = 20_000
/** What was told of so many slots is remembered; of others it may be told again. */
const MAX_TOLD = 20_000
/** Channels that are read in one go after a reorganisation that nothing is left of. */
const PAGE = 1_000

export interface Watcher {
  start(): Promise<void>
  status(): ChainStatus
  follow(listener: ChainListener): Unfollow
  watch(channels: readonly ChannelId[]): void
  /**
   * The channel was read directly and is used as it was at that block. If it is watched, the slot is read again and told once that block was
   * followed: a reorganisation in between takes back what nothing here has seen.
   */
  wasRead(id: ChannelId, block: number): void
  /** Looks at once instead of after the pause. */
  nudge(): void
  close(): Promise<void>
}

/**
 * Follows the ledger by asking for its logs. No subscription and no filter, so neither a restart of the RPC nor a reorganisation can
 * make it deaf: each round starts from what is on disk. What to ask is decided by `followRound`; this asks it.
 */
export function createWatcher(init: WatcherInit): Watcher {
  const { gateway, reader, confirmations } = init
  const pollMs = init.pollMs ?? WATCHER_DEFAULTS.pollMs
  const limits = {
    maxSpan: init.maxSpan ?? WATCHER_DEFAULTS.maxSpan,
    keep: Math.max(WATCHER_DEFAULTS.keepBlocks, confirmations * 2),
  }
  const accounts = new Set(init.accounts)
  const watched = newWatchList()
  const known = knownChannels(init.store)
  const trails = createTrailStore(init.store)
  const listeners = new Set<ChainListener>()
  const closing = new AbortController()
  const { signal } = closing
  const told = new LRUCache<string, Told>({ max: MAX_TOLD })

  /** channels that were read directly, with the block of that answer */
  const readAhead = new LRUCache<ChannelId, number>({ max: MAX_TOLD })

  let trail: Trail | undefined
  let head: Header | undefined
  let toldHead: string | undefined
  let failure: TallyError | undefined
  let started = false
  let newlyWatched: string[] = []
  let held: ChainFact[] = []
  let running: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let again = false

  async function readHead(): Promise<Header> {
    const found = await gateway.header('latest', { signal })
    if (found === undefined) throw unreachable(gateway.name, new Error('the chain has no blocks'))
    head = found
    return found
  }

  async function round(): Promise<void> {
    trail ??=
      (await trails.load(limits)) ??
      // what is known without a trail was read when logs could not be: nobody has followed it since
      newTrail({ start: init.startBlock ?? Math.max(0, (await readHead()).number - confirmations), ...limits, lost: true })
    for (const [id, block] of [...readAhead.entries()]) {
      if (block > cursorOf(trail)) continue
      readAhead.delete(id)
      // whatever it is now is news to whoever has the answer of then
      told.delete(id)
      newlyWatched.push(`watched channel ${id}`)
    }
    if (newlyWatched.length > 0) {
      trail = withWatched(trail, newlyWatched)
      newlyWatched = []
    }
    const steps = followRound(trail)
    let step = steps.next()
    while (step.done !== true) step = steps.next(await answer(step.value))
    await tellHead()
  }

  async function answer(ask: Ask): Promise<Answer> {
    switch (ask.type) {
      case 'safe':
        return (await readHead()).number - confirmations
      case 'hash':
        return (await gateway.header(ask.number, { signal }))?.hash
      case 'logs':
        return readLogs(ask.from, ask.to)
      case 'slots':
        if (ask.lost) await tellEverything(ask.at)
        held = await readSlots(ask.touched, ask.at)
        return undefined
      case 'tell':
        await tellNews(held)
        held = []
        return undefined
      case 'save':
        await trails.save(ask.trail)
        trail = ask.trail
        return undefined
    }
  }

  /**
   * Every channel that anybody watches, a page at a time. Should the chain change meanwhile, the trail stays lost, and all of it is told again.
   */
  async function tellEverything(at: number): Promise<void> {
    let page = [...watched.all()]
    const tellPage = async (): Promise<void> => {
      await tellNews(
        await readSlots(
          page.map((id) => `${REORGANISED} channel ${id}`),
          at,
        ),
      )
      page = []
    }
    for await (const id of known.all()) {
      page.push(id)
      if (page.length >= PAGE) await tellPage()
    }
    await tellPage()
  }

  async function readLogs(from: number, to: number): Promise<readonly string[] | undefined> {
    const filter = { address: gateway.ledger, fromBlock: hex(from), toBlock: hex(to), topics: [FOLLOWED_TOPICS] }
    let logs: unknown
    let mentioned: ReturnType<typeof mentionedIn>
    try {
      logs = await gateway.request('eth_getLogs', [filter], { signal })
      mentioned = mentionedIn(logs, gateway.ledger)
    } catch (error) {
      if (error instanceof RpcRefusal || error instanceof HttpRefusal) return undefined
      // A range that is too large may also show as an answer that is too long or never comes: ask for less next time.
      if (trail !== undefined) trail = { ...trail, span: Math.max(1, Math.ceil((to - from + 1) / 2)) }
      throw unreachable(gateway.name, error)
    }
    const touched = touchesOf(logs, gateway.ledger, accounts, withMore(watched, await onRecord(mentioned)))
    watched.trim(MAX_WATCHED)
    return touched
  }

  async function onRecord({ ids, prefixes }: ReturnType<typeof mentionedIn>): Promise<ChannelId[]> {
    const found: ChannelId[] = []
    for (const id of ids) if (!watched.has(id) && (await known.has(id))) found.push(id)
    for (const prefix of prefixes) {
      const id = watched.byPrefix(prefix) ?? (await known.byPrefix(prefix))
      if (id !== undefined) found.push(id)
    }
    return found
  }

  async function readSlots(touched: readonly string[], at: number): Promise<ChainFact[]> {
    const facts: ChainFact[] = []
    const slots = [...grouped(touched).values()]
    for (let i = 0; i < slots.length; i += READS_AT_ONCE) {
      facts.push(...(await Promise.all(slots.slice(i, i + READS_AT_ONCE).map((slot) => readSlot(slot, at)))))
    }
    return facts.filter((fact) => isNews(fact, told.get(slotOf(fact))))
  }

  async function readSlot(slot: Slot, at: number): Promise<ChainFact> {
    if (slot.type === 'balance') {
      const amount = await reader.ledgerBalance(slot.token, slot.account, Math.max(at, 0), { signal })
      return { type: 'balance', account: slot.account, token: slot.token, amount, block: at }
    }
    const { id, causes, parties } = slot
    const facts = at < 0 ? undefined : await reader.channel(id, at, { signal })
    return {
      type: 'channel',
      id,
      causes,
      ...(facts === undefined ? {} : { facts }),
      ...(parties === undefined ? {} : { parties }),
    }
  }

  async function tell(facts: readonly ChainFact[]): Promise<void> {
    if (facts.length === 0) return
    for (const listener of listeners) await listener(facts)
  }

  async function tellNews(facts: readonly ChainFact[]): Promise<void> {
    await tell(facts)
    for (const fact of facts) told.set(slotOf(fact), toldOf(fact))
  }

  async function tellHead(): Promise<void> {
    if (head === undefined || trail === undefined || head.hash === toldHead) return
    await tell([{ type: 'head', head: head.number, confirmed: cursorOf(trail), time: head.timeS as Seconds }])
    toldHead = head.hash
  }

  async function run(): Promise<void> {
    try {
      do {
        again = false
        await round()
      } while (again && !signal.aborted)
      failure = undefined
    } catch (error) {
      if (signal.aborted) return
      failure = asTallyError(error)
      init.onNotice?.('the chain cannot be followed for now', error)
    }
  }

  function nudge(): void {
    if (signal.aborted || !started) return
    clearTimeout(timer)
    again = true
    running ??= run().finally(() => {
      running = undefined
      if (!signal.aborted) timer = setTimeout(nudge, pollMs)
    })
  }

  return {
    async start() {
      started = true
      nudge()
    },
    status() {
      const { code, message, hint } = failure ?? {}
      const error =
        code === undefined || message === undefined ? undefined : hint === undefined ? { code, message } : { code, message, hint }
      return {
        reachable: head !== undefined && failure === undefined,
        ...(head === undefined ? {} : { head: head.number, time: head.timeS as Seconds }),
        ...(trail === undefined || cursorOf(trail) < 0 ? {} : { confirmed: cursorOf(trail) }),
        ...(error === undefined ? {} : { error }),
      }
    },
    follow(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    watch(channels) {
      for (const id of channels) {
        if (watched.has(id)) continue
        watched.add(id)
        if (started) newlyWatched.push(`watched channel ${id}`)
      }
    },
    wasRead(id, block) {
      if (watched.has(id) && block > (trail === undefined ? -1 : cursorOf(trail))) readAhead.set(id, block)
    },
    nudge,
    async close() {
      closing.abort()
      clearTimeout(timer)
      await running
      clearTimeout(timer)
    },
  }
}

function hex(block: number): string {
  return `0x${block.toString(16)}`
}
