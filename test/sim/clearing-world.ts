// Consumers, accountants and providers of one history: honest ones run the real rules, cheats do what they like.

import { accountantStep } from '../../src/core/accountant/accountant.ts'
import type { AccountantContext, AccountantInput, AccountantPolicy } from '../../src/core/accountant/books.ts'
import { type ConsumerInput, consumerStep, type Wanted } from '../../src/core/accountant/consumer.ts'
import type { Grant } from '../../src/core/accountant/grant.ts'
import { type Hop, newHop, revealedOf, worthOf } from '../../src/core/accountant/hop.ts'
import type { ClearingMessage, Held, OnwardHop } from '../../src/core/accountant/messages.ts'
import { updateRefused } from '../../src/core/accountant/payer.ts'
import { type ProviderInput, providerStep } from '../../src/core/accountant/provider.ts'
import { type Tariff, unitIn } from '../../src/core/accountant/tariff.ts'
import type { Amount } from '../../src/core/amount.ts'
import { equalBytes } from '../../src/core/bytes.ts'
import { codeOfWire } from '../../src/core/errors.ts'
import { type Address, type ChannelId, type ChannelParties, channelId, type Seconds } from '../../src/core/ids.ts'
import type { Lock } from '../../src/core/lock.ts'
import type { SignedPromise } from '../../src/core/promise.ts'
import { anchorOf, type Chain, newChain, Underworld } from './clearing-chains.ts'
import { BLOCK_S, CLAIM_S, TOKEN, ToyLedger } from './clearing-ledger.ts'
import { mutate } from './clearing-mutants.ts'
import { AccountantNode, type AnyNode, ConsumerNode, ProviderNode, type Stream } from './clearing-nodes.ts'
import type { Random } from './random.ts'
import { toyAddress, toyPromise, toySign } from './toy-crypto.ts'

/** How long an accountant may be away at a time; then it stays until it has seen to everything. */
const AWAY_S = 6 * BLOCK_S
const ACCOUNTANT_MARGIN_S = AWAY_S + CLAIM_S + BLOCK_S
const PROVIDER_MARGIN_S = CLAIM_S + BLOCK_S
const LONGEST_S = 400 * BLOCK_S

export interface WorldInit {
  readonly consumers: number
  readonly providers: number
  /** 2: routes over both, to the last provider */
  readonly accountants: number
  readonly cheats: ReadonlySet<'consumers' | 'accountants' | 'providers'>
  readonly crashes: boolean
  readonly away: boolean
}

const peerOf = (address: Address): Uint8Array => new Uint8Array([2, ...Buffer.from(address.slice(2).padStart(64, '0'), 'hex')])
const addressOf = (peer: Uint8Array): Address => `0x${Buffer.from(peer.slice(13)).toString('hex')}` as Address
const sign = ({ parties }: Hop, amount: Amount, locks: readonly Lock[]): SignedPromise =>
  toyPromise(parties.signer, parties.target, amount, locks)
const isSigned = (hop: Hop, promise: SignedPromise): boolean =>
  equalBytes(sign(hop, promise.amount, promise.locks).signature, promise.signature)
const text = ({ consumer, parties, anchor, unit, steps, expiry }: Grant): string =>
  [consumer, parties.owner, parties.target, anchor, unit, steps, expiry].join()

/** One direction of a hop's stream. */
interface Wire {
  readonly hop: ChannelId
  readonly from: AnyNode
  readonly to: AnyNode
  /** the payee hears what the payer says */
  readonly down: boolean
  readonly queue: ClearingMessage[]
}

class Crash extends Error {}

export class World {
  readonly random: Random
  readonly ledger: ToyLedger
  readonly under: Underworld
  readonly init: WorldInit
  readonly consumers: ConsumerNode[] = []
  readonly accountants: AccountantNode[] = []
  readonly providers: ProviderNode[] = []
  readonly streams: Stream[] = []
  readonly log: string[] = []
  /** how often what happened */
  readonly counts = new Map<string, number>()
  readonly #wires: Wire[] = []
  readonly #up = new Set<ChannelId>()
  readonly #parties = new Map<ChannelId, ChannelParties>()
  readonly #settling = new Map<ChannelId, { readonly worth: bigint; readonly untilS: number }>()
  #crashes = 0
  readonly endS: Seconds

  constructor(random: Random, init: WorldInit) {
    this.random = random
    this.init = init
    this.ledger = new ToyLedger(random)
    this.under = new Underworld(random, this.ledger)
    this.endS = (this.ledger.now + random.int(60, 160) * BLOCK_S) as Seconds
    const { cheats } = init
    for (let i = 0; i < init.accountants; i++) {
      const tariff: Tariff = {
        forwards: true, perStep: BigInt(random.int(0, 2)) as Amount, share: random.pick([0, 1, 10_000, 333_333]),
        rent: BigInt(random.int(0, 5)) as Amount, longestS: LONGEST_S, marginS: ACCOUNTANT_MARGIN_S,
      } // biome-ignore format: a record
      this.accountants.push(
        new AccountantNode(toyAddress(0xa0 + i), cheats.has('accountants') && (i === 0 || random.chance(0.5)), tariff),
      )
    }
    const [first] = this.accountants as [AccountantNode]
    for (let i = 0; i < init.consumers; i++) {
      const address = toyAddress(0xc0 + i)
      const hop = this.#open(address, first.address)
      const consumer = new ConsumerNode(address, cheats.has('consumers') && (i === 0 || random.chance(0.5)), hop)
      this.consumers.push(consumer)
      this.#join(hop, consumer, first)
    }
    for (let i = 0; i < init.providers; i++) {
      // the last provider lies behind the last accountant
      const accountant = (i === init.providers - 1 ? this.accountants.at(-1) : first) as AccountantNode
      const address = toyAddress(0xb0 + i)
      const hop = this.#open(accountant.address, address)
      const provider = new ProviderNode(address, cheats.has('providers') && (i === 0 || random.chance(0.5)), hop)
      this.providers.push(provider)
      this.#join(hop, accountant, provider)
    }
    const [, second] = this.accountants
    if (second !== undefined) this.#join(this.#open(first.address, second.address), first, second)
    for (const wire of this.#wires) if (wire.down) this.#connect(wire.hop)
  }

  #open(payer: Address, payee: Address): Hop {
    const parties = { owner: payer, signer: payer, target: payee, token: TOKEN }
    const expiry = (this.endS + this.random.int(30, 80) * BLOCK_S) as Seconds
    this.ledger.open(parties, BigInt(this.random.chance(0.2) ? this.random.int(10, 200) : 4_000), expiry)
    const id = channelId(parties)
    this.#parties.set(id, parties)
    return newHop(id, parties, this.ledger.confirmed(id))
  }

  #join(hop: Hop, payer: AnyNode, payee: AnyNode): void {
    this.#wires.push({ hop: hop.id, from: payer, to: payee, down: true, queue: [] })
    this.#wires.push({ hop: hop.id, from: payee, to: payer, down: false, queue: [] })
    if (payer instanceof AccountantNode)
      payer.books = payer.stored = { ...payer.books, outs: new Map(payer.books.outs).set(hop.id, hop) }
    if (payee instanceof AccountantNode)
      payee.books = payee.stored = { ...payee.books, ins: new Map(payee.books.ins).set(hop.id, hop) }
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  #wire(hop: ChannelId, down: boolean): Wire {
    return this.#wires.find((wire) => wire.hop === hop && wire.down === down) as Wire
  }

  #isAway({ awayUntil }: AnyNode): boolean {
    return awayUntil > this.ledger.now
  }

  /** What is under way is lost; the payer opens the stream again. */
  #connect(hop: ChannelId): void {
    const [down, up] = [this.#wire(hop, true), this.#wire(hop, false)]
    this.#up.delete(hop)
    down.queue.length = up.queue.length = 0
    if (this.#isAway(down.from) || this.#isAway(down.to)) return
    const { owner, token } = this.#parties.get(hop) as ChannelParties
    down.queue.push({ type: 'open', owner, token })
  }

  #send(node: AnyNode, hop: ChannelId, message: ClearingMessage): void {
    const wire = this.#wires.find((one) => one.hop === hop && one.from === node) as Wire
    if (message.type === 'held') this.#up.add(hop)
    if (!this.#up.has(hop)) return
    if (node.cheats && this.random.chance(0.15) && message.type !== 'held') return
    if (node.cheats && message.type === 'taken' && this.random.chance(0.2)) {
      wire.queue.push({ type: 'fault', anchor: message.anchor, code: 1 })
      return
    }
    wire.queue.push(message)
  }

  /** A node dies at an effect, if it is time: what follows is lost. */
  #mayCrash(): void {
    if (!this.init.crashes || this.#crashes >= 5 || !this.random.chance(0.01)) return
    this.#crashes++
    throw new Crash()
  }

  #restart(node: AnyNode): void {
    this.log.push(`crash ${node.address.slice(-2)}`)
    if (node instanceof ConsumerNode) node.state = node.stored
    else if (node instanceof AccountantNode) node.books = node.stored
    else node.hop = node.stored
    node.seen = 0
    for (const wire of this.#wires) if (wire.down && (wire.from === node || wire.to === node)) this.#connect(wire.hop)
  }

  #guard(node: AnyNode, body: () => void): void {
    try {
      body()
    } catch (thrown) {
      if (!(thrown instanceof Crash)) throw thrown
      this.#restart(node)
    }
  }

  /** A cheat signs now and then what it should not, and goes on from there if it is taken. */
  #sign(node: AnyNode, hop: Hop, amount: Amount, locks: readonly Lock[]): SignedPromise {
    if (!node.cheats || !this.random.chance(0.08)) return sign(hop, amount, locks)
    const said = mutate({ amount, locks }, this.random)
    const promise = sign(hop, said.amount, said.locks)
    this.under.hoard(hop.parties, promise)
    return promise
  }

  /** A cheat whose promise is refused writes another one. */
  #forget(node: AnyNode, id: ChannelId): void {
    if (!node.cheats) return
    if (node instanceof ConsumerNode) node.state = { ...node.state, hop: updateRefused(node.state.hop) }
    const out = node instanceof AccountantNode ? node.books.outs.get(id) : undefined
    if (out !== undefined && node instanceof AccountantNode)
      node.books = { ...node.books, outs: new Map(node.books.outs).set(id, updateRefused(out)) }
  }

  /** A cheat goes on from whatever its payee holds. */
  #adopt(node: AnyNode, id: ChannelId, { promise, links }: Held): void {
    const adopted = (hop: Hop): Hop => ({
      ...hop, promise, update: undefined,
      links: links.map((link, i) => {
        const { unit, expiry } = (promise as SignedPromise).locks[i] as Lock
        return { ...link, unit, expiry }
      }),
    }) // biome-ignore format: a record
    if (node instanceof ConsumerNode) node.state = { ...node.state, hop: adopted(node.state.hop) }
    const out = node instanceof AccountantNode ? node.books.outs.get(id) : undefined
    if (out !== undefined && node instanceof AccountantNode)
      node.books = { ...node.books, outs: new Map(node.books.outs).set(id, adopted(out)) }
  }

  #nowS(): Seconds {
    return this.ledger.now
  }

  accountantContext(node: AccountantNode): AccountantContext {
    const policy: AccountantPolicy = {
      tariff: node.tariff, claimS: CLAIM_S, maxPerPayer: 3_000n as Amount, maxPerPayee: 4_000n as Amount, maxLinksPerPayer: 12,
    } // biome-ignore format: a record
    return {
      nowS: this.#nowS(), chainS: node.chainS, policy, verify: isSigned, sign: (hop, amount, locks) => this.#sign(node, hop, amount, locks),
      signGrant: (grant) => toySign(node.address, text(grant)),
      isAnchorUsed: (anchor) => node.anchors.has(anchor),
      isUp: (hop) => this.#up.has(hop),
      forwards: (hop) => this.accountants.some(({ address }) => address === this.#parties.get(hop)?.target),
    } // biome-ignore format: a record
  }

  accountant(node: AccountantNode, input: AccountantInput): void {
    this.#guard(node, () => {
      const { books, effects } = accountantStep(node.books, input, this.accountantContext(node))
      node.books = books
      for (const effect of effects) {
        this.#mayCrash()
        if (effect.type === 'store') {
          node.stored = books
          for (const anchor of books.routes.keys()) node.anchors.add(anchor)
          // what is signed and stored may reach anybody: nothing about it is secret
          for (const { parties, update } of books.outs.values())
            if (update !== undefined && this.providers.some((one) => one.address === parties.target && one.cheats))
              this.under.hoard(parties, update.promise)
          if (node.cheats) for (const { parties, promise } of books.ins.values())
            if (promise !== undefined) this.under.hoard(parties, promise)
        } else if (effect.type === 'send') this.#send(node, effect.hop, effect.message)
        else if (effect.type === 'settle') this.#settle(node.books.ins.get(effect.hop), 'accountant must settle')
        else {
          this.#count(`accountant drops ${effect.code}`)
          this.#forget(this.#wire(effect.hop, true).from, effect.hop)
          this.#connect(effect.hop)
        }
      }
    }) // biome-ignore format: one loop
  }

  consumer(node: ConsumerNode, input: ConsumerInput): void {
    this.#guard(node, () => {
      const { state, effects } = consumerStep(node.state, input, {
        chainS: node.chainS, uniform: !node.cheats || this.random.chance(0.5),
        sign: (amount, locks) => this.#sign(node, node.state.hop, amount, locks),
        verify: (promise) => isSigned(node.state.hop, promise),
        verifyGrant: (grant, signature) => equalBytes(toySign(grant.parties.signer, text(grant)), signature),
      }) // biome-ignore format: a record
      node.state = state
      for (const effect of effects) {
        this.#mayCrash()
        const stream =
          'anchor' in effect ? this.streams.find((one) => one.consumer === node && one.anchor === effect.anchor) : undefined
        if (effect.type === 'store') node.stored = state
        else if (effect.type === 'send') {
          if (node.cheats && effect.message.type === 'fold' && this.random.chance(0.6)) continue
          this.#send(node, state.hop.id, effect.message)
          if (node.cheats && 'promise' in effect.message && effect.message.promise !== undefined)
            this.under.hoard(state.hop.parties, effect.message.promise)
        } else if (effect.type === 'granted' && stream?.status === 'asked') stream.status = 'granted'
        else if (effect.type === 'failed' && stream !== undefined) stream.status = 'over'
        else if (effect.type === 'drop') {
          this.#count(`consumer drops ${effect.code}`)
          this.#connect(state.hop.id)
        }
      }
    })
  }

  provider(node: ProviderNode, input: ProviderInput): void {
    this.#guard(node, () => {
      const { hop, effects } = providerStep(node.hop, input, {
        nowS: this.#nowS(), chainS: node.chainS, marginS: PROVIDER_MARGIN_S, longestS: LONGEST_S, askS: 4 * BLOCK_S,
        verify: (promise) => isSigned(node.hop, promise), isAnchorUsed: (anchor) => node.anchors.has(anchor),
      }) // biome-ignore format: a record
      node.hop = hop
      for (const effect of effects) {
        this.#mayCrash()
        if (effect.type === 'store') {
          node.stored = hop
          for (const { anchor } of hop.links) node.anchors.add(anchor)
        } else if (effect.type === 'send') this.#send(node, hop.id, effect.message)
        else if (effect.type === 'settle') this.#settle(hop, 'provider must settle')
        else if (effect.type === 'drop') {
          this.#count(`provider drops ${effect.code}`)
          this.#forget(this.#wire(hop.id, true).from, hop.id)
          this.#connect(hop.id)
        } else {
          if (effect.type === 'counted') {
            const unit = hop.links.find(({ anchor }) => anchor === effect.anchor)?.unit ?? 0n
            node.earned.set(effect.anchor, BigInt(effect.known) * unit)
          }
          const stream = this.streams.find(({ anchor, provider }) => anchor === effect.anchor && provider === node)
          if (stream === undefined) continue
          if (effect.type === 'counted') stream.counted = Math.max(stream.counted, effect.known)
          else {
            this.#count(`tick refused ${effect.code}`)
            stream.status = 'over'
          }
        }
      }
    })
  }

  /** Sends what the hop is worth to the ledger, once at a time. */
  #settle(hop: Hop | undefined, why: string): void {
    if (hop?.promise === undefined) return
    const worth = worthOf(hop, this.#nowS())
    const before = this.#settling.get(hop.id)
    if (before !== undefined && before.worth >= worth && before.untilS > this.#nowS()) return
    this.#settling.set(hop.id, { worth, untilS: this.#nowS() + CLAIM_S })
    this.#count(why)
    this.ledger.settle(hop.parties, hop.promise, revealedOf(hop))
  }

  /** One message is heard, if its node is there. */
  deliver(): void {
    const full = this.#wires.filter(({ queue, to }) => queue.length > 0 && !this.#isAway(to))
    if (full.length === 0) return
    const wire = this.random.pick(full)
    const message = wire.queue.shift() as ClearingMessage
    this.#count(message.type === 'fault' ? `fault ${codeOfWire(message.code)}` : message.type)
    const { hop } = wire
    const to = wire.to as AnyNode
    if (to.cheats && message.type === 'held') this.#adopt(to, hop, message)
    if (to instanceof ConsumerNode) this.consumer(to, consumerInput(message))
    else if (to instanceof AccountantNode) this.accountant(to, this.#accountantInput(hop, message))
    else if (message.type === 'open') this.provider(to, { type: 'open' })
    else if (message.type === 'link') this.provider(to, { type: 'link', message })
    else if (message.type === 'fold') this.provider(to, { type: 'fold', message })
    if (to.cheats && 'promise' in message && message.promise !== undefined && wire.down)
      this.under.hoard(this.#parties.get(hop) as ChannelParties, message.promise)
    if (to.cheats && message.type === 'clear') for (const { word, known } of message.entries) this.under.learn(word, known)
    if (message.type === 'held' && to instanceof AccountantNode) this.#up.add(hop)
  }

  #accountantInput(hop: ChannelId, message: ClearingMessage): AccountantInput {
    if (message.type === 'link') {
      const next = message.hops[0] === undefined ? undefined : addressOf(message.hops[0].peer)
      const target = this.#wire(hop, true).to.address
      const outHop = [...this.#parties].find(([, one]) => one.target === next && one.signer === target)?.[0]
      return { type: 'link', hop, message, outHop }
    }
    if (message.type === 'fold') return { type: 'fold', hop, message }
    if (message.type === 'open') return { type: 'open', hop }
    if (message.type === 'held') return { type: 'held', hop, message }
    if (message.type === 'taken') return { type: 'taken', hop, anchor: message.anchor }
    if (message.type === 'grant') return { type: 'grant', hop, message }
    if (message.type === 'stored') return { type: 'stored', hop, signature: message.signature }
    if (message.type === 'clear') return { type: 'clear', hop, entries: message.entries }
    if (message.type === 'fault') return { type: 'fault', hop, anchor: message.anchor, code: message.code }
    return { type: 'clock' }
  }

  /** A consumer asks for a link to a provider. */
  ask(): void {
    const consumer = this.random.pick(this.consumers)
    const friends = this.providers.filter(({ cheats }) => cheats)
    const meets = consumer.cheats && friends.length > 0 && this.random.chance(0.7)
    const provider = this.random.pick(meets ? friends : this.providers)
    const steps = this.random.int(1, 12)
    const old = this.random.pick(this.streams.length === 0 ? [undefined] : this.streams)
    // a cheat takes an anchor twice, or a chain that ends in another one
    const again = consumer.cheats && old !== undefined && this.random.chance(0.15)
    const from = again ? this.random.int(0, old.chain.words.length - 2) : 0
    const chain = again ? { words: old.chain.words.slice(from) } : newChain(steps)
    // of an honest consumer's chain it has the anchor, and no word
    this.#ask(consumer, provider, chain, again && (!old.consumer.cheats || old.isStolen))
  }

  #ask(consumer: ConsumerNode, provider: ProviderNode, chain: Chain, isStolen: boolean): void {
    const hops = this.#route(provider)
    const [first, second] = this.accountants as [AccountantNode, AccountantNode?]
    const outward = hops.length > 1 && second !== undefined ? unitIn(second.tariff, (hops[1] as OnwardHop).unit) : undefined
    const onward = hops.map((hop, i) => (i === 0 && outward !== undefined ? { ...hop, unit: outward as Amount } : hop))
    const [next] = onward as [OnwardHop]
    const least = next.expiry + ACCOUNTANT_MARGIN_S
    const current = Math.max(0, ...consumer.state.hop.links.map(({ expiry }) => expiry))
    const short = consumer.cheats && this.random.chance(0.3) ? this.random.int(1, 20) * BLOCK_S : 0
    const steps = chain.words.length - 1
    const wrong = consumer.cheats && this.random.chance(0.15) ? -BigInt(this.random.int(1, 9)) : 0n
    const lock: Lock = {
      anchor: anchorOf(chain), unit: (unitIn(first.tariff, next.unit) + wrong) as Amount, steps,
      expiry: (Math.max(least, current) - short) as Seconds,
    } // biome-ignore format: a record
    const last = onward.at(-1) as OnwardHop
    const rent = (first.tariff.rent + next.rent) as Amount
    const wanted: Wanted = {
      lock, rent, hops: onward,
      grant: { consumer: consumer.address, anchor: lock.anchor, unit: last.unit, steps, expiry: last.expiry },
      last: { signer: (hops.length > 1 ? second : first)?.address as Address, provider: provider.address },
    } // biome-ignore format: a record
    if (lock.unit < 1n) return
    this.streams.push({
      anchor: lock.anchor,
      chain,
      consumer,
      provider,
      wanted,
      status: 'asked',
      isStolen,
      revealed: 0,
      counted: 0,
    })
    consumer.rents += rent
    if (consumer.cheats && !isStolen) this.under.learn(chain.words.at(-1) as Uint8Array, steps)
    this.consumer(consumer, { type: 'want', wanted })
  }

  #route(provider: ProviderNode): OnwardHop[] {
    const [, second] = this.accountants
    const over = second !== undefined && provider === this.providers.at(-1)
    const unit = BigInt(this.random.int(1, 30)) as Amount
    // on a hop between accountants all expire together: whole periods of forty blocks
    const length = over
      ? (40 - ((this.ledger.now / BLOCK_S) % 40) + this.random.int(0, 1) * 40) * BLOCK_S
      : this.random.int(8, 60) * BLOCK_S
    const expiry = (this.ledger.now + length) as Seconds
    const last = { peer: peerOf(provider.address), unit, rent: 0n as Amount, expiry }
    if (!over) return [last]
    const between = (expiry + ACCOUNTANT_MARGIN_S) as Seconds
    return [{ peer: peerOf(second.address), unit, rent: second.tariff.rent, expiry: between }, last]
  }

  /** A consumer reveals the next words to its provider, as long as the last ones were counted. */
  tick(): void {
    const open = this.streams.filter(
      ({ status, isStolen, provider }) => status === 'granted' && !isStolen && !this.#isAway(provider),
    )
    if (open.length === 0) return
    const stream = this.random.pick(open)
    const { chain, provider, consumer, anchor } = stream
    const steps = chain.words.length - 1
    if (stream.revealed >= steps || (this.random.chance(0.05) && stream.revealed > 0)) {
      stream.status = 'over'
      if (!provider.cheats || this.random.chance(0.3)) this.provider(provider, { type: 'done', anchor })
      return
    }
    stream.revealed = Math.min(steps, stream.revealed + this.random.int(1, 3))
    const word = chain.words[stream.revealed] as Uint8Array
    if (provider.cheats || consumer.cheats) this.under.learn(word, stream.revealed)
    this.provider(provider, { type: 'tick', shown: { anchor, known: stream.revealed, word } })
  }

  /** The next block; whoever is there looks at the chain. */
  mine(): void {
    this.under.settleAtTheLastMoment(this.ledger.now, BLOCK_S)
    this.ledger.mine()
    for (const node of [...this.consumers, ...this.accountants, ...this.providers]) if (!this.#isAway(node)) this.#look(node)
    for (const { parties } of this.#hops())
      if (this.ledger.now >= this.ledger.confirmed(channelId(parties)).expiry) this.ledger.reclaim(parties)
  }

  #hops(): readonly { readonly parties: ChannelParties }[] {
    return [...this.#parties.values()].map((parties) => ({ parties }))
  }

  #look(node: AnyNode): void {
    const confirmedS = this.ledger.confirmedS
    for (const [id, { signer, target }] of this.#parties) {
      if (signer !== node.address && target !== node.address) continue
      this.#tell(node, id)
    }
    const words = this.ledger.words(node.seen, confirmedS)
    node.seen += words.length
    const seen = node.seen
    for (const { anchor, word, k, blockS } of words) {
      if (node.cheats) this.under.learn(word, k)
      if (node instanceof AccountantNode) this.accountant(node, { type: 'word', anchor, word, k, blockS })
      if (!(node instanceof ConsumerNode)) continue
      const stream = this.streams.find(
        (one) => one.consumer === node && one.chain.words.some((at) => `0x${Buffer.from(at).toString('hex')}` === anchor),
      )
      const begins = stream?.chain.words.findIndex((at) => `0x${Buffer.from(at).toString('hex')}` === anchor) ?? 0
      if (stream !== undefined) this.consumer(node, { type: 'word', anchor: stream.anchor, known: begins + k, word, blockS })
    }
    // whoever crashed reads the log again from its beginning
    if (node.seen !== seen) return
    node.chainS = confirmedS
    if (node instanceof AccountantNode) this.accountant(node, { type: 'clock' })
    else if (node instanceof ConsumerNode) this.consumer(node, { type: 'clock' })
    else this.provider(node, { type: 'clock' })
    this.#settleInTime(node)
  }

  #tell(node: AnyNode, id: ChannelId): void {
    const facts = this.ledger.confirmed(id)
    if (node instanceof AccountantNode) this.accountant(node, { type: 'facts', hop: id, facts })
    else if (node instanceof ConsumerNode) {
      // a cheat promises more than it has
      const deposit = (node.cheats ? facts.deposit * 3n : facts.deposit) as Amount
      this.consumer(node, { type: 'facts', facts: { ...facts, deposit } })
    } else this.provider(node, { type: 'facts', facts })
  }

  /** What every payee does, links or not: it settles before the reservation expires. */
  #settleInTime(node: AnyNode): void {
    const hops = node instanceof AccountantNode ? [...node.books.ins.values()] : node instanceof ProviderNode ? [node.hop] : []
    const margin = node instanceof AccountantNode ? ACCOUNTANT_MARGIN_S : PROVIDER_MARGIN_S
    for (const hop of hops) {
      const isDue = this.#nowS() >= hop.facts.expiry - margin || this.random.chance(0.02)
      if (isDue && hop.facts.expiry > 0 && worthOf(hop, this.#nowS()) > hop.facts.settled) this.#settle(hop, 'settles')
    }
  }

  /** Somebody goes away, or comes back; never an honest one for longer than it may. */
  comeAndGo(): void {
    const node = this.random.pick<AnyNode>([...this.accountants, ...this.consumers])
    if (this.#isAway(node) || node.staysUntil > this.ledger.now) return
    const most = node instanceof AccountantNode ? AWAY_S / BLOCK_S : 40
    node.awayUntil = this.ledger.now + this.random.int(1, most) * BLOCK_S
    node.staysUntil = node.awayUntil + CLAIM_S + BLOCK_S
    for (const wire of this.#wires) if (wire.down && (wire.from === node || wire.to === node)) this.#connect(wire.hop)
  }

  reconnect(): void {
    const down = this.#wires.filter((wire) => wire.down && !this.#up.has(wire.hop) && wire.queue.length === 0)
    if (down.length > 0) this.#connect(this.random.pick(down).hop)
  }

  cutOne(): void {
    this.#connect(this.random.pick(this.#wires).hop)
  }

  settledOf(from: Address, to: Address): bigint {
    const id = [...this.#parties].find(([, one]) => one.signer === from && one.target === to)?.[0]
    return id === undefined ? 0n : this.ledger.settled(id)
  }

  run(): void {
    const { random } = this
    while (this.ledger.now < this.endS) {
      const what = random.next()
      if (what < 0.45) this.deliver()
      else if (what < 0.62) this.mine()
      else if (what < 0.84) this.tick()
      else if (what < 0.9) this.ask()
      else if (what < 0.93) this.under.settleSomething()
      else if (what < 0.95) this.reconnect()
      else if (what < 0.955) this.cutOne()
      else if (this.init.away && what < 0.965) this.comeAndGo()
    }
    // everything runs out: every reservation expires and is taken back
    const lastS = Math.max(...[...this.#parties.keys()].map((id) => this.ledger.confirmed(id).expiry)) + 30 * BLOCK_S
    while (this.ledger.now < lastS) {
      for (let i = random.int(0, 6); i > 0; i--) this.deliver()
      if (random.chance(0.2)) this.under.settleSomething()
      if (random.chance(0.3)) this.reconnect()
      this.mine()
    }
  }
}

function consumerInput(message: ClearingMessage): ConsumerInput {
  if (message.type === 'held') return { type: 'held', message }
  if (message.type === 'taken') return { type: 'taken', anchor: message.anchor }
  if (message.type === 'grant') return { type: 'grant', message }
  if (message.type === 'stored') return { type: 'stored' }
  if (message.type === 'clear') return { type: 'clear', entries: message.entries }
  if (message.type === 'fault') return { type: 'fault', anchor: message.anchor, code: message.code }
  return { type: 'clock' }
}
