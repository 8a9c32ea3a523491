/**
 * The ledger's rules once more, as plain sums over maps: what random sequences of calls are compared with.
 *
 * What the node itself knows it takes from the node: the id of a channel, the worth of shown locks, and what a promise pays. A refusal
 * names the error in the order in which the contract checks.
 */
import type { Amount } from '../../../src/core/amount.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { NO_CHANNEL } from '../../../src/core/channel.ts'
import { type Address, type ChannelParties, channelId, type Seconds, ZERO_ADDRESS } from '../../../src/core/ids.ts'
import { shownValue } from '../../../src/core/lock.ts'
import { payable } from '../../../src/core/settlement.ts'
import type { Call, LedgerEvent, Row } from './calls.ts'
import { LEDGER } from './fixture.ts'
import { State } from './state.ts'

/** The name of the error that the call is refused with. */
class Refusal extends Error {}

const TERM = 730n * 86_400n
const MAX_96 = (1n << 96n) - 1n
export const MAX_EPOCH = 2 ** 24 - 1
/** The errors by the number of a skipped row's reason. */
const REASONS = ['', 'UnknownChannel', 'NothingToSettle', 'InvalidLocks']

/** One token in the ledger, and what each call does to it. */
export class Model extends State {
  readonly token: Address
  /** the error of the token when a wallet has too little */
  private readonly shortError: string
  private events: LedgerEvent[] = []

  constructor(token: Address, shortError: string) {
    super()
    this.token = token
    this.shortError = shortError
  }

  /** The events of the call, or the name of the error with which it changes nothing. */
  apply(call: Call, now: bigint): readonly LedgerEvent[] | string {
    const before = structuredClone(this.maps)
    this.events = []
    try {
      this.run(call, now)
      return this.events
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.maps = before
      return error.message
    }
  }

  private run(call: Call, now: bigint): void {
    const { token } = this
    switch (call.fn) {
      case 'deposit':
      case 'depositWithPermit':
        check(call.account !== ZERO_ADDRESS, 'InvalidAddress')
        this.receive(call.from, call.account, call.amount)
        this.credit(call.account, call.amount)
        return
      case 'depositWithAuthorization':
        check(call.account !== ZERO_ADDRESS, 'InvalidAddress')
        this.authorized(call.signedFor === call.account, call.holder, call.account, call.amount)
        this.credit(call.account, call.amount)
        return
      case 'sweep': {
        check(call.account !== ZERO_ADDRESS, 'InvalidAddress')
        const amount = this.wallet(call.box)
        this.receive(call.box, call.account, amount)
        this.credit(call.account, amount)
        return
      }
      case 'withdraw':
        check(call.to !== ZERO_ADDRESS && call.to !== LEDGER.toLowerCase(), 'InvalidAddress')
        this.debit(call.from, call.amount)
        this.events.push(['Withdrawn', token, call.from, call.to, call.amount])
        this.fundWallet(call.to, call.amount)
        return
      case 'transfer':
        check(call.to !== ZERO_ADDRESS, 'InvalidAddress')
        this.debit(call.from, call.amount)
        this.credit(call.to, call.amount)
        this.events.push(['Transferred', token, call.from, call.to, call.amount])
        return
      case 'open':
        this.debit(call.parties.owner, call.amount)
        this.open(call.parties, call.amount, call.expiry, now)
        return
      case 'depositAndOpen':
      case 'depositAndOpenWithPermit':
        this.receive(call.parties.owner, call.parties.owner, call.amount)
        this.open(call.parties, call.amount, call.expiry, now)
        return
      case 'depositAndOpenWithAuthorization':
        this.authorized(call.signedExpiry === call.expiry, call.parties.owner, call.parties.owner, call.amount)
        this.open(call.parties, call.amount, call.expiry, now)
        return
      case 'topUp': {
        const { expiry } = this.channel(call.parties)
        check(expiry > now, 'ChannelNotLive')
        this.debit(call.from, call.amount)
        const deposit = this.reserve(call.parties, call.amount, expiry)
        this.events.push(['ToppedUp', channelId(call.parties), deposit])
        return
      }
      case 'reclaim': {
        const { expiry, settled } = this.channel(call.parties)
        check(now >= expiry, 'NotExpired')
        const [refund, epoch] = this.end(call.parties, settled)
        this.events.push(['Reclaimed', channelId(call.parties), refund, epoch])
        return
      }
      case 'close':
        this.close(call, now)
        return
      case 'settle': {
        const { target } = call.row.parties
        const [paid, entry] = this.takeOne(call.row, call.cut, now)
        this.events.push(['Settled', target, token, this.pay(target, paid), entry])
        return
      }
      case 'settleDirect': {
        check(this.payoutOf(call.from) === call.from, 'NotThePayout')
        // what was promised to another target is, to this one, a signature by nobody
        const genuine = call.row.genuine && call.row.parties.target === call.from
        const [paid, entry] = this.takeOne({ ...call.row, genuine }, call.cut, now)
        this.events.push(['SettledDirect', entry])
        this.fundWallet(call.from, paid)
        return
      }
      case 'settleBatch':
        this.settleBatch(call, now)
        return
      case 'proposePayout':
        check(call.from === this.payoutOf(call.target), 'NotThePayout')
        this.maps.proposals.set(call.target, call.payout)
        this.events.push(['PayoutProposed', call.target, token, call.payout])
        return
      case 'acceptPayout':
        this.accept(call.target, call.from)
        return
      case 'acceptPayoutWithSignature':
        check(now <= call.deadline, 'DeadlinePassed')
        check(call.signedNonce === this.nonceOf(call.target), 'InvalidSignature')
        this.accept(call.target, call.payout)
        return
      case 'setMaxRelayFee':
        check(call.from === this.payoutOf(call.target), 'NotThePayout')
        this.maps.fees.set(`${call.from}>${call.target}`, call.amount)
        this.events.push(['MaxRelayFeeSet', call.target, token, call.from, call.amount])
        return
    }
  }

  private receive(from: Address, account: Address, amount: bigint): void {
    check(this.wallet(from) >= amount, this.shortError)
    this.fundWallet(from, -amount)
    this.events.push(['Deposited', this.token, account, amount])
  }

  private authorized(signed: boolean, holder: Address, account: Address, amount: bigint): void {
    // the token itself reverts with a text
    check(signed, 'Error')
    this.receive(holder, account, amount)
    check(amount > 0n, 'NothingReceived')
  }

  private debit(account: Address, amount: bigint): void {
    check(this.balance(account) >= amount, 'InsufficientBalance')
    this.maps.balances.set(account, this.balance(account) - amount)
  }

  private credit(account: Address, amount: bigint): void {
    check(this.balance(account) + amount <= MAX_96, 'BalanceTooLarge')
    this.maps.balances.set(account, this.balance(account) + amount)
  }

  private open(parties: ChannelParties, amount: bigint, expiry: bigint, now: bigint): void {
    const { owner, signer, target, token } = parties
    check(signer !== ZERO_ADDRESS && target !== ZERO_ADDRESS, 'InvalidAddress')
    const c = this.channel(parties)
    check(c.epoch < MAX_EPOCH, 'EpochsUsedUp')
    check(expiry > now && expiry >= c.expiry && expiry <= now + TERM, 'ExpiryOutOfRange')
    const deposit = this.reserve(parties, amount, Number(expiry) as Seconds)
    this.events.push(['Opened', channelId(parties), owner, target, signer, token, deposit, expiry])
  }

  private reserve(parties: ChannelParties, amount: bigint, expiry: Seconds): bigint {
    const c = this.channel(parties)
    const deposit = (c.deposit + amount) as Amount
    check(deposit <= MAX_96, 'DepositTooLarge')
    this.setChannel(parties, { ...c, deposit, expiry })
    return deposit
  }

  /** Leaves `settled` as the channel's final amount. */
  private end(parties: ChannelParties, settled: Amount): [refund: bigint, epoch: bigint] {
    const c = this.channel(parties)
    check(c.expiry !== 0, 'ChannelNotOpen')
    const epoch = c.epoch + 1
    this.setChannel(parties, { deposit: settled, settled, expiry: NO_CHANNEL.expiry, epoch })
    this.credit(parties.owner, c.deposit - settled)
    return [c.deposit - settled, BigInt(epoch)]
  }

  private close({ parties, amount, deadline, signedEpoch }: Extract<Call, { fn: 'close' }>, now: bigint): void {
    const { target } = parties
    const id = channelId(parties)
    const { deposit, settled, epoch } = this.channel(parties)
    check(now <= deadline, 'DeadlinePassed')
    check(amount >= settled && amount <= deposit, 'AmountOutOfRange')
    check(signedEpoch === BigInt(epoch), 'InvalidSignature')
    const [refund, next] = this.end(parties, amount as Amount)
    if (amount > settled)
      this.events.push(['Settled', target, this.token, this.pay(target, amount - settled), entryOf(id, amount)])
    this.events.push(['Closed', id, amount, refund, next])
  }

  private settleBatch({ target, rows, cut }: Extract<Call, { fn: 'settleBatch' }>, now: bigint): void {
    check(cut === 0, 'MalformedRows')
    const entries: string[] = []
    let sum = 0n
    for (const [index, row] of rows.entries()) {
      const { paid, entry, reason } = this.take(row, now)
      if (paid > 0n) entries.push(entry)
      else this.events.push(['RowSkipped', target, this.token, BigInt(index), BigInt(reason)])
      sum += paid
    }
    if (sum > 0n) this.events.push(['BatchSettled', target, this.token, this.pay(target, sum), entries])
  }

  private takeOne(row: Row, cut: number, now: bigint): [paid: bigint, entry: string] {
    check(cut === 0, 'MalformedRows')
    const { paid, entry, reason } = this.take(row, now)
    check(paid > 0n, REASONS[reason] ?? '')
    return [paid, entry]
  }

  /** Tells the words and raises what is settled; `reason` is the number of the SPEC when nothing is paid. */
  private take({ parties, amount, shown, genuine }: Row, now: bigint): { paid: bigint; entry: string; reason: number } {
    const nothing = { paid: 0n, entry: '' }
    for (const { lock, word, k } of shown) {
      if (k > lock.steps) return { ...nothing, reason: 3 }
      if (k > 0) this.events.push(['WordShown', lock.anchor, toHex(word), BigInt(k)])
    }
    const id = channelId(parties)
    const facts = this.channel(parties)
    const isNew = facts.deposit === 0n && facts.settled === 0n && facts.expiry === 0 && facts.epoch === 0
    if (!genuine || isNew) return { ...nothing, reason: 1 }
    const value = (amount + shownValue(shown, Number(now) as Seconds)) as Amount
    const paid = payable({
      id,
      parties,
      facts,
      best: { promise: { amount: value, locks: [], signature: NO_BYTES } },
      frozen: undefined,
    })
    if (paid === 0n) return { ...nothing, reason: 2 }
    const settled = (facts.settled + paid) as Amount
    this.setChannel(parties, { ...facts, settled })
    return { paid, entry: entryOf(id, settled), reason: 0 }
  }

  /** Credits the payout, less what it lets the target keep, and answers who it is. */
  private pay(target: Address, paid: bigint): Address {
    const payout = this.payoutOf(target)
    const most = payout === target ? 0n : this.feeOf(target)
    const fee = most < paid ? most : paid
    this.credit(target, fee)
    this.credit(payout, paid - fee)
    return payout
  }

  private accept(target: Address, payout: Address): void {
    check(payout !== ZERO_ADDRESS && payout === this.proposedOf(target), 'NotProposed')
    this.maps.payouts.set(target, payout)
    this.maps.proposals.delete(target)
    this.maps.nonces.set(target, this.nonceOf(target) + 1n)
    this.events.push(['PayoutAccepted', target, this.token, payout])
  }
}

const NO_BYTES = new Uint8Array()

/** 20 bytes of the id, 12 bytes of the amount. */
function entryOf(id: string, settled: bigint): string {
  return id.slice(0, 42) + settled.toString(16).padStart(24, '0')
}

function check(holds: boolean, error: string): void {
  if (!holds) throw new Refusal(error)
}
