/**
 * One payer of the benchmark: key, store, channel, connection, control stream and sessions of its own. Its desk is the real one; what is
 * left out is the goods: the desk is told that a chunk was used, as if a data stream had brought it.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { addressOfPeer } from '../../protocols/peer-identity.ts'
import { createChain } from '../../src/chain/chain.ts'
import { fundOnDevnet } from '../../src/chain/devnet.ts'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, publicKeyOf, signerOf } from '../../src/core/crypto/secp256k1.ts'
import { type Address, type Seconds, type SessionId, sessionIdFromBytes } from '../../src/core/ids.ts'
import type { Offer } from '../../src/core/offer.ts'
import { chunkCost } from '../../src/core/price.ts'
import type { FromPayee, FromPayer } from '../../src/core/session/messages.ts'
import type { Wish } from '../../src/core/session/payer-terms.ts'
import { systemClock } from '../../src/node/create-node.ts'
import { createNetwork } from '../../src/node/libp2p.ts'
import { parsePeer } from '../../src/node/lines.ts'
import { SILENT } from '../../src/node/options.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { PayerLink } from '../../src/ports/link.ts'
import type { SessionEvents } from '../../src/session/components.ts'
import type { LiveSession } from '../../src/session/live-session.ts'
import { PayerDesk } from '../../src/session/payer-desk.ts'
import { wordChainsOf } from '../../src/session/word-chain.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import type { Place } from './place.ts'

/** 10,000 tokens */
const DEPOSIT = 10_000_000_000n as Amount
const DAY_S = 86_400
/** a control stream takes 20 hellos a second */
const HELLO_PAUSE_MS = 60
/** a payer that buys no time: both ends agree that its session has run for 0 ms */
const clock: Clock = { nowMs: () => 0, nowS: systemClock.nowS }

export interface PayersInit {
  readonly place: Place
  readonly provider: string
  readonly offer: Offer
  readonly payers: number
  readonly sessionsEach: number
  /** how far a payer reserves ahead of what it signs, in chunks: its limit at risk */
  readonly chunksAhead: number
  readonly pay: 'promise' | 'tick'
}

/** One session that pays for chunks, each of them by a payment of its own. */
export class PayingSession {
  readonly id: SessionId
  /** payments that left, of either sort */
  promises = 0
  ticks = 0
  /** chunks that were used, and those of them of which the provider says that their payment is durable */
  used = 0
  durable = 0
  /** base units that the provider says it holds */
  paid = 0n
  /** called when more payments have become durable, or what the payer waited for is reserved */
  onProgress: (session: PayingSession, newlyDurable: number) => void = () => undefined
  readonly #live: LiveSession
  readonly #desk: PayerDesk
  readonly #chunkBytes: number
  readonly #chunkCost: bigint
  #isUsing = false

  constructor(live: LiveSession, desk: PayerDesk, { price, chunk }: Offer) {
    this.id = live.session.id
    this.#live = live
    this.#desk = desk
    this.#chunkBytes = Number(chunk.size)
    this.#chunkCost = chunkCost(price, chunk)
  }

  /** chunks whose payment is on its way, or waits for the payer's own disk */
  get open(): number {
    return this.used - this.durable
  }

  /** Whether the next payment would wait for the payer's disk, and be one with the payments after it. */
  get isReserving(): boolean {
    return this.#live.recorded.reserving !== undefined
  }

  use(): void {
    this.used += 1
    this.#isUsing = true
    this.#desk.run(this.#live, { type: 'used', stream: 1, bytes: this.#chunkBytes })
    this.#isUsing = false
  }

  onSent(message: FromPayer): void {
    if (message.type === 'tick') this.ticks += 1
    else if (message.type === 'promise') this.promises += 1
    else return
    // it had waited for the payer's disk; the rules are in the middle of a step, so others go on after it
    if (!this.#isUsing) queueMicrotask(() => this.onProgress(this, 0))
  }

  onPaid(paid: bigint): void {
    this.paid = paid
    const durable = Math.min(this.used, Number(paid / this.#chunkCost))
    const newly = durable - this.durable
    if (newly <= 0) return
    this.durable = durable
    this.onProgress(this, newly)
  }
}

/** A payer with its sessions, agreed on and ready to pay. */
export async function beginPayer(init: PayersInit, index: number): Promise<PayingSession[]> {
  const { rpcUrl, chainId, ledger, token, dir } = init.place
  const privateKey = randomBytes(32)
  const self = {
    address: addressOfKey(privateKey),
    publicKey: publicKeyOf(privateKey),
    sign: signerOf(privateKey),
    chains: wordChainsOf(privateKey),
  }
  const genesis = { address: self.address, chainId: BigInt(chainId), ledger }
  const owner = { pid: process.pid, command: 'bench', started: Math.floor(Date.now() / 1000) }
  const store = await openLevelStore({ path: join(dir, `payer-${index}`, 'db'), genesis, owner, create: true })
  const chain = createChain({ rpcUrl, chainId, ledger, confirmations: 0, signer: self, store })
  await chain.start()
  const { peer } = parsePeer(init.provider)
  const target = addressOfPeer(peer)
  await fundOnDevnet(rpcUrl, token, self.address, { wei: 10n ** 18n, tokens: DEPOSIT })
  const expiry = (Math.floor(Date.now() / 1000) + 30 * DAY_S) as Seconds
  const open = { kind: 'open', signer: self.address, target, token, amount: DEPOSIT, expiry, from: 'wallet' } as const
  await chain.transactions.wait(await chain.transactions.submit(open))

  const domain = { chainId: BigInt(chainId), ledger }
  const ticks = init.pay === 'tick' ? 'always' : 'never'
  const components = { store, clock, log: SILENT, events: new EventEmitter<SessionEvents>(), domain, self, chain }
  const desk = new PayerDesk(components, { payEach: true, ticks })
  await desk.start()
  const network = await createNetwork({ privateKey, listen: [], bootstrap: [], session: {}, data: {}, offer: {} })
  const { session, data } = network.services
  await network.dial(multiaddr(init.provider))
  const byId = new Map<SessionId, PayingSession>()
  const link = tapped(await session.connect(peer), byId)
  const line = { link, openData: data.openData.bind(data, peer) }
  void desk.attach(line).finally(() => stop('a control stream ended'))
  const wish = wishOf(init, self.address, target)
  for (let at = 0; at < init.sessionsEach; at++) {
    const live = await desk.open(line, wish, sessionIdFromBytes(randomBytes(16)))
    desk.run(live, { type: 'opened', stream: 1 })
    const paying = new PayingSession(live, desk, init.offer)
    byId.set(paying.id, paying)
    await new Promise((resolve) => setTimeout(resolve, HELLO_PAUSE_MS))
  }
  return [...byId.values()]
}

/** The link, with a look at each payment that leaves, and at each meter message after the desk is done with its batch. */
function tapped(link: PayerLink, byId: ReadonlyMap<SessionId, PayingSession>): PayerLink {
  const look = (message: FromPayee): void => {
    if (message.type === 'fault') stop(`the provider refused: ${message.code}`)
    if (message.type === 'meter') byId.get(message.session)?.onPaid(message.paid)
  }
  const batches = async function* (): AsyncGenerator<readonly FromPayee[]> {
    for await (const batch of link) {
      yield batch
      for (const message of batch) look(message)
    }
  }
  return {
    address: link.address,
    publicKey: link.publicKey,
    send: (message) => {
      link.send(message)
      if (message.type === 'tick' || message.type === 'promise') byId.get(message.session)?.onSent(message)
    },
    close: () => link.close(),
    abort: (error) => link.abort(error),
    [Symbol.asyncIterator]: batches,
  }
}

function wishOf({ offer, chunksAhead }: PayersInit, self: Address, provider: Address): Wish {
  const { service, token, price, chunk, sequence } = offer
  const limitAtRisk = (chunkCost(price, chunk) * BigInt(chunksAhead)) as Amount
  return {
    service, inputs: new Uint8Array(0), owner: self, signer: self, provider, token, offered: { price, chunk, sequence }, maxPrice: undefined,
    budget: DEPOSIT, limitAtRisk, owed: 0n as Amount, expect: undefined,
  } // biome-ignore format: a record
}

/** Ends the process: its parent hears of that, and of nothing else. */
function stop(why: string): void {
  setImmediate(() => {
    throw new Error(why)
  })
}
