/** Random sequences of calls: what may happen, among whom, and how it is said to the contract in the node's own words. */
import fc from 'fast-check'
import type { Amount } from '../../../src/core/amount.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { signClosing } from '../../../src/core/closing.ts'
import { keccak256, keccakText } from '../../../src/core/crypto/keccak.ts'
import { addressOfKey, compactSignature, type Sign, signerOf } from '../../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../../src/core/eip712.ts'
import {
  type Address,
  type ChannelParties,
  channelId,
  hash32FromBytes,
  type Seconds,
  ZERO_ADDRESS,
} from '../../../src/core/ids.ts'
import { packShownLocks, type ShownLock, walk } from '../../../src/core/lock.ts'
import { encodeRows, preparePromises, type SettleRow } from '../../../src/core/promise.ts'
import { LEDGER } from './fixture.ts'
import type { Call, Model, ModelRow } from './model.ts'

const OWNERS = 2
const TARGETS = 2
const PAYOUTS = 2

/** Raw choices; what they mean depends on where the sequence stands. */
export interface Step {
  readonly fn: Call['fn'] | 'wait'
  readonly a: number
  readonly b: number
  readonly amount: bigint
  readonly time: bigint
  readonly rows: readonly {
    readonly a: number
    readonly amount: bigint
    readonly locks: readonly number[]
    readonly spoilt: number
  }[]
}

const byWeight: readonly (readonly [Step['fn'], number])[] = [
  ['deposit', 2],
  ['withdraw', 1],
  ['transfer', 1],
  ['open', 4],
  ['depositAndOpen', 3],
  ['topUp', 2],
  ['reclaim', 2],
  ['close', 3],
  ['settle', 5],
  ['settleBatch', 4],
  ['proposePayoutFor', 2],
  ['acceptPayout', 2],
  ['setMaxRelayFee', 1],
  ['wait', 2],
]

/** Amounts and times are small, so that limits are often met. */
export const step: fc.Arbitrary<Step> = fc.record({
  fn: fc.oneof(...byWeight.map(([fn, weight]) => ({ weight, arbitrary: fc.constant(fn) }))),
  a: fc.nat({ max: 63 }),
  b: fc.nat({ max: 63 }),
  amount: fc.bigInt(0n, 80n),
  time: fc.bigInt(0n, 300n),
  rows: fc.array(
    fc.record({
      a: fc.nat({ max: 63 }),
      amount: fc.bigInt(0n, 160n),
      locks: fc.array(fc.nat({ max: 0xffff }), { maxLength: 3 }),
      spoilt: fc.nat({ max: 7 }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
})

/** Who plays, with keys of their own for each sequence. */
export class Cast {
  readonly token: Address
  readonly owners: readonly Address[]
  readonly targets: readonly Address[]
  readonly payouts: readonly Address[]
  readonly channels: readonly ChannelParties[]
  private readonly keys = new Map<Address, Sign>()
  private readonly domain: Domain = { chainId: 31337n, ledger: LEDGER.toLowerCase() as Address }

  /** @param name makes the keys: another name, other accounts */
  constructor(name: string, token: Address) {
    const many = (role: string, count: number) => Array.from({ length: count }, (_, i) => this.account(`${name} ${role} ${i}`))
    this.token = token
    this.owners = many('owner', OWNERS)
    this.targets = many('target', TARGETS)
    this.payouts = many('payout', PAYOUTS)
    const signers = many('signer', 1)
    this.channels = this.owners.flatMap((owner, i) =>
      (i === 0 ? [owner, ...signers] : [owner]).flatMap((signer) =>
        this.targets.map((target) => ({ owner, signer, target, token })),
      ),
    )
  }

  get accounts(): readonly Address[] {
    return [...this.owners, ...this.targets, ...this.payouts]
  }

  /** What the step is at this moment of the sequence; nothing for waiting. */
  toCall({ fn, a, b, amount, time, rows }: Step, model: Model, now: bigint): Call | undefined {
    // mostly a channel that is open
    const open = this.channels.filter((channel) => model.channel(channel).expiry > 0n)
    const parties = pick(b % 8 === 7 || open.length === 0 ? this.channels : open, a)
    const target = pick(this.targets, a)
    const account = pick(this.accounts, b)
    switch (fn) {
      case 'wait':
        return undefined
      case 'deposit':
        // now and then more than the wallet has
        return { fn, from: pick(this.owners, a), account, amount: b % 8 === 3 ? amount * 9n : amount }
      case 'withdraw':
      case 'transfer':
        return { fn, ...this.spend(a, b, amount, model), to: account }
      case 'open':
      case 'depositAndOpen': {
        const any = pick(this.channels, a)
        const most = fn === 'open' ? model.balance(any.owner) : 80n
        const expiry = model.channel(any).expiry > now && b % 4 !== 1 ? model.channel(any).expiry + time : now + time
        return { fn, parties: any, amount: b % 4 === 0 ? amount : amount % (most + 1n), expiry }
      }
      case 'topUp':
        return { fn, ...this.spend(a, b, amount, model), parties }
      case 'reclaim':
        return { fn, parties }
      case 'close': {
        const c = model.channel(parties)
        // mostly in order; else of another epoch, late, or of any amount
        const signedEpoch = b % 8 === 0 ? c.epoch + 1n : c.epoch
        const final = b % 4 === 1 ? amount : c.settled + (c.deposit === c.settled ? 0n : amount % (c.deposit - c.settled + 1n))
        return { fn, parties, amount: final, deadline: b % 8 === 2 ? now - 1n : now, signedEpoch }
      }
      case 'settle':
        return { fn, row: this.row(rows[0], parties, now) }
      case 'settleBatch': {
        const ofTarget = (b % 8 === 7 ? this.channels : open).filter((channel) => channel.target === target)
        if (ofTarget.length === 0) return undefined
        return { fn, target, rows: rows.map((row) => this.row(row, pick(ofTarget, row.a), now)) }
      }
      case 'proposePayoutFor':
        return { fn, from: b % 4 === 0 ? account : model.payoutOf(target), target, payout: pick([...this.payouts, target], b) }
      case 'acceptPayout':
        return { fn, from: b % 4 === 0 || model.proposedOf(target) === ZERO_ADDRESS ? account : model.proposedOf(target), target }
      case 'setMaxRelayFee':
        return { fn, from: b % 4 === 0 ? account : model.payoutOf(target), target, amount }
    }
  }

  /** Who sends the call, and its arguments on the chain. */
  encode(call: Call): [from: Address, fn: string, args: readonly unknown[]] {
    const { token } = this
    switch (call.fn) {
      case 'deposit':
        return [call.from, call.fn, [token, call.account, call.amount]]
      case 'withdraw':
      case 'transfer':
        return [call.from, call.fn, [token, call.to, call.amount]]
      case 'settle':
        return [call.row.parties.target, ...this.encodeSettle(call.row)]
      case 'settleBatch':
        return [call.target, call.fn, [call.target, token, toHex(encodeRows(call.rows.map((row) => this.sign(row))))]]
      case 'proposePayoutFor':
        return [call.from, call.fn, [call.target, call.payout]]
      case 'acceptPayout':
        return [call.from, call.fn, [call.target]]
      case 'setMaxRelayFee':
        return [call.from, call.fn, [call.target, token, call.amount]]
    }
    const { owner, signer, target } = call.parties
    switch (call.fn) {
      case 'open':
      case 'depositAndOpen':
        return [owner, call.fn, [signer, target, token, call.amount, call.expiry]]
      case 'topUp':
        return [call.from, call.fn, [owner, signer, target, token, call.amount]]
      case 'reclaim':
        return [owner, call.fn, [signer, target, token]]
      case 'close': {
        const { amount, deadline, signedEpoch } = call
        const closing = { channel: channelId(call.parties), amount: amount as Amount, deadline: Number(deadline) as Seconds }
        const signature = signClosing(this.domain, { ...closing, epoch: Number(signedEpoch) }, this.signOf(target))
        return [owner, call.fn, [signer, target, token, amount, deadline, toHex(signature)]]
      }
    }
  }

  /** The one place that knows in which form a single promise is handed in. */
  private encodeSettle(row: ModelRow): [fn: string, args: readonly unknown[]] {
    const { owner, amount, locks, signature } = this.sign(row)
    const named = owner ?? ZERO_ADDRESS
    return ['settle', [named, row.parties.target, this.token, amount, toHex(locks), toHex(signature)]]
  }

  /** Mostly what one who has something can spend. */
  private spend(a: number, b: number, amount: bigint, model: Model): { from: Address; amount: bigint } {
    const rich = this.accounts.filter((account) => model.balance(account) > 0n)
    const from = pick(rich.length > 0 ? rich : this.accounts, a)
    return { from, amount: b % 4 === 0 ? amount : amount % (model.balance(from) + 1n) }
  }

  private row(raw: Step['rows'][number] | undefined, parties: ChannelParties, now: bigint): ModelRow {
    const { amount, locks, spoilt } = raw ?? { amount: 1n, locks: [], spoilt: 9 }
    const anchors = new Set<string>()
    const shown = locks
      .map((seed) => showLock(seed, now))
      .filter(({ lock }) => !anchors.has(lock.anchor) && anchors.add(lock.anchor))
    const deepest = spoilt === 1 ? shown.map((one) => ({ ...one, k: one.lock.steps + 1 })) : shown
    return { parties, amount: amount as Amount, shown: deepest, genuine: spoilt !== 0 }
  }

  /** A row that is not genuine is signed by the target, who is nobody's signer. */
  private sign({ parties, amount, shown, genuine }: ModelRow): SettleRow {
    const by = this.signOf(genuine ? parties.signer : parties.target)
    const promise = preparePromises(this.domain, parties).sign(
      amount,
      shown.map(({ lock }) => lock),
      by,
    )
    const row = { amount, locks: packShownLocks(shown), signature: compactSignature(promise.signature) }
    return parties.owner === parties.signer ? row : { ...row, owner: parties.owner }
  }

  private account(name: string): Address {
    const key = keccakText(name)
    const address = addressOfKey(key)
    this.keys.set(address, signerOf(key))
    return address
  }

  private signOf(account: Address): Sign {
    const sign = this.keys.get(account)
    if (sign === undefined) throw new Error(`no key of ${account}`)
    return sign
  }
}

/** A lock of up to six steps with some of them shown: without end, expired in this very second, or good for a while. */
function showLock(seed: number, now: bigint): ShownLock {
  const steps = 1 + (seed % 6)
  const k = (seed >> 3) % (steps + 1)
  const word = keccak256(new Uint8Array([seed >> 8, seed & 0xff]))
  const expiry = [0, Number(now), Number(now) + 1, Number(now) + 200][(seed >> 6) % 4] as Seconds
  const unit = BigInt((seed >> 8) % 16) as Amount
  return { lock: { anchor: hash32FromBytes(walk(word, k)), unit, steps, expiry }, word, k }
}

function pick<T>(list: readonly T[], index: number): T {
  const found = list[index % list.length]
  if (found === undefined) throw new Error('nothing to pick from')
  return found
}
