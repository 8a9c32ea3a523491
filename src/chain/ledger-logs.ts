import type { Address, ChannelId, ChannelParties } from '../core/ids.ts'
import type { ChannelCause } from '../ports/chain.ts'
import { ledgerInterface, toAddress } from './abi.ts'
import type { REORGANISED } from './log-follower.ts'

/** Channels whose changes are of interest, findable by id and by the 20 bytes of it that a settle event carries. */
export interface WatchList {
  has(id: ChannelId): boolean
  byPrefix(prefix: string): ChannelId | undefined
  add(id: ChannelId): void
  all(): Iterable<ChannelId>
  /** Forgets the oldest half when there are more than that. */
  trim(max: number): void
}

const PREFIX_CHARS = 2 + 40

export function newWatchList(): WatchList {
  const ids = new Map<string, ChannelId>()
  return {
    has: (id) => ids.get(id.slice(0, PREFIX_CHARS)) === id,
    byPrefix: (prefix) => ids.get(prefix),
    add: (id) => ids.set(id.slice(0, PREFIX_CHARS), id),
    all: () => ids.values(),
    trim(max) {
      if (ids.size > max) for (const prefix of [...ids.keys()].slice(0, ids.size >> 1)) ids.delete(prefix)
    },
  }
}

/** The list with some more channels in it, for as long as it is asked. */
export function withMore(watched: WatchList, more: Iterable<ChannelId>): WatchList {
  const extra = newWatchList()
  for (const id of more) extra.add(id)
  return {
    ...watched,
    has: (id) => extra.has(id) || watched.has(id),
    byPrefix: (prefix) => extra.byPrefix(prefix) ?? watched.byPrefix(prefix),
  }
}

const followed = [
  'Opened',
  'ToppedUp',
  'Closed',
  'Reclaimed',
  'Settled',
  'SettledDirect',
  'BatchSettled',
  'Deposited',
  'Withdrawn',
  'Transferred',
] as const
type Followed = (typeof followed)[number]

function topicOf(name: Followed): string {
  const event = ledgerInterface.getEvent(name)
  if (event === null) throw new TypeError(`the ledger has no event ${name}`)
  return event.topicHash
}

/** The first topics of all events that are followed: one query reads them all. */
export const FOLLOWED_TOPICS: readonly string[] = followed.map(topicOf)

/** A slot of the ledger that a log touched. */
export type Touch =
  | { readonly slot: 'channel'; readonly cause: ChannelCause; readonly id: ChannelId; readonly parties?: ChannelParties }
  | { readonly slot: 'balance'; readonly cause: string; readonly account: Address; readonly token: Address }

/** What the logs touched, of interest, in the order of the chain. Adds channels of the accounts to the watch list as they open. */
export function touchesOf(logs: unknown, ledger: Address, accounts: ReadonlySet<Address>, watched: WatchList): readonly string[] {
  if (!Array.isArray(logs)) throw new TypeError('the logs are not a list')
  const seen = new Set<string>()
  const touched: string[] = []
  for (const log of logs.map((one) => parseLog(one, ledger)).sort(byPlace)) {
    const place = `${log.blockHash}:${log.index}`
    if (seen.has(place) || log.removed) continue
    seen.add(place)
    touched.push(...readLog(log, accounts, watched))
  }
  return touched
}

/** The channels of which the logs speak: whole ids, and first 20 bytes of ids. @throws TypeError as `touchesOf` */
export function mentionedIn(logs: unknown, ledger: Address): { readonly ids: Set<ChannelId>; readonly prefixes: Set<string> } {
  if (!Array.isArray(logs)) throw new TypeError('the logs are not a list')
  const ids = new Set<ChannelId>()
  const prefixes = new Set<string>()
  for (const { topics, data } of logs.map((one) => parseLog(one, ledger))) {
    const args = ledgerInterface.parseLog({ topics: [...topics], data })?.args
    if (typeof args?.id === 'string') ids.add(args.id as ChannelId)
    for (const entry of entriesOf(args as Readonly<Record<string, unknown>> | undefined))
      prefixes.add(entry.slice(0, PREFIX_CHARS))
  }
  return { ids, prefixes }
}

function entriesOf(args: Readonly<Record<string, unknown>> | undefined): string[] {
  if (typeof args?.entry === 'string') return [args.entry]
  return args?.paidRows === undefined ? [] : [...(args.paidRows as Iterable<string>)]
}

interface Log {
  readonly block: number
  readonly blockHash: string
  readonly index: number
  readonly removed: boolean
  readonly topics: readonly string[]
  readonly data: string
}

/** A log as the RPC gives it. Throws TypeError when it is not a log of the ledger: then nothing of the answer can be trusted. */
function parseLog(value: unknown, ledger: Address): Log {
  const { address, blockNumber, blockHash, logIndex, removed, topics, data } = value as Record<string, unknown>
  const numbers = [blockNumber, logIndex].map((text) =>
    typeof text === 'string' && /^0x[0-9a-f]{1,12}$/i.test(text) ? Number(text) : Number.NaN,
  )
  const [block = Number.NaN, index = Number.NaN] = numbers
  const sound = typeof address === 'string' && typeof blockHash === 'string' && typeof data === 'string' && Array.isArray(topics)
  if (!sound || Number.isNaN(block) || Number.isNaN(index)) throw new TypeError('the answer holds something that is not a log')
  if (address.toLowerCase() !== ledger) throw new TypeError('the answer holds logs of another contract')
  return { block, blockHash, index, removed: removed === true, topics: topics.map(String), data }
}

function byPlace(a: Log, b: Log): number {
  return a.block - b.block || a.index - b.index
}

function readLog(log: Log, accounts: ReadonlySet<Address>, watched: WatchList): readonly string[] {
  const event = ledgerInterface.parseLog({ topics: [...log.topics], data: log.data })
  if (event === null) return []
  const { args } = event
  const balances = (cause: string, ...who: unknown[]) =>
    who
      .map((account) => toAddress(String(account)))
      .filter((account) => accounts.has(account))
      .map((account) => `${cause} balance ${account} ${toAddress(String(args.token))}`)
  const channel = (cause: ChannelCause) => (watched.has(args.id) ? [`${cause} channel ${args.id}`] : [])
  switch (event.name as Followed) {
    case 'Opened': {
      const parties = [args.owner, args.signer, args.target, args.token].map((one) => toAddress(String(one)))
      if (parties.slice(0, 3).some((party) => accounts.has(party))) watched.add(args.id)
      return watched.has(args.id) ? [`opened channel ${args.id} ${parties.join(' ')}`] : []
    }
    case 'ToppedUp':
      return channel('topped-up')
    case 'Closed':
      return channel('closed')
    case 'Reclaimed':
      return channel('reclaimed')
    case 'Settled':
      return [...settledIn([args.entry], watched), ...balances('settled', args.payout)]
    case 'SettledDirect':
      return settledIn([args.entry], watched)
    case 'BatchSettled':
      return [...settledIn(args.paidRows, watched), ...balances('settled', args.payout)]
    case 'Deposited':
      return balances('deposited', args.account)
    case 'Withdrawn':
      return balances('withdrawn', args.account)
    case 'Transferred':
      return balances('transferred', args.from, args.to)
  }
}

/** Entries of 32 bytes: the first 20 bytes of a channel id, then its settled amount. */
function settledIn(entries: Iterable<string>, watched: WatchList): readonly string[] {
  const touched: string[] = []
  for (const entry of entries) {
    const id = watched.byPrefix(entry.slice(0, PREFIX_CHARS))
    if (id !== undefined) touched.push(`settled channel ${id}`)
  }
  return touched
}

/** Reads back what `touchesOf` wrote. */
export function parseTouch(touch: string): Touch {
  const [cause = '', slot, first, second, signer, target, token] = touch.split(' ')
  if (slot === 'balance') return { slot, cause, account: first as Address, token: second as Address }
  const channel = { slot: 'channel', cause: cause as ChannelCause | typeof REORGANISED, id: first as ChannelId } as const
  if (token === undefined) return channel
  const parties = { owner: second as Address, signer: signer as Address, target: target as Address, token: token as Address }
  return { ...channel, parties }
}
