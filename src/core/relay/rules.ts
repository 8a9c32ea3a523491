/**
 * What a relay agrees to hand in, decided from figures alone. It risks the gas of a transaction that fails although it went well when it was
 * tried: a signer who lets that happen waits, and all who are unknown share what may be lost in an hour.
 */
import type { Amount } from '../amount.ts'
import { TallyError } from '../errors.ts'
import type { Address, Seconds } from '../ids.ts'
import { type RelayedCalls, readCalls } from './calls.ts'
import { costOf, type FeePolicy, gasAtMost } from './fees.ts'
import { type ForwarderDomain, isSigned, type SignedForward } from './request.ts'

export interface RelayRules {
  /** who gets the fee: the account of the relay's own key */
  readonly relay: Address
  readonly ledger: Address
  readonly domain: ForwarderDomain
  /** the tokens that fees are taken in, and the only ones that a request may move */
  readonly fees: ReadonlyMap<Address, FeePolicy>
  /** the most that one request may be signed for */
  readonly maxGas: number
  /** gas that transactions of unknown signers may lose in an hour, all together */
  readonly lostGasPerHour: bigint
}

/** A deadline is at least and at most so far ahead, seconds of the chain. */
export const MIN_LIFE_S = 60
export const MAX_LIFE_S = 3_600
/** How long a signer waits after its first transaction that failed; each further one makes it four times as long. */
export const FIRST_BAR_S = 3_600
const LONGEST_BAR_S = 30 * 86_400

/** What a relay remembers of one signer. */
export interface SignerRecord {
  /** transactions of it that went well, and that failed in their block */
  readonly done: number
  readonly failed: number
  /** of the last one that failed; 0 = none */
  readonly failedAt: Seconds
}

export const NEW_SIGNER: SignerRecord = { done: 0, failed: 0, failedAt: 0 as Seconds }

/** What is on the chain and in the relay's books when a request comes. */
export interface RelayFacts {
  /** time of the newest block */
  readonly nowS: Seconds
  /** of the signer, at the forwarder */
  readonly nonce: bigint
  readonly gasPriceWei: bigint
  /** what was quoted under the number that the request names, if it is still good */
  readonly quoted?: { readonly token: Address; readonly gas: number; readonly bytes: number; readonly fee: Amount } | undefined
  readonly signer: SignerRecord
  /** gas that failed transactions of the last hour have cost */
  readonly lostGas: bigint
}

/**
 * The form: what can be told without asking anybody. Cheap things first, the signature last.
 *
 * @throws TallyError RELAY_CALL_REFUSED, RELAY_SIGNATURE
 */
export function checkRequest(rules: RelayRules, signed: SignedForward): RelayedCalls {
  const { request } = signed
  if (request.to !== rules.ledger) throw refused('the request is not for the ledger of this relay')
  if (request.gas < 1 || request.gas > rules.maxGas)
    throw refused(`a request may use at most ${rules.maxGas} gas here, not ${request.gas}`)
  const calls = readCalls(request.data)
  if (calls.fee.to !== rules.relay) throw refused('the fee is for somebody else')
  if (!calls.tokens.every((token) => rules.fees.has(token))) throw refused('a token that this relay does not take')
  if (!isSigned(rules.domain, signed)) throw new TallyError('RELAY_SIGNATURE')
  return calls
}

/**
 * The rest: deadline, nonce, fee, and what is known of the signer. What it passes may be tried, and handed in when that goes well.
 *
 * @throws TallyError RELAY_DEADLINE, RELAY_NONCE, RELAY_SIGNER_BARRED, BUSY, RELAY_FEE_LOW
 */
export function checkFacts(rules: RelayRules, signed: SignedForward, { fee }: RelayedCalls, facts: RelayFacts): void {
  const { request } = signed
  const { signer, nowS } = facts
  const life = request.deadline - nowS
  if (life < MIN_LIFE_S || life > MAX_LIFE_S) throw new TallyError('RELAY_DEADLINE', { fields: { life } })
  if (request.nonce !== facts.nonce) throw new TallyError('RELAY_NONCE', { fields: { nonce: request.nonce, next: facts.nonce } })
  if (nowS < barredUntil(signer)) throw new TallyError('RELAY_SIGNER_BARRED', { fields: { until: barredUntil(signer) } })
  if (signer.done === 0 && facts.lostGas >= rules.lostGasPerHour) throw new TallyError('BUSY')
  const least = leastFee(rules, signed, facts)
  if (least === undefined || fee.amount < least)
    throw new TallyError('RELAY_FEE_LOW', { fields: { fee: fee.amount, least, token: fee.token } })
}

/** Until when a signer waits whose transactions failed; in the past for one that need not. */
export function barredUntil({ failed, failedAt }: SignerRecord): Seconds {
  if (failed === 0) return 0 as Seconds
  const bar = Math.min(FIRST_BAR_S * 4 ** Math.min(failed - 1, 10), LONGEST_BAR_S)
  return (failedAt + bar) as Seconds
}

/**
 * What the request has to pay. A quote that is still good holds, as long as it covers what gas costs now: a relay that the price has run
 * away from would lose on its own word.
 */
function leastFee(rules: RelayRules, { request }: SignedForward, facts: RelayFacts): Amount | undefined {
  const token = readCalls(request.data).fee.token
  const policy = rules.fees.get(token)
  if (policy === undefined) return undefined
  const gas = gasAtMost(request.gas, request.data.length)
  const cost = costOf(policy, gas, facts.gasPriceWei)
  const { quoted } = facts
  const isQuoted =
    quoted !== undefined && quoted.token === token && request.gas <= quoted.gas && request.data.length <= quoted.bytes
  const asked = isQuoted ? quoted.fee : policy.minFee
  return asked > cost ? asked : cost
}

/** How it ended, for the books about the signer. */
export function afterEnd(signer: SignerRecord, isDone: boolean, nowS: Seconds): SignerRecord {
  return isDone ? { ...signer, done: signer.done + 1 } : { ...signer, failed: signer.failed + 1, failedAt: nowS }
}

function refused(message: string): TallyError {
  return new TallyError('RELAY_CALL_REFUSED', { message })
}
