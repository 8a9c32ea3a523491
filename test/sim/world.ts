// Payers and payees on a network that cuts, disks that lag, machines that crash: one history per seed.
import assert from 'node:assert/strict'
import type { Amount } from '../../src/core/amount.ts'
import { type ChannelOut, gapOf } from '../../src/core/channel.ts'
import type { Head } from '../../src/core/head.ts'
import { type Address, channelId, hash32ToBytes, type Seconds } from '../../src/core/ids.ts'
import { ZERO_METER } from '../../src/core/meter.ts'
import type { Offer } from '../../src/core/offer.ts'
import { type Chunk, chunkCost, due, type Price, priceOf, rateOf } from '../../src/core/price.ts'
import { type Counts, isWithin, NO_COUNTS, sellsCounts, soldOf, someCount } from '../../src/core/session/counts.ts'
import type { FromPayee, FromPayer, TermsOffered } from '../../src/core/session/messages.ts'
import { usedMeter } from '../../src/core/session/payer.ts'
import { quantumOf, worthOf } from '../../src/core/session/worth.ts'
import { channelOutCodec } from '../../src/session/record-codecs.ts'
import { type Clock, PayeeNode, type PayeePolicies, type Work } from './payee-node.ts'
import { type Goal, PayerNode, type SessionEnd } from './payer-node.ts'
import type { Random } from './random.ts'
import { toyAddress, toyTermsSignature } from './toy-crypto.ts'
import { Wire } from './wire.ts'

export type Cheat =
  | 'pays nothing'
  | 'acknowledges nothing'
  | 'is silent'
  | 'understates'
  | 'begs'
  | 'agrees to nothing'
  | 'overcharges'

export interface WorldInit {
  readonly payers: number
  readonly payees: number
  readonly cuts: number
  readonly crashes: number
  readonly payerCheats?: Cheat
  readonly payeeCheats?: Cheat
  readonly price?: Price
  /** bytes of the payer, calls and units are charged too */
  readonly counts?: boolean
  /** messages and disks take no time: for prices of time, whose two clocks must agree */
  readonly brisk?: boolean
}

const TOKEN = toyAddress(0xc0)
const CHUNK = 1_000n
/** a payer here prepays at most so many chunks; a payee that crashes may write them twice */
const PREPAID_CHUNKS = 5n
const PATIENCE_MS = 30_000
/** the most that a stream may be charged */
const UNITS = 50n
const MOST: Counts = { up: 0n, calls: 1n, units: UNITS }

/** Prices from several base units a byte down to several chunks a base unit; some charge more than bytes. */
function anyPrice(random: Random, counts: boolean): Price {
  const price = flatPrice(random, counts)
  if (!counts || random.chance(0.6)) return price
  // the first bytes free, and dearer or cheaper beyond
  const tiers = price.rates.flatMap((rate) => {
    if (rate.kind !== 'down') return [rate]
    const from = BigInt(random.pick([0, 1, 700, 2_000]))
    const other = { ...rate, amount: (rate.amount / 2n + BigInt(random.int(1, Number(rate.amount) + 1))) as Amount }
    return [
      { ...rate, from },
      { ...other, from: from + BigInt(random.int(1, 3_000)) },
    ]
  })
  return priceOf(tiers, price.unitName)
}

function flatPrice(random: Random, counts: boolean): Price {
  const down = {
    kind: 'down',
    amount: BigInt(random.pick([1, 3, 250, 1_000, 7_777])) as Amount,
    per: BigInt(random.pick([1, 10, 1_000, 2_500])),
  } as const
  if (random.chance(0.05)) return priceOf([])
  if (!counts) return priceOf([down])
  const up = { ...down, kind: 'up' } as const
  // a call, and the units of a stream, cost up to half a chunk each
  const half = (CHUNK * down.amount) / down.per / 2n + 1n
  const calls = { kind: 'calls', amount: BigInt(random.int(1, Number(half))) as Amount, per: 1n } as const
  const units = { kind: 'units', amount: (half / BigInt(random.int(1, 50)) + 1n) as Amount, per: UNITS } as const
  const rates = [up, calls, units].filter(() => random.chance(0.6))
  const all = rates.length === 0 ? [calls] : rates
  return priceOf(random.chance(0.8) ? [down, ...all] : all, all.includes(units) ? 'token' : undefined)
}

/** What all of it costs on one stream; more than one is needed after a cut. */
function wholeOf({ offer, contentBytes }: PayeeNode): Amount {
  const counts = soldOf(offer.price, { ...MOST, up: 3_000n })
  return due(offer.price, { ...ZERO_METER, ...counts, down: BigInt(contentBytes) })
}

/** Of a kind that costs something, where there is one. */
function chunkOf(price: Price): Chunk {
  const isDown = price.rates.length === 0 || rateOf(price, 'down') !== undefined
  const kind = isDown ? 'down' : (price.rates[0]?.kind ?? 'down')
  return { kind, size: kind === 'calls' ? 1n : kind === 'units' ? UNITS : CHUNK }
}

function anyOffer(provider: PayeeNode['address'], price: Price): Offer {
  return {
    provider, sequence: 1n, expiry: 2_000_000_000 as Seconds, token: TOKEN, service: 'files', kind: 'files', description: '', price,
    chunk: chunkOf(price), minReservation: 0n as Amount, minTimeToExpiry: 0, addresses: [], inputs: '', outputs: '',
  } // biome-ignore format: a record
}

export class World {
  readonly random: Random
  readonly init: WorldInit
  /** every head that a lying payee has had, by its payer */
  readonly #heads = new Map<Address, Head[]>()
  readonly clock: Clock = { ms: 0, startS: 1_700_000_000 }
  readonly payers: PayerNode[] = []
  readonly payees: PayeeNode[] = []
  readonly wires: { readonly payer: PayerNode; readonly payee: PayeeNode; wire: Wire }[] = []
  readonly log: string[] = []
  #cuts: number
  #crashes: number
  /** crashes so far, of either side: each may cost what was at risk then */
  payeeCrashes = 0
  payerCrashes = 0
  cutsDone = 0

  constructor(random: Random, init: WorldInit) {
    this.random = random
    this.init = init
    this.#cuts = init.cuts
    this.#crashes = init.crashes
    for (let i = 0; i < init.payees; i++) this.payees.push(this.#newPayee(i))
    for (let i = 0; i < init.payers; i++) this.payers.push(this.#newPayer(i))
  }

  #newPayee(index: number): PayeeNode {
    const { random } = this
    const address = toyAddress(0xb000 + index)
    const offer = anyOffer(address, this.init.price ?? anyPrice(random, this.init.counts === true))
    const cost = chunkCost(offer.price, offer.chunk)
    const policy: PayeePolicies = {
      sharePpm: BigInt(random.pick([0, 100_000, 1_000_000])), max: (cost * BigInt(random.pick([0, 1, 2, 3, 4, 5, 6, 20]))) as Amount, marginS: 60, unreserved: 0n as Amount,
      clockMs: 500, resumeMs: random.pick([1_000, 60_000]), poolPerHour: (cost * BigInt(random.int(0, 3))) as Amount, patienceMs: PATIENCE_MS,
    } // biome-ignore format: a record
    const node = new PayeeNode(address, offer, random.int(0, 8) * 1_000 + random.int(0, 999), policy, this.clock)
    node.check = (payee) => this.#checkPayee(payee)
    const most = soldOf(offer.price, MOST)
    if (someCount(most)) node.workOf = () => this.#anyWork(most)
    return node
  }

  #anyWork(most: Counts): Work {
    const cost = { ...most, units: most.units === 0n ? 0n : BigInt(this.random.int(0, Number(most.units))) }
    return { most, cost: this.random.chance(0.1) ? undefined : cost }
  }

  #newPayer(index: number): PayerNode {
    const { random } = this
    const payer = new PayerNode(toyAddress(0xa000 + index), TOKEN, this.clock)
    payer.joins = random.chance(0.5)
    payer.ticks = random.pick(['never', 'always', 'auto'])
    payer.check = (node) => this.#checkPayer(node)
    payer.plan = ({ offer }) => soldOf(offer.price, { ...MOST, up: BigInt(random.int(0, 3_000)) })
    payer.onSigned = (id, amount) => {
      const [durable] = payer.disk.read(`c${id}`, channelOutCodec)
      assert.ok(
        durable !== undefined && amount <= durable.reserved,
        'P1: whatever was signed and revealed, the best of it is worth no more than the disk knows to be reserved',
      )
    }
    for (const payee of this.payees) {
      const parties = payer.partiesTo(payee.address)
      const cost = chunkCost(payee.offer.price, payee.offer.chunk)
      const whole = wholeOf(payee)
      const deposit = (random.chance(0.1) ? whole / 2n : whole * 3n + cost * 40n + 10n) as Amount
      const facts = { deposit, settled: 0n as Amount, expiry: 1_900_000_000 as Seconds, epoch: 0 }
      payer.reserve(parties, facts)
      payee.reserve(parties, facts)
      const wire = new Wire()
      payer.wires.set(payee, wire)
      this.wires.push({ payer, payee, wire })
      const goals = random.chance(0.3) ? 2 : 1
      for (let g = 0; g < goals; g++) payer.goals.push(this.#newGoal(payee, cost, whole, goals))
    }
    return payer
  }

  #newGoal(payee: PayeeNode, cost: Amount, whole: Amount, goals: number): Goal {
    const { random } = this
    const budget = (random.chance(0.15) ? (whole * BigInt(random.int(0, 10))) / 10n : whole * 2n + cost * 20n + 5n) as Amount
    const grain = goals > 1 ? 100 : random.pick([1, 100, 1_000, 1_700])
    // what is prepaid must reach for what the reader can use together
    // and for what a stream may be charged beside; of a chunk that is prepaid less than a sixteenth is not worth a payment
    const charged = due(payee.offer.price, { ...ZERO_METER, ...soldOf(payee.offer.price, MOST) })
    const beside = charged > 0n ? charged + cost / 8n : 0n
    const limitAtRisk = (cost * BigInt(random.int(grain > 1_000 ? 2 : 1, 4)) + 1n + beside) as Amount
    return {
      payee, budget, limitAtRisk, knowsSize: random.chance(0.5), grain, have: 0, session: undefined, state: 'wanted', sessions: 0,
    } // biome-ignore format: a record
  }

  /** Runs until nothing can happen any more; false when it does not come to an end. */
  run(maxSteps: number): boolean {
    for (let step = 0; step < maxSteps; step++) {
      if (this.#done()) return true
      this.#step()
    }
    return this.#done()
  }

  #done(): boolean {
    const busy = this.payers.some(
      (payer) => payer.disk.busy || payer.live.size > 0 || payer.goals.some((goal) => goal.state === 'wanted'),
    )
    return !busy && this.payees.every((payee) => !payee.disk.busy) && this.wires.every(({ wire }) => wire.quiet)
  }

  #step(): void {
    const { random } = this
    if (this.init.brisk === true) this.#settleDown()
    this.clock.ms += random.int(0, 3)
    const choice = random.next()
    if (choice < 0.45) return this.#message()
    if (choice < 0.7) return this.#data()
    if (choice < 0.85) return this.#sync()
    if (choice < 0.93) return this.#begin()
    if (choice < 0.97) return this.#tick()
    if (choice < 0.99) return this.#cut()
    this.#crash()
  }

  #settleDown(): void {
    for (let quiet = false; !quiet; ) {
      quiet =
        this.wires.every(({ wire }) => wire.toPayee.length + wire.toPayer.length + wire.opens.length === 0) &&
        [...this.payers, ...this.payees].every((node) => !node.disk.busy)
      for (const node of [...this.payers, ...this.payees]) node.disk.sync()
      this.#message()
      for (const { payee, wire } of this.wires) {
        const open = wire.opens.shift()
        if (open !== undefined) payee.open(wire, open)
      }
    }
    for (const payer of this.payers) payer.tick()
    for (const payee of this.payees) payee.tick()
  }

  #message(): void {
    const { payer, payee, wire } = this.random.pick(this.wires)
    const burst = this.random.int(1, 4)
    for (let i = 0; i < burst; i++) {
      if (this.random.chance(0.5)) {
        const message = wire.toPayee.shift()
        if (message !== undefined) for (const said of this.#byPayer(message)) payee.receive(wire, payer.address, said)
      } else {
        const message = wire.toPayer.shift()
        if (message !== undefined) for (const said of this.#byPayee(message)) payer.receive(wire, said)
      }
    }
  }

  /** What a cheating consumer makes of an honest one's words. */
  #byPayer(message: FromPayer): FromPayer[] {
    if (
      this.init.payerCheats === 'pays nothing' &&
      (message.type === 'promise' || message.type === 'tick') &&
      this.random.chance(0.7)
    )
      return []
    if (this.init.payerCheats === 'acknowledges nothing') {
      if (message.type === 'ack') return [{ ...message, bytes: 0n, final: this.random.chance(0.5) }]
      if (message.type === 'promise' || message.type === 'tick' || message.type === 'close') return []
    }
    if (this.init.payerCheats === 'agrees to nothing') {
      if (message.type === 'agree') return []
      if (message.type === 'close') return [{ ...message, acked: { ...message.acked, up: 0n, calls: 0n, units: 0n } }]
      if ((message.type === 'promise' || message.type === 'tick') && this.random.chance(0.3)) return []
    }
    return [message]
  }

  #byPayee(message: FromPayee): FromPayee[] {
    const { payeeCheats } = this.init
    if (payeeCheats === 'begs' && message.type === 'meter')
      return [{ ...message, paused: true, credit: 0n as Amount, written: { ...message.written, down: 0n } }]
    if (payeeCheats === 'overcharges' && message.type === 'charge') {
      const { calls, units, up } = message
      const more = BigInt(this.random.int(0, 2))
      return [
        { ...message, calls: calls + more, units: units * (1n + more), up: up + more * 900n, final: this.random.chance(0.3) },
      ]
    }
    if (payeeCheats !== 'understates' || message.type !== 'terms') return [message]
    // an old head of ours, and a total to match or not to match
    const head = message.head === undefined || this.random.chance(0.3) ? undefined : this.#oldHead(message)
    const total = this.random.chance(0.5) ? message.total : (((message.total * BigInt(this.random.int(0, 9))) / 10n) as Amount)
    const acked = { ...message.acked, down: message.acked.down + BigInt(this.random.pick([0, 0, 500, 5_000])) }
    const terms = this.random.chance(0.3)
      ? { ...message.terms, arrears: (message.terms.arrears + BigInt(this.random.int(1, 5_000))) as Amount }
      : message.terms
    return [{ ...message, terms, signature: toyTermsSignature(terms), head, total, acked }]
  }

  /** The head, an older one, or one with the salt of another chain: all with signatures and words that are right. */
  #oldHead({ terms, head }: TermsOffered): Head | undefined {
    const heads = this.#heads.get(terms.signer) ?? []
    if (head !== undefined) heads.push(head)
    this.#heads.set(terms.signer, heads)
    const shown = this.random.pick(heads)
    if (shown.chain === undefined) return shown
    const [lock] = shown.promise.locks
    const salt = this.random.pick(heads).chain?.salt ?? shown.chain.salt
    const fresh = this.random.chance(0.5) || lock === undefined
    return { promise: shown.promise, chain: fresh ? { ...shown.chain, salt } : { salt, k: 0, word: hash32ToBytes(lock.anchor) } }
  }

  #data(): void {
    const { random } = this
    const { payer, payee, wire } = random.pick(this.wires)
    const open = wire.opens.shift()
    if (open !== undefined) payee.open(wire, open)
    const silent = this.init.payeeCheats === 'is silent' && random.chance(0.9)
    const up = wire.ups.shift()
    if (up !== undefined) payee.arrive(wire, up)
    if (!silent) payee.deliver(random)
    for (let i = random.int(0, 3); i > 0; i--) {
      const piece = wire.pieces.shift()
      if (piece !== undefined) payer.arrive(wire, piece)
    }
    for (const live of [...payer.live.values()]) payer.read(live)
  }

  #sync(): void {
    const node = this.random.pick([...this.payers, ...this.payees])
    for (let i = this.random.int(1, 3); i > 0; i--) node.disk.sync()
  }

  #begin(): void {
    const payer = this.random.pick(this.payers)
    const goal = this.random.pick(payer.goals)
    const place = this.wires.find((one) => one.payer === payer && one.payee === goal.payee)
    if (place === undefined) return
    if (!place.wire.up) {
      // both ends have noticed; there is a new stream
      payer.lost(place.wire)
      goal.payee.lost(place.wire)
      place.wire = new Wire()
      payer.wires.set(goal.payee, place.wire)
    }
    if (goal.state !== 'wanted') return
    if (goal.session !== undefined && payer.live.has(goal.session)) return
    if (goal.sessions > 40) {
      goal.state = 'given up'
      return
    }
    payer.begin(goal, this.random.chance(0.85))
  }

  #tick(): void {
    this.clock.ms += this.random.int(0, 500)
    const node = this.random.pick([...this.payers, ...this.payees])
    node.tick()
  }

  #cut(): void {
    if (this.#cuts === 0) return
    this.#cuts--
    this.cutsDone++
    const { payer, payee, wire } = this.random.pick(this.wires)
    this.log.push(`${this.clock.ms} cut`)
    wire.cut()
    if (this.random.chance(0.5)) payer.lost(wire)
    if (this.random.chance(0.5)) payee.lost(wire)
    if (this.init.brisk !== true && this.random.chance(0.2)) this.clock.ms += 2_000
  }

  #crash(): void {
    if (this.#crashes === 0) return
    this.#crashes--
    const { random } = this
    const node = random.pick([...this.payers, ...this.payees])
    // some of what was in flight can have reached the disk
    if (random.chance(0.3)) node.disk.sync()
    for (const place of this.wires) if (place.payer === node || place.payee === node) place.wire.cut()
    if (node instanceof PayeeNode) {
      this.payeeCrashes++
      node.crash()
    } else {
      this.payerCrashes++
      node.crash((have, recorded) => random.int(Math.min(have, recorded), have))
    }
    this.log.push(`${this.clock.ms} crash of ${node instanceof PayeeNode ? 'payee' : 'payer'}`)
  }

  #checkPayee(payee: PayeeNode): void {
    for (const channel of payee.channels.values()) {
      assert.ok(payee.best(channel.id) <= channel.facts.deposit, 'the best promise is within the deposit')
    }
    for (const live of payee.live.values()) {
      const { session } = live
      assert.ok(session.paid <= session.total, 'paid is never more than what was promised')
    }
  }

  #checkPayer(payer: PayerNode): void {
    for (const live of payer.live.values()) {
      const { session } = live
      assert.ok(session.total <= session.wish.budget, 'never more is signed for a session than its budget')
      const { down: _, ms: __, ...agreed } = usedMeter(session)
      assert.ok(
        session.stale || this.payerCrashes > 0 || isWithin(agreed, payer.allowed.get(session.id) ?? NO_COUNTS),
        'M4: never more is agreed to than was allowed and sent',
      )
    }
    for (const [id, signed] of payer.signed) {
      const channel = payer.channels.get(id)
      assert.ok(channel !== undefined && signed <= channel.facts.deposit, 'never more is signed than the deposit')
    }
  }

  /** The rules of money at the end, and that the two ends say the same. */
  checkEnd(): void {
    for (const { payer, payee } of this.wires) {
      const id = channelId(payer.partiesTo(payee.address))
      assert.equal(payee.totals(id), payee.best(id), 'the channel holds the sum of its sessions')
      assert.ok((payer.signed.get(id) ?? 0n) >= payee.best(id), 'nothing is held that was not signed')
      const debt = payee.owners.get(payer.address)?.debt ?? 0n
      const gap = gapOf(payer.channels.get(id) as ChannelOut) + this.#unheard(payer, payee)
      assert.ok(
        debt <= payer.owedTo(payee.address) + gap,
        `a debt of ${debt} would be disputed: ${payer.owedTo(payee.address)} is known, ${gap} was lost`,
      )
    }
    for (const payer of this.payers) for (const end of payer.ends) this.#checkReceipt(end)
    this.checkLosses('both')
  }

  /** what was sent and the payee's head does not hold: the next terms will show it */
  #unheard(payer: PayerNode, payee: PayeeNode): bigint {
    const channel = payer.channels.get(channelId(payer.partiesTo(payee.address))) as ChannelOut
    const best = payee.best(channel.id)
    return channel.at > best ? channel.at - best : 0n
  }

  #checkReceipt({ code, session }: SessionEnd): void {
    const payee = this.payees.find((one) => one.address === session.wish.provider) as PayeeNode
    const theirs = payee.all().get(session.id)
    if (session.terms === undefined || (code !== undefined && code !== 'BUDGET_REACHED' && code !== 'RISK_TOO_HIGH')) return
    assert.ok(
      theirs !== undefined && session.receipt !== undefined && theirs.receipt !== undefined,
      'C1: a session that was closed has a receipt',
    )
    assert.deepEqual(session.receipt, theirs.receipt, 'C2: both ends hold the same receipt')
    const { total, meter } = session.receipt.receipt
    assert.equal(total, session.total, 'the receipt says what was paid')
    assert.deepEqual({ ...meter, ms: session.ms }, usedMeter(session), 'the receipt says what was received, and agreed to')
    const owed = worthOf(theirs.terms, meter)
    assert.ok(
      total >= (owed < session.wish.budget ? owed : session.wish.budget) || code !== undefined,
      'C1: what was received is paid',
    )
    const timed = rateOf(theirs.terms.price, 'ms') !== undefined
    // a crash makes a reader buy again what it had not kept, and a payee forget what was lost on the way
    const crashed = this.payerCrashes + this.payeeCrashes > 0
    if (
      session.wish.expect === undefined ||
      timed ||
      sellsCounts(theirs.terms.price) ||
      crashed ||
      theirs.flow.lost > 0n ||
      code !== undefined
    ) {
      assert.ok(total <= owed + session.wish.limitAtRisk, 'no more is paid in advance than the limit at risk')
    } else assert.equal(total, owed, 'C1: exactly the price of what was acknowledged is paid')
  }

  /** What a payee wrote for an owner over its life and was not paid for; whatever crashed in between. */
  payeeLoss(payee: PayeeNode, owner: Address): bigint {
    let loss = 0n
    // also one that only paid what was owed from before
    for (const [id, session] of payee.all()) {
      if (session.terms.owner !== owner) continue
      const meter = payee.delivered.get(id) ?? ZERO_METER
      const worth = due(session.terms.price, meter)
      const repaid = session.total < session.terms.arrears ? session.total : session.terms.arrears
      const paid = session.total - repaid
      loss += (worth > paid ? worth - paid : 0n) - repaid
    }
    return loss
  }

  /** The most that it may be: what the pool gave and the share of what was paid; each crash may forget what was on credit then. */
  payeeMayLose(payee: PayeeNode, owner: Address): bigint {
    const account = payee.owners.get(owner)
    if (account === undefined) return 0n
    const earned = account.grant + (account.paid * payee.policy.sharePpm) / 1_000_000n
    return earned + (payee.policy.max + PREPAID_CHUNKS * quantumOf(payee.offer)) * BigInt(this.payeeCrashes)
  }

  /** What a payer signed on a channel over its life, and what it used and may lose for that: each session its limit at risk, each crash again. */
  payerBalance(payer: PayerNode, payee: PayeeNode): { readonly signed: bigint; readonly most: bigint } {
    let most = 0n
    for (const [id, { wish, terms, ms }] of payer.wishes) {
      if (wish.provider !== payee.address || terms === undefined) continue
      const worth = due(terms.price, { ...(payer.used.get(id) ?? ZERO_METER), ms })
      most += worth + wish.limitAtRisk + (wish.limitAtRisk + quantumOf(terms)) * 2n * BigInt(this.payerCrashes)
    }
    return { signed: payer.signed.get(channelId(payer.partiesTo(payee.address))) ?? 0n, most }
  }

  checkLosses(honest: 'payers' | 'payees' | 'both'): void {
    for (const { payer, payee } of this.wires) {
      if (honest !== 'payers') {
        const [loss, most] = [this.payeeLoss(payee, payer.address), this.payeeMayLose(payee, payer.address)]
        assert.ok(loss <= most, `a payee lost ${loss}, and ${most} was its credit`)
      }
      if (honest === 'payees') continue
      const { signed, most } = this.payerBalance(payer, payee)
      assert.ok(signed <= most, `a payer signed ${signed}; used and at risk were ${most}`)
    }
  }
}
