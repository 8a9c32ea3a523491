// A provider made of the pure rules, the record codecs and a disk; the smallest desk that can stand in for the real one.
import assert from 'node:assert/strict'
import type { Amount } from '../../src/core/amount.ts'
import { bestAmount, type ChannelFacts, type ChannelIn } from '../../src/core/channel.ts'
import { creditLimit, newOwner, type OwnerAccount, type Pool, takeGrant } from '../../src/core/credit.ts'
import { TallyError } from '../../src/core/errors.ts'
import { type Address, type ChannelId, type ChannelParties, channelId, type Seconds, type SessionId } from '../../src/core/ids.ts'
import { type Meter, ZERO_METER } from '../../src/core/meter.ts'
import type { Offer } from '../../src/core/offer.ts'
import { chunkCost, rateOf } from '../../src/core/price.ts'
import { type Counts, sellsCounts } from '../../src/core/session/counts.ts'
import type { FromPayee, FromPayer, Hello } from '../../src/core/session/messages.ts'
import {
  ackedMeter,
  allowance,
  covers,
  creditLeft,
  exposureOf,
  newPayeeSession,
  onceDurable,
  type PayeeContext,
  type PayeeEffect,
  type PayeeInput,
  type PayeePolicy,
  type PayeeSession,
  stepPayee,
} from '../../src/core/session/payee.ts'
import { judgeHello, termsFor } from '../../src/core/session/payee-hello.ts'
import { isAgreed } from '../../src/core/session/payee-state.ts'
import { channelInCodec, ownerCodec, payeeSessionCodec } from '../../src/session/record-codecs.ts'
import { Disk, record } from './disk.ts'
import type { Random } from './random.ts'
import { toyDigest, toyPayee, toyTermsSignature } from './toy-crypto.ts'
import type { DataOpen, UpPiece, Wire } from './wire.ts'

export interface Clock {
  ms: number
  readonly startS: number
}
export const secondsOf = (clock: Clock): Seconds => (clock.startS + Math.floor(clock.ms / 1000)) as Seconds

/** What a service does on a stream beside bytes: it reserves the most, and charges what it came to. */
export interface Work {
  readonly most: Counts
  /** what it came to; undefined: it failed, and is released */
  readonly cost: Counts | undefined
}

interface Delivery {
  readonly stream: number
  left: number
  readonly work: Work | undefined
  stage: 'new' | 'held' | 'done'
  /** bytes of the payer that came and were not taken */
  up: number
  /** told that nothing may be written; asks again when woken */
  asleep: boolean
}

interface Live {
  session: PayeeSession
  readonly channel: ChannelId
  wire: Wire | undefined
  readonly deliveries: Map<number, Delivery>
}

export interface PayeePolicies extends PayeePolicy {
  readonly poolPerHour: Amount
  readonly patienceMs: number
}

export class PayeeNode {
  readonly address: Address
  readonly disk = new Disk()
  readonly offer: Offer
  readonly contentBytes: number
  readonly policy: PayeePolicies
  readonly #clock: Clock
  channels = new Map<ChannelId, ChannelIn>()
  owners = new Map<Address, OwnerAccount>()
  live = new Map<SessionId, Live>()
  ended = new Map<SessionId, Live>()
  /** what was truly given for each session: no crash makes a provider's loss undone */
  readonly delivered = new Map<SessionId, Meter>()
  /** work that was going on when its stream was cut: given away */
  #orphans: { readonly live: Live; readonly held: Counts }[] = []
  /** what the service of each stream will do; undefined: nothing but bytes */
  workOf: () => Work | undefined = () => undefined
  #pool: Pool = { hour: -1, left: 0n as Amount }
  /** called after every step */
  check: (node: PayeeNode) => void = () => undefined

  constructor(address: Address, offer: Offer, contentBytes: number, policy: PayeePolicies, clock: Clock) {
    this.address = address
    this.offer = offer
    this.contentBytes = contentBytes
    this.policy = policy
    this.#clock = clock
  }

  reserve(parties: ChannelParties, facts: ChannelFacts): void {
    const channel: ChannelIn = { id: channelId(parties), parties, facts, best: undefined, frozen: undefined }
    this.channels.set(channel.id, channel)
    this.disk.commit([record(`c${channel.id}`, channelInCodec, channel)], () => undefined)
    this.disk.sync()
  }

  crash(): void {
    this.disk.crash()
    this.live.clear()
    this.ended.clear()
    this.#orphans = []
    this.channels = new Map(this.disk.read('c', channelInCodec).map((channel) => [channel.id, channel]))
    this.owners = new Map(this.disk.read('o', ownerCodec).map((owner) => [owner.owner, owner]))
    for (const session of this.disk.read('s', payeeSessionCodec)) {
      if (session.status === 'closed' || !isAgreed(session)) continue
      this.#adopt({ ...session, status: 'cut', at: this.#clock.ms, waitingSince: this.#clock.ms }, undefined)
    }
    this.check(this)
  }

  /** All sessions ever agreed on, as they are known here. */
  all(): Map<SessionId, PayeeSession> {
    const inMemory = new Map([...this.ended, ...this.live].map(([session, live]) => [session, live.session]))
    for (const session of this.disk.read('s', payeeSessionCodec)) if (!inMemory.has(session.id)) inMemory.set(session.id, session)
    return inMemory
  }

  /** Totals of all sessions of a channel: their sum is the best promise. */
  totals(id: ChannelId): bigint {
    let sum = 0n
    for (const { terms, total } of this.all().values()) {
      if (channelId({ owner: terms.owner, signer: terms.signer, target: terms.provider, token: terms.token }) === id) sum += total
    }
    return sum
  }

  receive(wire: Wire, from: Address, message: FromPayer): void {
    if (message.type === 'hello') return this.#hello(wire, from, message)
    if (message.type === 'release' || message.session === undefined) return
    const live = this.live.get(message.session) ?? this.ended.get(message.session)
    if (live === undefined || live.wire !== wire) return this.#countersigned(message)
    const input = inputOf(message)
    if (input !== undefined) this.run(live, input)
  }

  #countersigned(message: FromPayer): void {
    if (message.type !== 'countersign') return
    const old = this.disk.read(`s${message.session}`, payeeSessionCodec)[0]
    if (old === undefined) return
    this.disk.commit([record(`s${old.id}`, payeeSessionCodec, { ...old, countersignature: message.signature })], () => undefined)
  }

  #refuse(wire: Wire, session: SessionId, code: ConstructorParameters<typeof TallyError>[0]): void {
    wire.toPayer.push({ type: 'fault', session, code: new TallyError(code).wire })
  }

  #hello(wire: Wire, from: Address, hello: Hello): void {
    const parties = { owner: hello.owner, signer: from, target: this.address, token: hello.token }
    const known = this.live.get(hello.session)
    if (known === undefined && hello.resume) {
      const old = this.disk.read(`s${hello.session}`, payeeSessionCodec)[0]
      if (old?.receipt === undefined) return this.#refuse(wire, hello.session, 'SESSION_UNKNOWN')
      wire.toPayer.push({ type: 'receipt', session: old.id, receipt: old.receipt })
      return
    }
    const { marginS, unreserved, patienceMs } = this.policy
    const channel = this.channels.get(channelId(parties))
    const code = judgeHello(hello, {
      offer: this.offer, channel, live: 0, maxSessions: 1000, banned: false, nowS: secondsOf(this.#clock), marginS, patienceS: patienceMs / 1000, unreserved,
    }) // biome-ignore format: a record
    if (code !== undefined) return this.#refuse(wire, hello.session, code)
    if (known !== undefined) {
      if (known.session.status !== 'cut' || known.wire !== undefined) return this.#refuse(wire, hello.session, 'BUSY')
      known.wire = wire
      this.run(known, { type: 'resume', acked: hello.acked })
      return this.#sendTerms(known)
    }
    this.#offerTerms(wire, hello, parties)
  }

  #offerTerms(wire: Wire, hello: Hello, parties: ChannelParties): void {
    const account = this.owners.get(parties.owner) ?? newOwner(parties.owner, parties.token)
    const taken = takeGrant(
      this.#pool,
      account,
      chunkCost(this.offer.price, this.offer.chunk),
      this.policy,
      secondsOf(this.#clock),
    )
    this.#pool = taken.pool
    this.owners.set(parties.owner, taken.account)
    const arrearsTaken = this.#of(parties.owner).some((live) => live.session.terms.arrears > 0n)
    const pending = new Set([
      ...this.#of(parties.owner),
      ...[...this.ended.values()].filter((live) => live.session.terms.owner === parties.owner),
    ])
    const owner = [...pending].reduce((account, one) => onceDurable(one.session, account).owner, taken.account)
    const terms = termsFor(hello, this.offer, owner, {
      signer: parties.signer, content: new Uint8Array(0), patienceMs: this.policy.patienceMs, nowS: secondsOf(this.#clock), lastS: 1_000_000, arrearsTaken,
      open: this.#of(parties.owner).map((live) => live.session.terms),
    }) // biome-ignore format: a record
    this.#sendTerms(this.#adopt(newPayeeSession(terms, toyDigest(terms), toyTermsSignature(terms), this.#clock.ms), wire))
  }

  #sendTerms(live: Live): void {
    const { session, wire } = live
    const { owner } = this.#stateOf(live)
    const message: FromPayee = {
      type: 'terms', terms: session.terms, signature: session.termsSignature, head: this.#channelOf(live).best, total: session.total,
      acked: ackedMeter(session), credit: creditLeft(this.#stateOf(live), this.contextOf(live)),
    } // biome-ignore format: a record
    const durable = this.#durableOwner(live, owner)
    const puts = [record(`o${owner.owner}`, ownerCodec, durable)]
    if (isAgreed(session)) puts.push(record(`s${session.id}`, payeeSessionCodec, onceDurable(session, durable).session))
    this.disk.commit(puts, () => {
      if (live.session.status === 'offered' && live.wire === wire && wire?.up === true) wire.toPayer.push(message)
    })
  }

  #durableOwner(live: Live, start: OwnerAccount): OwnerAccount {
    const all = new Set([...this.#of(live.session.terms.owner), live])
    return [...all].reduce((account, one) => onceDurable(one.session, account).owner, start)
  }

  #adopt(session: PayeeSession, wire: Wire | undefined): Live {
    const { owner, signer, provider, token } = session.terms
    const live: Live = { session, channel: channelId({ owner, signer, target: provider, token }), wire, deliveries: new Map() }
    this.live.set(session.id, live)
    return live
  }

  open(wire: Wire, { session, stream, from }: DataOpen): void {
    const live = this.live.get(session)
    const good = live !== undefined && live.wire === wire && live.session.status === 'live' && live.session.stopping === undefined
    if (!good || live.deliveries.has(stream)) return void wire.pieces.push({ session, stream, bytes: 0, refused: 'WRONG_STATE' })
    this.run(live, { type: 'opened', stream })
    const work = this.workOf()
    const stage = work === undefined ? 'done' : 'new'
    live.deliveries.set(stream, { stream, left: this.contentBytes - from, asleep: false, work, stage, up: 0 })
  }

  /** Bytes of the payer arrive; the service takes them when it likes, as far as it may. */
  arrive(wire: Wire, piece: UpPiece): void {
    const live = this.live.get(piece.session)
    const delivery = live?.wire === wire ? live.deliveries.get(piece.stream) : undefined
    if (delivery !== undefined) delivery.up += piece.bytes
  }

  /** Lets one delivery do something; false when nothing can be done anywhere. */
  deliver(random: Random): boolean {
    const orphan = this.#orphans.shift()
    if (orphan !== undefined) this.run(orphan.live, { type: 'forfeit', held: orphan.held })
    const ready = [...this.live.values()].flatMap((live) =>
      [...live.deliveries.values()].filter((one) => !one.asleep && one.left > 0).map((one) => [live, one] as [Live, Delivery]),
    )
    if (ready.length === 0) return false
    const [live, delivery] = random.pick(ready)
    const { work, stage, up } = delivery
    if (work !== undefined && stage === 'new') return this.#hold(live, delivery, work)
    if (work !== undefined && stage === 'held' && random.chance(0.2)) this.#settle(live, delivery, work)
    else if (up > 0 && random.chance(0.5)) this.#take(live, delivery, random.int(1, up))
    else this.#write(live, delivery, random.int(1, 1_500))
    return true
  }

  #hold(live: Live, delivery: Delivery, work: Work): boolean {
    const { calls, units } = work.most
    const want = { calls, units }
    if (!covers(this.#stateOf(live), this.contextOf(live), want)) {
      delivery.asleep = true
      this.run(live, { type: 'blocked', want })
      return true
    }
    this.run(live, { type: 'hold', counts: work.most })
    delivery.stage = 'held'
    this.#gave(live, work.most)
    return true
  }

  #settle(live: Live, delivery: Delivery, { most, cost }: Work): void {
    delivery.stage = 'done'
    const charged = cost ?? { up: 0n, calls: 0n, units: 0n }
    this.#gave(live, { calls: charged.calls - most.calls, units: charged.units - most.units }, false)
    this.run(live, { type: 'settle', stream: delivery.stream, held: most, charged })
  }

  #take(live: Live, delivery: Delivery, most: number): void {
    const isSold = rateOf(live.session.terms.price, 'up') !== undefined
    const bytes = this.#allowed(live, delivery, most, 'up')
    if (bytes === 0) return
    delivery.up -= bytes
    if (!isSold) return
    this.run(live, { type: 'took', stream: delivery.stream, bytes })
    this.#gave(live, { up: BigInt(bytes) })
  }

  #write(live: Live, delivery: Delivery, most: number): void {
    const bytes = this.#allowed(live, delivery, Math.min(most, delivery.left), 'down')
    if (bytes === 0) return
    this.run(live, { type: 'wrote', stream: delivery.stream, bytes })
    this.#gave(live, { down: BigInt(bytes) })
    delivery.left -= bytes
    live.wire?.pieces.push({ session: live.session.id, stream: delivery.stream, bytes })
    if (delivery.left > 0) return
    if (delivery.work !== undefined && delivery.stage === 'held') this.#settle(live, delivery, delivery.work)
    if (sellsCounts(live.session.terms.price)) this.run(live, { type: 'served', stream: delivery.stream })
    live.deliveries.delete(delivery.stream)
  }

  #allowed(live: Live, delivery: Delivery, most: number, kind: 'down' | 'up'): number {
    const allowed = allowance(this.#stateOf(live), this.contextOf(live), kind)
    if (allowed !== 0n) return Math.min(most, allowed === undefined ? most : Number(allowed))
    delivery.asleep = true
    this.run(live, { type: 'blocked', want: { [kind]: 1n } })
    return 0
  }

  /** The truth, and that it is within the rules at once. */
  #gave(live: Live, more: Partial<Meter>, grows = true): void {
    const sum = { ...(this.delivered.get(live.session.id) ?? ZERO_METER) }
    for (const kind of ['down', 'up', 'calls', 'units'] as const) sum[kind] += more[kind] ?? 0n
    this.delivered.set(live.session.id, sum)
    const { owner } = live.session.terms
    const left = this.limit(owner) - (this.exposure(owner) - exposureOf(live.session))
    if (grows)
      assert.ok(exposureOf(live.session) <= (left > 0n ? left : 0n), 'S2: nothing is given past what is paid and the credit')
  }

  tick(): void {
    for (const live of [...this.live.values()]) this.run(live, { type: 'clock' })
  }

  lost(wire: Wire): void {
    for (const live of [...this.live.values()]) {
      if (live.wire !== wire) continue
      live.wire = undefined
      this.run(live, { type: 'cut' })
    }
    for (const [id, live] of this.ended) if (live.wire === wire) this.ended.delete(id)
  }

  stop(): void {
    for (const live of [...this.live.values()]) this.run(live, { type: 'stop', code: 'SHUTTING_DOWN' })
  }

  #of(owner: Address): Live[] {
    return [...this.live.values()].filter((live) => live.session.terms.owner === owner)
  }

  #channelOf(live: Live): ChannelIn {
    return this.channels.get(live.channel) as ChannelIn
  }

  #stateOf(live: Live) {
    const { owner, token } = live.session.terms
    return { session: live.session, channel: this.#channelOf(live), owner: this.owners.get(owner) ?? newOwner(owner, token) }
  }

  contextOf(live: Live): PayeeContext {
    let other = 0n
    for (const one of this.#of(live.session.terms.owner)) if (one !== live) other += exposureOf(one.session)
    const { signer } = live.session.terms
    return {
      nowMs: this.#clock.ms, nowS: secondsOf(this.#clock), policy: this.policy, otherExposure: other as Amount,
      ...toyPayee(this.address, signer, live.session.terms),
    } // biome-ignore format: a record
  }

  /** Of all sessions of an owner: what it could still walk away with. */
  exposure(owner: Address): bigint {
    return this.#of(owner).reduce((sum, live) => sum + exposureOf(live.session), 0n)
  }

  limit(owner: Address): bigint {
    const account = this.owners.get(owner)
    return account === undefined ? 0n : creditLimit(account, this.policy)
  }

  best(id: ChannelId): bigint {
    const channel = this.channels.get(id)
    return channel === undefined ? 0n : bestAmount(channel)
  }

  run(live: Live, input: PayeeInput): void {
    const { state, effects } = stepPayee(this.#stateOf(live), input, this.contextOf(live))
    live.session = state.session
    this.channels.set(live.channel, state.channel)
    this.owners.set(state.owner.owner, state.owner)
    for (const effect of effects) this.#perform(live, effect)
    this.check(this)
  }

  #perform(live: Live, effect: PayeeEffect): void {
    switch (effect.type) {
      case 'send': return void (live.wire?.up === true && live.wire.toPayer.push(effect.message satisfies FromPayee))
      case 'store': return this.#store(live, effect.then)
      case 'serve': for (const one of this.#of(live.session.terms.owner)) for (const delivery of one.deliveries.values()) delivery.asleep = false; return
      case 'cutStreams':
        for (const { stage, work } of live.deliveries.values()) if (stage === 'held' && work !== undefined) this.#orphans.push({ live, held: work.most })
        return live.deliveries.clear()
      case 'drop': return live.wire?.cut()
      case 'settle':
      case 'forget': return
      case 'ended': this.live.delete(live.session.id); this.ended.set(live.session.id, live); return
      default: return effect satisfies never
    } // biome-ignore format: a table
  }

  #store(live: Live, then: PayeeInput | undefined): void {
    const state = this.#stateOf(live)
    const owner = this.#durableOwner(live, state.owner)
    const { session } = onceDurable(live.session, owner)
    const puts = [
      record(`s${session.id}`, payeeSessionCodec, session),
      record(`c${state.channel.id}`, channelInCodec, state.channel),
      record(`o${owner.owner}`, ownerCodec, owner),
    ]
    this.disk.commit(puts, () => then !== undefined && this.run(live, then))
  }
}

function inputOf(message: FromPayer): PayeeInput | undefined {
  switch (message.type) {
    case 'restate':
    case 'promise':
    case 'tick':
    case 'agree':
    case 'close': return { type: message.type, message } as PayeeInput
    case 'accept': return { type: 'accept', signature: message.signature }
    case 'ack': return { type: 'ack', stream: message.stream, bytes: message.bytes, ms: message.ms, final: message.final }
    case 'countersign': return { type: 'countersign', signature: message.signature }
    case 'fault': return { type: 'fault', code: message.code }
    case 'hello':
    case 'release': return undefined
    default: return message satisfies never
  } // biome-ignore format: a table
}
