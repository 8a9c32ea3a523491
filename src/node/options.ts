/** What a program gives to make a node. Amounts may be texts such as '0.5 USDC'; what is left out has a safe default. */
import type { Amount } from '../core/amount.ts'
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import type { Chunk, Price } from '../core/price.ts'
import type { FeePolicy } from '../core/relay/fees.ts'
import { formatSize } from '../core/size.ts'
import type { TokenInfo } from '../core/token.ts'
import type { Clock } from '../ports/clock.ts'
import type { ServiceAdapter } from '../ports/service.ts'
import type { Store } from '../ports/store.ts'
import type { Log } from '../session/components.ts'
import { configAmount, DEFAULTS } from './config-schema.ts'

/** Base units, or a text with its token: '0.5 USDC', or '0.5 token' for whatever the node's token is. */
export type AmountLike = Amount | string

export interface ProviderOptions {
  /** credit for all new owners together, per hour. @default '1 token' */
  readonly poolPerHour?: AmountLike
  /** what counts of a reservation that stands in a block and is not confirmed yet; out of the same pool. @default '0 token' */
  readonly unconfirmedCredit?: AmountLike
  /** credit an owner earns, in millionths of what it has paid. @default 100_000 */
  readonly creditSharePpm?: number
  /** the most one owner may owe, in chunks of the dearest service. @default 64 */
  readonly maxCreditChunks?: number
  /** how long to wait for a payment before the session is closed. @default 20_000 */
  readonly patienceMs?: number
  /** stop serving and settle this long before a reservation expires. @default 600 */
  readonly expiryMarginS?: number
  /** demands of the offers. @default '0 token', 3_600 */
  readonly minReservation?: AmountLike
  readonly minTimeToExpiryS?: number
  /** settle a channel when this much is unsettled. @default '10 token' */
  readonly settleAt?: AmountLike
  /** settle whenever a session ends. @default false */
  readonly settleOnClose?: boolean
  /** sessions at the same time. @default 256 */
  readonly maxSessions?: number
  /** how long a session that was cut may be resumed. @default 600_000 */
  readonly resumeMs?: number
}

export interface RelaysOptions {
  /** peer ids or multiaddrs, or 'auto' for those that the network knows; the cheapest is taken */
  readonly peers: readonly string[]
  /** the most that one transaction may cost. @default '0.5 token' */
  readonly maxFee?: AmountLike
}

export interface RelayOptions {
  /** what one of the chain's coin (10^18 wei) is worth in tokens */
  readonly coinPrice: AmountLike
  /** on top of what the gas costs. @default 30 */
  readonly marginPercent?: number
  /** no transaction is cheaper. @default '0.01 token' */
  readonly minFee?: AmountLike
  /** the most gas that one request may use. @default 8_000_000 */
  readonly maxGas?: number
  /** gas that transactions of unknown signers may lose in an hour, all together. @default 2_000_000 */
  readonly lostGasPerHour?: number
}

/** How a node is reached, and what it does for others that cannot be. */
export interface ReachOptions {
  /** pass connections on to nodes behind NATs; auto = when this node has a public address. @default 'auto' */
  readonly relay?: 'auto' | 'on' | 'off'
  /** what is passed on over one connection, both ways together, in MiB. @default 64 */
  readonly relayMib?: number
  /** look for peers in the local network; auto = when no first node is known. @default 'off' for a library, 'auto' for the command line */
  readonly mdns?: 'auto' | 'on' | 'off'
  /** ask the router to let others in. @default false */
  readonly upnp?: boolean
}

/** How chunks are paid. */
export type PayMode = 'promise' | 'tick' | 'auto'

/** What the rules call it. */
export function ticksFor(pay: PayMode = 'auto'): 'never' | 'always' | 'auto' {
  return pay === 'promise' ? 'never' : pay === 'tick' ? 'always' : 'auto'
}

export interface NodeOptions {
  /** 32 bytes: the peer id, the account, and the signer of promises and offers */
  readonly privateKey: Uint8Array
  /** a folder for the database, or 'memory' (everything is forgotten at the end), or a store of one's own */
  readonly store: { readonly path: string } | 'memory' | Store
  readonly chain: {
    readonly rpcUrl: string
    readonly chainId: number
    readonly ledger: Address
    /** the ServiceRegistry, whose entries are held against offers. @default none */
    readonly registry?: Address
    /** the block of its deployment: its logs are read from there. @default 0 */
    readonly registryBlock?: number
    /** @default 3; 0 only on a local chain */
    readonly confirmations?: number
  }
  /** the ERC-20 token that is paid in */
  readonly token: Address
  /** multiaddrs to listen on; none = only buying. @default [] */
  readonly listen?: readonly string[]
  /** further multiaddrs that others are told, where a port is forwarded to this node. @default [] */
  readonly announce?: readonly string[]
  readonly reach?: ReachOptions
  /** the first nodes of the network to ask. @default [] */
  readonly bootstrap?: readonly string[]
  readonly provider?: ProviderOptions
  /** with signed promises, with ticks of a hash chain between them, or with ticks where they spare signatures. @default 'auto' */
  readonly pay?: PayMode
  /** pay for each chunk as it becomes due, also where the credit would let one promise, or tick, pay for several. @default false */
  readonly payEach?: boolean
  readonly log?: Log
  /** others who may hand in what this node signs, where it has no gas. @default none, but those that a call names */
  readonly relays?: RelaysOptions
  /** hands in what others sign, for a fee. @default it does not */
  readonly relay?: RelayOptions
  /** for tests and simulations. @default the system's clocks */
  readonly clock?: Clock
  /** gives the start up; a node that has started ends by `stop` */
  readonly signal?: AbortSignal
}

export const SILENT: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** @throws CONFIG_INVALID naming the setting */
export function toAmount(key: string, value: AmountLike | undefined, otherwise: string, token: TokenInfo): Amount {
  if (typeof value === 'bigint') return value
  return configAmount(key, value ?? otherwise, token)
}

/** The provider's settings with their amounts known. */
export function providerPolicy(options: ProviderOptions | undefined, token: TokenInfo) {
  const given = options ?? {}
  const { provider } = DEFAULTS
  return {
    poolPerHour: toAmount('provider.poolPerHour', given.poolPerHour, provider.poolPerHour, token),
    unconfirmedCredit: toAmount('provider.unconfirmedCredit', given.unconfirmedCredit, provider.unconfirmedCredit, token),
    sharePpm: BigInt(given.creditSharePpm ?? provider.creditSharePpm),
    maxCreditChunks: BigInt(given.maxCreditChunks ?? provider.maxCreditChunks),
    patienceMs: given.patienceMs ?? provider.patienceMs,
    marginS: given.expiryMarginS ?? provider.expiryMarginS,
    minReservation: toAmount('provider.minReservation', given.minReservation, provider.minReservation, token),
    minTimeToExpiryS: given.minTimeToExpiryS ?? provider.minTimeToExpiryS,
    settleAt: toAmount('provider.settleAt', given.settleAt, provider.settleAt, token),
    settleOnClose: given.settleOnClose ?? provider.settleOnClose,
    maxSessions: given.maxSessions ?? provider.maxSessions,
    resumeMs: given.resumeMs ?? 600_000,
  }
}

/** The relay's settings with their amounts known. */
export function relayPolicy(given: RelayOptions, token: TokenInfo) {
  const { relay } = DEFAULTS
  const policy: FeePolicy = {
    perCoin: toAmount('relay.coinPrice', given.coinPrice, '', token),
    marginPpm: BigInt(given.marginPercent ?? relay.marginPercent) * 10_000n,
    minFee: toAmount('relay.minFee', given.minFee, relay.minFee, token),
  }
  return {
    fees: new Map([[token.address, policy]]),
    maxGas: given.maxGas ?? relay.maxGas,
    lostGasPerHour: BigInt(given.lostGasPerHour ?? relay.lostGasPerHour),
  }
}

const WORDS = { up: 'bytes that a consumer sends', calls: 'calls', units: 'units' } as const

/** Refuses a price for what the service never charges: it would never become due. @throws PRICE_INVALID */
export function refuseUnmetered({ rates }: Price, { kind: service, charges = [] }: ServiceAdapter): void {
  for (const kind of ['up', 'calls', 'units'] as const) {
    if (charges.includes(kind) || !rates.some((rate) => rate.kind === kind)) continue
    throw new TallyError('PRICE_INVALID', {
      message: `a service of kind ${service} does not meter ${WORDS[kind]}: nothing would ever be paid for them`,
      hint: 'write it like `0.01/MiB`, `0.0001/s`, `0.1/GiB+0.0001/s` or `free`',
      fields: { kind },
    })
  }
}

/** A chunk of which the buyer cannot use the bytes before more of them come would be prepaid again and again. */
export function refuseTooSmall(chunk: Chunk, { leastChunkBytes = 1 }: ServiceAdapter): void {
  if (chunk.kind !== 'down' || chunk.size >= BigInt(leastChunkBytes)) return
  throw new TallyError('PRICE_INVALID', {
    message: `a payment for each ${formatSize(chunk.size)} is too early: what is sold is used ${formatSize(BigInt(leastChunkBytes))} at a time`,
    hint: `let the chunk be ${formatSize(BigInt(leastChunkBytes))} or more, or give the files smaller chunks`,
    fields: { chunk: chunk.size, least: leastChunkBytes },
  })
}

/** What the payer's desk is told of a session. */
export const deskOptions = ({ signal, pay }: { readonly signal?: AbortSignal; readonly pay?: PayMode }) => ({
  ...(signal !== undefined && { signal }),
  ...(pay !== undefined && { ticks: ticksFor(pay) }),
})
