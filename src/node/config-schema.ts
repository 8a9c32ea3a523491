import { multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import { splitQuantity } from '../core/decimal.ts'
import { TallyError } from '../core/errors.ts'
import { parseAddress } from '../core/ids.ts'
import { parseAmount, type TokenInfo } from '../core/token.ts'

/**
 * Written for the configured token in an amount whose token is not known yet: `0.05 token`. All default amounts are written so;
 * whoever writes `0.05 USDC` is told when the token turns out to be another one.
 */
export const ANY_TOKEN = 'token'

/** What a setting is when nobody sets it. Names end in the unit; amounts are texts with theirs. */
export const DEFAULTS = {
  chain: { confirmationsBlocks: 3 },
  listen: ['/ip4/0.0.0.0/tcp/0'],
  announce: [] as string[],
  bootstrap: [] as string[],
  provider: {
    poolPerHour: '1 token',
    unconfirmedCredit: '0 token',
    creditSharePpm: 100_000,
    maxCreditChunks: 64,
    patienceMs: 20_000,
    expiryMarginS: 600,
    minReservation: '0 token',
    minTimeToExpiryS: 3_600,
    settleAt: '10 token',
    settleOnClose: false,
    maxSessions: 256,
  },
  consumer: { limitAtRisk: '0.05 token', reservationDays: 30, autoReserve: false },
  relays: [] as string[],
  maxRelayFee: '0.5 token',
  relay: { marginPercent: 30, minFee: '0.01 token', maxGas: 8_000_000, lostGasPerHour: 2_000_000 },
  reach: { relay: 'auto', relayMib: 64, mdns: 'auto', upnp: false },
  log: { level: 'info' },
} as const

const HOURS_S = 3_600
const DAYS_S = 24 * HOURS_S

const address = z.string().transform((text, context) => attempt(() => parseAddress(text), context))
const amountText = z.string().refine(isAmountText, 'must be an amount with its token, such as "0.5 USDC" or "0.5 token"')
const addresses = z.array(z.string().max(256).refine(isMultiaddr, 'must be a multiaddr, such as /ip4/1.2.3.4/tcp/4001')).max(64)
const whole = (least: number, most: number) => z.int(`must be a whole number from ${least} to ${most}`).min(least).max(most)
const webAddress = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' })

const chain = z.object({
  rpcUrl: webAddress.optional().describe('JSON-RPC of the chain'),
  chainId: whole(1, Number.MAX_SAFE_INTEGER).optional().describe('EIP-155 number of the chain; the RPC must agree'),
  ledger: address.optional().describe('address of the TallyLedger contract'),
  forwarder: address.optional().describe('address of its ERC-2771 forwarder'),
  registry: address.optional().describe('address of the ServiceRegistry; without it, no stake counts'),
  registryBlock: whole(0, Number.MAX_SAFE_INTEGER).optional().describe('block of its deployment: its logs are read from there'),
  token: address.optional().describe('address of the ERC-20 token that is paid in'),
  confirmationsBlocks: whole(0, 1_000)
    .default(DEFAULTS.chain.confirmationsBlocks)
    .describe('blocks on top of a block before it counts: fewer is faster, and more at risk of a reorganisation'),
})

const provider = z.object({
  poolPerHour: amountText
    .default(DEFAULTS.provider.poolPerHour)
    .describe('credit for all new owners together, per hour: the most that strangers can cost'),
  unconfirmedCredit: amountText
    .default(DEFAULTS.provider.unconfirmedCredit)
    .describe('serve so much on a reservation that is not confirmed yet, out of the same pool: a reorganisation can cost it'),
  creditSharePpm: whole(0, 1_000_000)
    .default(DEFAULTS.provider.creditSharePpm)
    .describe('credit an owner earns, in millionths of what it has paid'),
  maxCreditChunks: whole(0, 1_000_000)
    .default(DEFAULTS.provider.maxCreditChunks)
    .describe('the most that one owner may owe, in chunks'),
  patienceMs: whole(1_000, HOURS_S * 1_000)
    .default(DEFAULTS.provider.patienceMs)
    .describe('wait for a payment before the session is closed'),
  expiryMarginS: whole(60, 30 * DAYS_S)
    .default(DEFAULTS.provider.expiryMarginS)
    .describe('stop serving and settle this long before a reservation expires'),
  minReservation: amountText.default(DEFAULTS.provider.minReservation).describe('the least that must be reserved and unspent'),
  minTimeToExpiryS: whole(0, 365 * DAYS_S)
    .default(DEFAULTS.provider.minTimeToExpiryS)
    .describe('the least time to the expiry of a reservation'),
  settleAt: amountText.default(DEFAULTS.provider.settleAt).describe('settle a channel when this much is unsettled'),
  settleOnClose: z
    .boolean()
    .default(DEFAULTS.provider.settleOnClose)
    .describe('settle whenever a session ends, whatever the amount'),
  maxSessions: whole(1, 100_000).default(DEFAULTS.provider.maxSessions).describe('sessions at the same time'),
})

const consumer = z.object({
  limitAtRisk: amountText.default(DEFAULTS.consumer.limitAtRisk).describe('the most to prepay and lose to one provider'),
  maxPrice: z.string().min(1).max(256).optional().describe('the highest price to pay, such as "0.01 USDC/MiB"'),
  reservationDays: whole(1, 730).default(DEFAULTS.consumer.reservationDays).describe('how long a new reservation lasts'),
  autoReserve: z
    .boolean()
    .default(DEFAULTS.consumer.autoReserve)
    .describe('a purchase may reserve within its budget without --yes'),
})

const relay = z.object({
  coinPrice: amountText.optional().describe("what one of the chain's coin is worth in tokens, for `up --gas-relay`"),
  marginPercent: whole(0, 1_000)
    .default(DEFAULTS.relay.marginPercent)
    .describe('what a relay asks for on top of the gas, in percent of it'),
  minFee: amountText.default(DEFAULTS.relay.minFee).describe('the least that a relay asks for a transaction'),
  maxGas: whole(50_000, 30_000_000).default(DEFAULTS.relay.maxGas).describe('the most gas of one transaction of others'),
  lostGasPerHour: whole(0, 1_000_000_000)
    .default(DEFAULTS.relay.lostGasPerHour)
    .describe('the most gas that failed transactions of unknown signers may cost in an hour'),
})

const reach = z.object({
  relay: z
    .enum(['auto', 'on', 'off'])
    .default(DEFAULTS.reach.relay)
    .describe('pass connections on to nodes behind NATs; auto = when this node has a public address'),
  relayMib: whole(1, 65_536)
    .default(DEFAULTS.reach.relayMib)
    .describe('what is passed on over one connection at most, in MiB; then the two have to connect again'),
  mdns: z
    .enum(['auto', 'on', 'off'])
    .default(DEFAULTS.reach.mdns)
    .describe('look for peers in the local network; auto = when no first node is known'),
  upnp: z.boolean().default(DEFAULTS.reach.upnp).describe('ask the router to let others in'),
})

const log = z.object({
  level: z.enum(['silent', 'error', 'warn', 'info', 'debug', 'trace']).default(DEFAULTS.log.level).describe('what is logged'),
})

/** The one schema of all settings of a node. */
export const configSchema = z.object({
  network: z.string().min(1).max(4_096).optional().describe('name or file of a network, which gives chain.* and bootstrap'),
  chain: chain.prefault({}),
  listen: addresses.default([...DEFAULTS.listen]).describe('where this node can be reached'),
  announce: addresses
    .default([...DEFAULTS.announce])
    .describe('where others are told to dial this node besides, such as the address of a router that forwards a port'),
  bootstrap: addresses.default([...DEFAULTS.bootstrap]).describe('the first nodes to ask'),
  reach: reach.prefault({}),
  provider: provider.prefault({}),
  consumer: consumer.prefault({}),
  relays: z
    .array(z.string().max(256).refine(isRelay, 'must be a peer id, a multiaddr that ends in one, or auto'))
    .max(16)
    .default([...DEFAULTS.relays])
    .describe('who hands in transactions where there is no gas: peers, or auto; the cheapest is taken'),
  maxRelayFee: amountText.default(DEFAULTS.maxRelayFee).describe('the most that a relay may get for a transaction'),
  relay: relay.prefault({}),
  log: log.prefault({}),
})

/** All settings of a node, checked. Amounts are still texts: what they are worth is known when the token is (`configAmount`). */
export type Config = z.infer<typeof configSchema>

/** What a setting is written as. */
export type SettingType = 'text' | 'number' | 'yes-no' | 'list'

/** One setting, by its dotted name. */
export interface Setting {
  readonly key: string
  readonly type: SettingType
  /** one line for people */
  readonly text: string
}

/** Every setting there is, in the order of the schema. */
export const SETTINGS: readonly Setting[] = settingsOf(configSchema, '')

function settingsOf(object: z.ZodObject, prefix: string): Setting[] {
  return Object.entries(object.shape).flatMap(([name, field]) => {
    const inner = unwrap(field as z.ZodType)
    if (inner instanceof z.ZodObject) return settingsOf(inner, `${prefix}${name}.`)
    return [{ key: prefix + name, type: typeOf(inner), text: (field as z.ZodType).description ?? '' }]
  })
}

function unwrap(field: z.ZodType): z.ZodType {
  if (field instanceof z.ZodDefault || field instanceof z.ZodPrefault || field instanceof z.ZodOptional)
    return unwrap(field.unwrap() as z.ZodType)
  return field instanceof z.ZodPipe ? unwrap(field.in as z.ZodType) : field
}

function typeOf(field: z.ZodType): SettingType {
  if (field instanceof z.ZodNumber) return 'number'
  if (field instanceof z.ZodBoolean) return 'yes-no'
  return field instanceof z.ZodArray ? 'list' : 'text'
}

/**
 * The amount that a setting stands for, in base units of `token`.
 *
 * @param key the setting, for the sentence of the error
 * @throws TallyError CONFIG_INVALID when it is of another token, or finer than the token can be divided
 */
export function configAmount(key: string, text: string, token: TokenInfo) {
  const quantity = splitQuantity(text)
  const own = typeof quantity !== 'string' && quantity.rest === ANY_TOKEN
  try {
    return parseAmount(own ? `${text.slice(0, text.lastIndexOf(ANY_TOKEN))}${token.symbol}` : text, token)
  } catch (cause) {
    const why = cause instanceof TallyError ? cause.message : String(cause)
    throw new TallyError('CONFIG_INVALID', {
      message: `${key}: ${why}`,
      hint: `Set ${key} to an amount such as "0.5 ${token.symbol}".`,
      fields: { key },
      cause,
    })
  }
}

function isAmountText(text: string): boolean {
  const quantity = splitQuantity(text)
  return typeof quantity !== 'string' && /^[A-Za-z][A-Za-z0-9._-]{0,16}$/.test(quantity.rest)
}

function isRelay(text: string): boolean {
  return text === 'auto' || /^16Uiu2[1-9A-HJ-NP-Za-km-z]{40,60}$/.test(text) || (isMultiaddr(text) && text.includes('/p2p/'))
}

function isMultiaddr(text: string): boolean {
  try {
    multiaddr(text)
    return true
  } catch {
    return false
  }
}

function attempt<T>(parse: () => T, context: z.RefinementCtx): T {
  try {
    return parse()
  } catch (thrown) {
    context.addIssue({ code: 'custom', message: thrown instanceof Error ? thrown.message : String(thrown) })
    return z.NEVER
  }
}
