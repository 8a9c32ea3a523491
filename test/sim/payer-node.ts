// A consumer made of the pure rules, the record codecs and a disk, and a reader that buys one content from each provider.
import type { Amount } from '../../src/core/amount.ts'
import { type ChannelFacts, type ChannelOut, newChannelOut } from '../../src/core/channel.ts'
import { type ErrorCode, TallyError } from '../../src/core/errors.ts'
import { type Address, type ChannelId, type ChannelParties, channelId, type SessionId } from '../../src/core/ids.ts'
import { type Meter, ZERO_METER } from '../../src/core/meter.ts'
import type { SignedReceipt } from '../../src/core/receipt.ts'
import { addCounts, type Counts, countsAt, countsIn, mostOf, NO_COUNTS, sellsCounts } from '../../src/core/session/counts.ts'
import type { Charge, FromPayee } from '../../src/core/session/messages.ts'
import {
  atRiskOf,
  newPayerSession,
  owedOf,
  type PayerContext,
  type PayerEffect,
  type PayerInput,
  type PayerSession,
  stepPayer,
  usableBytes,
  usedMeter,
} from '../../src/core/session/payer.ts'
import type { Wish } from '../../src/core/session/payer-terms.ts'
import { quantumOf } from '../../src/core/session/worth.ts'
import type { Terms } from '../../src/core/terms.ts'
import { channelOutCodec, payerSessionCodec } from '../../src/session/record-codecs.ts'
import { Disk, record } from './disk.ts'
import { Hoard } from './hoard.ts'
import { type Clock, type PayeeNode, secondsOf } from './payee-node.ts'
import { toyPayer, toySession } from './toy-crypto.ts'
import type { DataPiece, Wire } from './wire.ts'

/** One content to be bought, over as many sessions as it takes. */
export interface Goal {
  readonly payee: PayeeNode
  readonly budget: Amount
  readonly limitAtRisk: Amount
  readonly knowsSize: boolean
  /** the reader can use so many bytes together, and fewer only at the end */
  readonly grain: number
  have: number
  session: SessionId | undefined
  /** why the last session ended; 'bought' = all is there */
  state: 'wanted' | 'bought' | 'given up'
  sessions: number
}

interface Reader {
  readonly stream: number
  arrived: number
  /** bytes that were sent on the stream */
  sent: bigint
  /** all that is wanted was read: only the last charge is waited for */
  done: boolean
}

export interface Buying {
  session: PayerSession
  readonly goal: Goal
  readonly wire: Wire
  readonly channel: ChannelId
  reader: Reader | undefined
  nextStream: number
  /** streams that had their last charge */
  readonly finals: Set<number>
  /** a payment waits for others to join it, until the clock is looked at */
  joins?: boolean
}

export interface SessionEnd {
  readonly code: ErrorCode | undefined
  readonly session: PayerSession
}

let sessions = 0

export class PayerNode {
  readonly address: Address
  readonly token: Address
  readonly disk = new Disk()
  readonly #clock: Clock
  readonly goals: Goal[] = []
  readonly wires = new Map<PayeeNode, Wire>()
  channels = new Map<ChannelId, ChannelOut>()
  live = new Map<SessionId, Buying>()
  cut = new Map<SessionId, { session: PayerSession; goal: Goal }>()
  late = new Map<SessionId, Buying>()
  readonly #marks = new Map<ChannelId, Amount>()
  readonly ends: SessionEnd[] = []
  /** the most that was ever signed on each channel: no crash makes a signature undone */
  readonly signed = new Map<ChannelId, bigint>()
  /** what a payee could make of all that was ever sent on each channel */
  readonly hoards = new Map<ChannelId, Hoard>()
  /** what was truly used in each session, and agreed to */
  readonly used = new Map<SessionId, Meter>()
  /** what the reader allowed, and sent, in each session: never more may be agreed to */
  readonly allowed = new Map<SessionId, Counts>()
  /** what is allowed and sent on each stream of a provider that charges more than bytes */
  plan: (payee: PayeeNode) => Counts = () => NO_COUNTS
  /** the wish and terms of every session */
  readonly wishes = new Map<SessionId, PayerSession>()
  readonly receipts: SignedReceipt[] = []
  /** whether chunks may be paid together */
  joins = false
  ticks: PayerContext['ticks'] = 'never'
  check: (node: PayerNode) => void = () => undefined
  onSigned: (channel: ChannelId, amount: Amount) => void = () => undefined

  constructor(address: Address, token: Address, clock: Clock) {
    this.address = address
    this.token = token
    this.#clock = clock
  }

  partiesTo(payee: Address): ChannelParties {
    return { owner: this.address, signer: this.address, target: payee, token: this.token }
  }

  reserve(parties: ChannelParties, facts: ChannelFacts): void {
    const channel = newChannelOut(channelId(parties), parties, facts)
    this.channels.set(channel.id, channel)
    this.disk.commit([record(`c${channel.id}`, channelOutCodec, channel)], () => undefined)
    this.disk.sync()
  }

  crash(keep: (have: number, recorded: number) => number): void {
    this.disk.crash()
    this.live.clear()
    this.cut.clear()
    this.late.clear()
    this.#marks.clear()
    this.channels = new Map(this.disk.read('c', channelOutCodec).map((channel) => [channel.id, channel]))
    const records = new Map(this.disk.read('s', payerSessionCodec).map((session) => [session.id, session]))
    for (const goal of this.goals) {
      const session = goal.session === undefined ? undefined : records.get(goal.session)
      if (session === undefined || session.status === 'closed' || session.terms === undefined) {
        goal.session = undefined
        continue
      }
      goal.have = keep(goal.have, Math.min(goal.have, this.#base(goal) + Number(session.flow.done)))
      this.cut.set(session.id, { session: { ...session, status: 'cut', at: this.#clock.ms }, goal })
    }
    for (const session of records.values()) {
      if (session.status === 'closed' || session.terms === undefined || this.cut.has(session.id)) continue
      const goal = this.goals.find((one) => one.payee.address === session.wish.provider) as Goal
      this.cut.set(session.id, { session: { ...session, status: 'cut', at: this.#clock.ms }, goal })
    }
  }

  /** What the real records say: the most that arrears may be. */
  owedTo(payee: Address): Amount {
    let owed = 0n
    for (const session of this.disk.read('s', payerSessionCodec)) {
      const { wish, terms } = session
      if (wish.provider !== payee || terms === undefined || (this.live.get(session.id)?.session.status ?? 'cut') !== 'cut')
        continue
      const due = owedOf(session)
      owed += (due > session.total ? due - session.total : 0n) + (session.stale ? wish.limitAtRisk + quantumOf(terms) : 0n)
      owed -= terms.arrears < wish.owed ? terms.arrears : wish.owed
    }
    return (owed > 0n ? owed : 0n) as Amount
  }

  /** Begins or resumes the session of a goal. */
  begin(goal: Goal, resume: boolean): void {
    const wire = this.wires.get(goal.payee)
    if (wire === undefined || !wire.up) return
    const held = goal.session === undefined ? undefined : this.cut.get(goal.session)
    const parties = this.partiesTo(goal.payee.address)
    const channel = this.channels.get(channelId(parties)) as ChannelOut
    if (held !== undefined && resume) {
      this.cut.delete(held.session.id)
      const recorded = held.session.flow.done
      const base = this.#base(goal)
      const kept = BigInt(goal.have - base)
      const session = {
        ...held.session,
        at: this.#clock.ms,
        flow: { ...held.session.flow, done: kept > recorded ? kept : recorded },
      }
      return this.#greet(session, goal, wire, channel, true)
    }
    if (held !== undefined) this.forget(held.session)
    // what is owed is read from the disk, after all that was given to it
    if (this.disk.busy) return
    if (goal.have >= goal.payee.contentBytes && goal.payee.contentBytes > 0) {
      goal.session = undefined
      goal.state = 'bought'
      return
    }
    goal.sessions++
    goal.have = Math.max(goal.have, 0)
    this.#bases.set(goal, goal.have)
    const { offer } = goal.payee
    const wish: Wish = {
      service: offer.service, inputs: new Uint8Array(0), owner: this.address, signer: this.address, provider: goal.payee.address, token: this.token,
      offered: offer, maxPrice: undefined, budget: goal.budget, limitAtRisk: goal.limitAtRisk, owed: this.owedTo(goal.payee.address),
      expect: goal.knowsSize ? BigInt(goal.payee.contentBytes - goal.have) : undefined,
    } // biome-ignore format: a record
    this.#greet(newPayerSession(toySession(++sessions), wish, this.#clock.ms), goal, wire, channel, false)
  }

  /** where in the content each goal's session began */
  readonly #bases = new Map<Goal, number>()
  #base(goal: Goal): number {
    return this.#bases.get(goal) ?? 0
  }

  #greet(session: PayerSession, goal: Goal, wire: Wire, channel: ChannelOut, resume: boolean): void {
    goal.session = session.id
    this.live.set(session.id, { session, goal, wire, channel: channel.id, reader: undefined, nextStream: 1, finals: new Set() })
    const { owner, token, service, inputs } = session.wish
    wire.toPayee.push({
      type: 'hello', session: session.id, resume, owner, token, service, inputs, signed: channel.last?.amount ?? (0n as Amount),
      acked: resume ? usedMeter(session) : ZERO_METER,
    }) // biome-ignore format: a record
  }

  forget(session: PayerSession): void {
    this.cut.delete(session.id)
    const id = channelId(this.partiesTo(session.wish.provider))
    const channel = this.channels.get(id) as ChannelOut
    const next = session.stale ? { ...channel, abandoned: true } : channel
    this.channels.set(id, next)
    const closed = { ...session, status: 'closed', failure: 'SESSION_UNKNOWN' } as const
    this.disk.commit([record(`s${session.id}`, payerSessionCodec, closed), this.#put(next)], () => undefined)
  }

  receive(wire: Wire, message: FromPayee): void {
    if (message.type === 'released') return
    const id = message.type === 'terms' ? message.terms.session : message.session
    const live =
      id === undefined ? undefined : (this.live.get(id) ?? (message.type === 'receipt' ? this.late.get(id) : undefined))
    if (live === undefined || live.wire !== wire) return
    if (message.type === 'charge') return this.#charge(live, message)
    const input = inputOf(message)
    if (input !== undefined) this.run(live, input)
  }

  /** Bytes of a stream arrive; the reader uses what it can. */
  arrive(wire: Wire, piece: DataPiece): void {
    const live = this.live.get(piece.session)
    const reader = live?.reader
    if (live === undefined || reader === undefined || live.wire !== wire || reader.stream !== piece.stream) return
    if (piece.refused !== undefined) {
      live.reader = undefined
      this.run(live, { type: 'ended', stream: piece.stream })
      return
    }
    const usable = usableBytes({ session: live.session, channel: this.#channelOf(live) }, 'down', { up: this.#flying(live) })
    const most = usable === undefined ? piece.bytes : Math.max(0, Math.min(piece.bytes, Number(usable) - reader.arrived))
    reader.arrived += most
    if (most < piece.bytes) return this.run(live, { type: 'finish', code: 'BUDGET_REACHED' })
    this.read(live)
  }

  read(live: Buying): void {
    const { reader, goal } = live
    if (reader === undefined) return
    const left = goal.payee.contentBytes - goal.have
    const grain = reader.arrived >= left ? left : reader.arrived - (reader.arrived % goal.grain)
    if (grain > 0) {
      reader.arrived -= grain
      goal.have += grain
      const known = this.used.get(live.session.id) ?? ZERO_METER
      this.used.set(live.session.id, { ...known, down: known.down + BigInt(grain) })
      this.run(live, { type: 'used', stream: reader.stream, bytes: grain })
    }
    if (goal.have < goal.payee.contentBytes || live.reader === undefined) return
    if (sellsCounts((live.session.terms as Terms).price) && !live.finals.has(reader.stream)) reader.done = true
    else this.#leave(live, reader)
  }

  #leave(live: Buying, reader: Reader): void {
    live.reader = undefined
    this.run(live, { type: 'ended', stream: reader.stream })
    this.run(live, { type: 'finish', code: undefined })
  }

  #charge(live: Buying, message: Charge): void {
    const { reader } = live
    const handed = BigInt(reader?.arrived ?? 0)
    this.run(live, { type: 'charge', message, sent: reader?.stream === message.stream ? reader.sent : 0n, handed })
    if (!message.final) return
    live.finals.add(message.stream)
    if (live.reader === reader && reader?.done === true) this.#leave(live, reader)
  }

  #flying(live: Buying): bigint {
    const { reader, session } = live
    return reader === undefined ? 0n : reader.sent - countsAt(session.counts, reader.stream, 'acked').up
  }

  /** Sends what it wants the service to have, as far as the budget covers it. */
  #send(live: Buying, reader: Reader, wanted: bigint): void {
    const ahead = { down: BigInt(reader.arrived), up: this.#flying(live) }
    const usable = usableBytes({ session: live.session, channel: this.#channelOf(live) }, 'up', ahead)
    const bytes = usable === undefined || usable > wanted ? wanted : usable
    reader.sent += bytes
    this.#allow(live, { ...NO_COUNTS, up: bytes })
    if (bytes > 0n && live.wire.up) live.wire.ups.push({ session: live.session.id, stream: reader.stream, bytes: Number(bytes) })
  }

  #allow(live: Buying, more: Counts): void {
    const { id } = live.session
    this.allowed.set(id, addCounts(this.allowed.get(id) ?? NO_COUNTS, more))
  }

  tick(): void {
    for (const live of [...this.live.values()]) {
      if (live.joins === true) this.run(live, { type: 'joined' })
      live.joins = false
      this.run(live, { type: 'clock', handed: BigInt(live.reader?.arrived ?? 0) })
      this.read(live)
    }
  }

  lost(wire: Wire): void {
    for (const live of [...this.live.values()]) if (live.wire === wire) this.run(live, { type: 'cut' })
    for (const [id, live] of this.late) if (live.wire === wire) this.late.delete(id)
  }

  #channelOf(live: Buying): ChannelOut {
    return this.channels.get(live.channel) as ChannelOut
  }

  #context(live: Buying): PayerContext {
    const beside = (): PayerSession[] =>
      [...this.live.values()].filter((one) => one !== live && one.channel === live.channel).map((one) => one.session)
    return {
      nowMs: this.#clock.ms, nowS: secondsOf(this.#clock), joins: this.joins, ticks: this.ticks, ...toyPayer(this.address, live.session.wish.provider),
      moving: () => beside().some(({ status }) => status === 'starting' || status === 'live' || status === 'closing'),
      alone: () => !beside().some(({ terms }) => terms !== undefined) && ![...this.cut.values()].some((one) => one.session.wish.provider === live.session.wish.provider),
    } // biome-ignore format: a record
  }

  run(live: Buying, input: PayerInput): void {
    const fresh = input.type === 'terms' && live.session.terms === undefined
    const { state, effects } = stepPayer({ session: live.session, channel: this.#channelOf(live) }, input, this.#context(live))
    live.session = state.session
    this.channels.set(live.channel, state.channel)
    const known = this.used.get(live.session.id) ?? ZERO_METER
    this.used.set(live.session.id, { ...known, ...mostOf(countsIn(known), countsIn(usedMeter(live.session))) })
    if (state.session.terms !== undefined) this.wishes.set(state.session.id, state.session)
    const top = this.signed.get(live.channel) ?? 0n
    for (const effect of effects) {
      if (effect.type !== 'send' || (effect.message.type !== 'promise' && effect.message.type !== 'tick')) continue
      // a step sends one payment: it brings the channel to what it is worth now
      const amount = state.channel.at
      if (amount > top) this.signed.set(live.channel, amount)
      const hoard = this.hoards.get(live.channel) ?? new Hoard()
      this.hoards.set(live.channel, hoard)
      if (effect.message.type === 'promise') hoard.promise(effect.message.promise)
      else hoard.word(effect.message.word)
      this.onSigned(live.channel, (amount > hoard.worth ? amount : hoard.worth) as Amount)
    }
    if (fresh && state.session.status === 'starting' && (state.session.terms?.arrears ?? 0n) > 0n) {
      for (const { session } of [...this.cut.values()])
        if (session.wish.provider === live.session.wish.provider) this.forget(session)
      for (const one of [...this.live.values()]) {
        const returning = one !== live && one.channel === live.channel && one.session.status === 'cut'
        if (returning) this.run(one, { type: 'fault', code: new TallyError('SESSION_UNKNOWN').wire })
      }
    }
    for (const effect of effects) this.#perform(live, effect)
    this.check(this)
  }

  #perform(live: Buying, effect: PayerEffect): void {
    switch (effect.type) {
      case 'send': return void (live.wire.up && live.wire.toPayee.push(effect.message))
      case 'store': return this.#store(live, effect.then)
      case 'join': live.joins = true; return
      case 'live': return this.#open(live)
      case 'paid': return
      case 'refused': return this.#refused(live, effect.stream)
      case 'cutStreams': live.reader = undefined; return
      case 'ended': return this.#end(live, effect.code)
      default: return effect satisfies never
    } // biome-ignore format: a table
  }

  #open(live: Buying): void {
    if (live.goal.have >= live.goal.payee.contentBytes) return this.run(live, { type: 'finish', code: undefined })
    const stream = live.nextStream++
    const reader = { stream, arrived: 0, sent: 0n, done: false }
    live.reader = reader
    const most = this.plan(live.goal.payee)
    this.#allow(live, { ...most, up: 0n })
    this.run(live, { type: 'opened', stream, most })
    if (live.wire.up) live.wire.opens.push({ session: live.session.id, stream, from: live.goal.have })
    if (most.up > 0n) this.#send(live, reader, most.up)
  }

  /** It was charged what nobody allowed: it wants no more of this provider's session. */
  #refused(live: Buying, stream: number): void {
    live.reader = undefined
    this.run(live, { type: 'ended', stream })
    this.run(live, { type: 'finish', code: 'CHARGE_REFUSED' })
  }

  #store(live: Buying, then: PayerInput | undefined): void {
    const channel = this.#channelOf(live)
    const { reserving, status } = live.session
    if (reserving !== undefined && reserving > (this.#marks.get(channel.id) ?? 0n)) this.#marks.set(channel.id, reserving)
    if (status === 'cut') {
      this.live.delete(live.session.id)
      this.cut.set(live.session.id, { session: live.session, goal: live.goal })
    }
    const beside = [...this.live.values()].filter((one) => one !== live && one.channel === live.channel)
    const puts = [live, ...beside].map((one) => record(`s${one.session.id}`, payerSessionCodec, one.session))
    this.disk.commit([this.#put(channel), ...puts], () => then !== undefined && this.run(live, then))
  }

  #put(channel: ChannelOut): readonly [string, Uint8Array] {
    const mark = this.#marks.get(channel.id) ?? (0n as Amount)
    return record(`c${channel.id}`, channelOutCodec, mark > channel.reserved ? { ...channel, reserved: mark } : channel)
  }

  #end(live: Buying, code: ErrorCode | undefined): void {
    const { session, goal } = live
    this.live.delete(session.id)
    this.ends.push({ code, session })
    if (session.receipt !== undefined) this.receipts.push(session.receipt)
    else if (session.terms !== undefined) this.late.set(session.id, live)
    if (goal.session !== session.id) return
    goal.session = undefined
    if (goal.have >= goal.payee.contentBytes) goal.state = 'bought'
    else if (code === 'BUDGET_REACHED' || code === 'AMOUNT_OVER_DEPOSIT') goal.state = 'given up'
  }

  /** Of all sessions: what is signed and not received. */
  atRisk(): bigint {
    return [...this.live.values()].reduce((sum, live) => sum + atRiskOf(live.session), 0n)
  }
}

function inputOf(message: FromPayee): PayerInput | undefined {
  switch (message.type) {
    case 'terms':
    case 'ready':
    case 'meter': return { type: message.type, message } as PayerInput
    case 'closing': return { type: 'closing', reason: message.reason }
    case 'receipt': return { type: 'receipt', receipt: message.receipt }
    case 'fault': return { type: 'fault', code: message.code }
    case 'charge':
    case 'released': return undefined
    default: return message satisfies never
  } // biome-ignore format: a table
}
