/**
 * The ledger's rules once more, as plain sums over maps: what random sequences of calls are compared with.
 *
 * What the node itself knows it takes from the node: the id of a channel and the worth of shown locks. A refusal names the error in the
 * order in which the contract checks.
 */
import type { Amount } from '../../../src/core/amount.ts'
import { type Address, type ChannelParties, channelId, type Seconds, ZERO_ADDRESS } from '../../../src/core/ids.ts'
import { type ShownLock, shownValue } from '../../../src/core/lock.ts'

export interface ModelChannel {
  deposit: bigint
  settled: bigint
  expiry: bigint
  epoch: bigint
}

/** A promise as it is handed in. A row that is not `genuine` carries somebody else's signature. */
export interface ModelRow {
  readonly parties: ChannelParties
  readonly amount: Amount
  readonly shown: readonly ShownLock[]
  readonly genuine: boolean
}

/** One call. `from` is who makes it; where the caller is a part of the channel there is no `from`. */
export type Call =
  | { readonly fn: 'deposit'; readonly from: Address; readonly account: Address; readonly amount: bigint }
  | { readonly fn: 'withdraw' | 'transfer'; readonly from: Address; readonly to: Address; readonly amount: bigint }
  | { readonly fn: 'open' | 'depositAndOpen'; readonly parties: ChannelParties; readonly amount: bigint; readonly expiry: bigint }
  | { readonly fn: 'topUp'; readonly from: Address; readonly parties: ChannelParties; readonly amount: bigint }
  | { readonly fn: 'reclaim'; readonly parties: ChannelParties }
  | {
      readonly fn: 'close'
      readonly parties: ChannelParties
      readonly amount: bigint
      readonly deadline: bigint
      readonly signedEpoch: bigint
    }
  | { readonly fn: 'settle'; readonly row: ModelRow }
  | { readonly fn: 'settleBatch'; readonly target: Address; readonly rows: readonly ModelRow[] }
  | { readonly fn: 'proposePayoutFor'; readonly from: Address; readonly target: Address; readonly payout: Address }
  | { readonly fn: 'acceptPayout'; readonly from: Address; readonly target: Address }
  | { readonly fn: 'setMaxRelayFee'; readonly from: Address; readonly target: Address; readonly amount: bigint }

/** An event: its name and its arguments in their order, addresses in lower case. */
export type ModelEvent = readonly [name: string, ...args: unknown[]]

/** The name of the error that the call is refused with. */
class Refusal extends Error {}

const TERM = 730n * 86_400n
const MAX_96 = (1n << 96n) - 1n
const MAX_EPOCH = (1n << 24n) - 1n

/** What a sequence of calls in one token leaves behind. */
export class Model {
  readonly token: Address
  readonly wallets = new Map<Address, bigint>()
  readonly balances = new Map<Address, bigint>()
  readonly channels = new Map<string, ModelChannel>()
  private readonly payouts = new Map<Address, Address>()
  private readonly proposals = new Map<Address, Address>()
  private readonly nonces = new Map<Address, bigint>()
  private readonly fees = new Map<string, bigint>()
  private events: ModelEvent[] = []

  constructor(token: Address) {
    this.token = token
  }

  channel(parties: ChannelParties): ModelChannel {
    const id = channelId(parties)
    const found = this.channels.get(id) ?? { deposit: 0n, settled: 0n, expiry: 0n, epoch: 0n }
    this.channels.set(id, found)
    return found
  }

  balance(account: Address): bigint {
    return this.balances.get(account) ?? 0n
  }

  payoutOf(target: Address): Address {
    return this.payouts.get(target) ?? target
  }

  proposedOf(target: Address): Address {
    return this.proposals.get(target) ?? ZERO_ADDRESS
  }

  nonceOf(target: Address): bigint {
    return this.nonces.get(target) ?? 0n
  }

  feeOf(target: Address): bigint {
    return this.fees.get(`${this.payoutOf(target)}>${target}`) ?? 0n
  }

  /** All tokens that the ledger must hold. */
  held(): bigint {
    let sum = 0n
    for (const balance of this.balances.values()) sum += balance
    for (const { deposit, settled } of this.channels.values()) sum += deposit - settled
    return sum
  }

  /** The events of the call, or the name of the error with which it changes nothing. */
  apply(call: Call, now: bigint): readonly ModelEvent[] | string {
    this.events = []
    try {
      this.run(call, now)
      return this.events
    } catch (error) {
      if (error instanceof Refusal) return error.message
      throw error
    }
  }

  /** Every check stands before the first change, so that a refusal changes nothing. */
  private run(call: Call, now: bigint): void {
    const { token } = this
    switch (call.fn) {
      case 'deposit':
        this.pull(call.from, call.account, call.amount)
        add(this.balances, call.account, call.amount)
        return
      case 'withdraw':
      case 'transfer': {
        this.debit(call.from, call.amount)
        add(call.fn === 'withdraw' ? this.wallets : this.balances, call.to, call.amount)
        this.events.push([call.fn === 'withdraw' ? 'Withdrawn' : 'Transferred', token, call.from, call.to, call.amount])
        return
      }
      case 'open':
      case 'depositAndOpen':
        this.open(call.parties, call.amount, call.expiry, now, call.fn === 'depositAndOpen')
        return
      case 'topUp': {
        const c = this.channel(call.parties)
        check(c.expiry > now, 'ChannelNotLive')
        this.debit(call.from, call.amount)
        c.deposit += call.amount
        this.events.push(['ToppedUp', channelId(call.parties), c.deposit])
        return
      }
      case 'reclaim': {
        const c = this.channel(call.parties)
        check(now >= c.expiry, 'NotExpired')
        const refund = this.end(call.parties, c, c.settled)
        this.events.push(['Reclaimed', channelId(call.parties), refund, c.epoch])
        return
      }
      case 'close':
        this.close(call, now)
        return
      case 'settle': {
        const { id, settled, paid, reason } = this.take(call.row, now)
        check(paid > 0n, ['', 'UnknownChannel', 'NothingToSettle', 'InvalidLocks'][reason] ?? '')
        this.pay(call.row.parties.target, paid, [entry(id, settled)])
        return
      }
      case 'settleBatch':
        this.settleBatch(call.target, call.rows, now)
        return
      case 'proposePayoutFor':
        check(call.from === this.payoutOf(call.target), 'NotThePayout')
        this.proposals.set(call.target, call.payout)
        this.events.push(['PayoutProposed', call.target, call.payout])
        return
      case 'acceptPayout':
        check(call.from === this.proposedOf(call.target), 'NotProposed')
        this.payouts.set(call.target, call.from)
        this.proposals.delete(call.target)
        this.nonces.set(call.target, this.nonceOf(call.target) + 1n)
        this.events.push(['PayoutAccepted', call.target, call.from])
        return
      case 'setMaxRelayFee':
        check(call.from === this.payoutOf(call.target), 'NotThePayout')
        this.fees.set(`${call.from}>${call.target}`, call.amount)
        this.events.push(['MaxRelayFeeSet', call.target, token, call.from, call.amount])
        return
    }
  }

  private pull(from: Address, account: Address, amount: bigint): void {
    // the token's own subtraction fails
    check((this.wallets.get(from) ?? 0n) >= amount, 'Panic')
    add(this.wallets, from, -amount)
    this.events.push(['Deposited', this.token, account, amount])
  }

  private debit(account: Address, amount: bigint): void {
    check(this.balance(account) >= amount, 'InsufficientBalance')
    add(this.balances, account, -amount)
  }

  private open(parties: ChannelParties, amount: bigint, expiry: bigint, now: bigint, pulls: boolean): void {
    const { owner, signer, target, token } = parties
    const c = this.channel(parties)
    if (pulls) check((this.wallets.get(owner) ?? 0n) >= amount, 'Panic')
    else check(this.balance(owner) >= amount, 'InsufficientBalance')
    check(c.epoch < MAX_EPOCH, 'EpochsUsedUp')
    check(expiry > now && expiry >= c.expiry && expiry <= now + TERM, 'ExpiryOutOfRange')
    check(c.deposit + amount <= MAX_96, 'DepositTooLarge')
    if (pulls) this.pull(owner, owner, amount)
    else this.debit(owner, amount)
    c.deposit += amount
    c.expiry = expiry
    this.events.push(['Opened', channelId(parties), owner, target, signer, token, c.deposit, expiry])
  }

  private close(call: Extract<Call, { fn: 'close' }>, now: bigint): void {
    const { parties, amount, deadline, signedEpoch } = call
    const c = this.channel(parties)
    check(now <= deadline, 'DeadlinePassed')
    check(amount >= c.settled && amount <= c.deposit, 'AmountOutOfRange')
    check(signedEpoch === c.epoch, 'InvalidSignature')
    const paid = amount - c.settled
    const refund = this.end(parties, c, amount)
    const id = channelId(parties)
    if (paid > 0n) this.pay(parties.target, paid, [entry(id, amount)])
    this.events.push(['Closed', id, amount, refund, c.epoch])
  }

  private settleBatch(target: Address, rows: readonly ModelRow[], now: bigint): void {
    const entries: string[] = []
    let sum = 0n
    rows.forEach((row, index) => {
      const { id, settled, paid, reason } = this.take(row, now)
      if (paid > 0n) entries.push(entry(id, settled))
      else this.events.push(['RowSkipped', target, this.token, BigInt(index), BigInt(reason)])
      sum += paid
    })
    if (sum > 0n) this.pay(target, sum, entries)
  }

  /** Raises what is settled; `reason` is the number of the SPEC when nothing is paid. */
  private take(
    { parties, amount, shown, genuine }: ModelRow,
    now: bigint,
  ): { id: string; settled: bigint; paid: bigint; reason: number } {
    const id = channelId(parties)
    const nothing = { id, settled: 0n, paid: 0n }
    if (shown.some(({ lock, k }) => k > lock.steps)) return { ...nothing, reason: 3 }
    const c = this.channel(parties)
    if (!genuine || (c.deposit === 0n && c.settled === 0n && c.expiry === 0n && c.epoch === 0n)) return { ...nothing, reason: 1 }
    const value = amount + shownValue(shown, Number(now) as Seconds)
    const settled = value < c.deposit ? value : c.deposit
    if (settled <= c.settled) return { ...nothing, reason: 2 }
    const paid = settled - c.settled
    c.settled = settled
    return { id, settled, paid, reason: 0 }
  }

  private pay(target: Address, paid: bigint, entries: readonly string[]): void {
    const payout = this.payoutOf(target)
    const most = payout === target ? 0n : this.feeOf(target)
    const fee = most < paid ? most : paid
    add(this.balances, target, fee)
    add(this.balances, payout, paid - fee)
    this.events.push(['Settled', target, this.token, payout, paid, `0x${entries.join('')}`])
  }

  private end(parties: ChannelParties, c: ModelChannel, final: bigint): bigint {
    check(c.expiry !== 0n, 'ChannelNotOpen')
    const refund = c.deposit - final
    add(this.balances, parties.owner, refund)
    Object.assign(c, { deposit: final, settled: final, expiry: 0n, epoch: c.epoch + 1n })
    return refund
  }
}

/** 20 bytes of the id, 12 bytes of the amount, as hex digits. */
function entry(id: string, settled: bigint): string {
  return id.slice(2, 42) + settled.toString(16).padStart(24, '0')
}

function check(holds: boolean, error: string): void {
  if (!holds) throw new Refusal(error)
}

function add(map: Map<Address, bigint>, key: Address, amount: bigint): void {
  map.set(key, (map.get(key) ?? 0n) + amount)
}
