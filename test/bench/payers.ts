/**
 * A process of the benchmark: several payers, each with its own key, store, channel, connection and control stream. Their desks are the
 * real ones; what is left out is the goods: the desk is told that a chunk was used, as if a data stream had brought it.
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
import { type Address, type Seconds, sessionIdFromBytes } from '../../src/core/ids.ts'
import type { Offer } from '../../src/core/offer.ts'
import { chunkCost } from '../../src/core/price.ts'
import type { FromPayee } from '../../src/core/session/messages.ts'
import type { Wish } from '../../src/core/session/payer-terms.ts'
import { systemClock } from '../../src/node/create-node.ts'
import { createNetwork } from '../../src/node/libp2p.ts'
import { parsePeer } from '../../src/node/lines.ts'
import { SILENT } from '../../src/node/options.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { PayerLink } from '../../src/ports/link.ts'
import type { LiveSession } from '../../src/session/live-session.ts'
import { PayerDesk } from '../../src/session/payer-desk.ts'
import { wordChainsOf } from '../../src/session/word-chain.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import { busySince } from './busy.ts'
import { answer } from './child.ts'
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
}

/** One session that pays again and again, one payment at a time. */
interface Payer {
  readonly live: LiveSession
  readonly desk: PayerDesk
  onDurable: () => void
}
const payers: Payer[] = []
let chunkBytes = 0

const answers = {
  async begin(init: PayersInit): Promise<void> {
    chunkBytes = Number(init.offer.chunk.size)
    await Promise.all(Array.from({ length: init.payers }, (_, index) => beginPayer(init, index)))
  },

  /** Every session pays until all have paid `payments` times together; answers the milliseconds until the last one was durable. */
  async pay({ payments }: { payments: number }): Promise<number> {
    const done = Promise.withResolvers<void>()
    let begun = 0
    let durable = 0
    const next = (payer: Payer): void => {
      if (begun === payments) return
      begun += 1
      payOnce(payer)
    }
    for (const payer of payers) {
      payer.onDurable = () => {
        durable += 1
        if (durable === payments) done.resolve()
        else next(payer)
      }
    }
    const begin = performance.now()
    for (const payer of payers) next(payer)
    await done.promise
    return performance.now() - begin
  },

  /** One session pays, one payment at a time; answers each payment's time from signing to the meter message, in microseconds. */
  async roundTrips({ payments }: { payments: number }): Promise<Float64Array> {
    const [payer] = payers
    if (payer === undefined) throw new Error('begin first')
    const times = new Float64Array(payments)
    for (let at = 0; at < payments; at++) {
      const durable = new Promise<void>((resolve) => (payer.onDurable = resolve))
      const begin = performance.now()
      payOnce(payer)
      await durable
      times[at] = (performance.now() - begin) * 1000
    }
    return times
  },

  busy: busySince,
}
export type PayersAnswers = typeof answers

function payOnce({ desk, live }: Payer): void {
  desk.run(live, { type: 'used', stream: 1, bytes: chunkBytes })
}

async function beginPayer(init: PayersInit, index: number): Promise<void> {
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
  const job = await chain.transactions.submit({
    kind: 'open',
    signer: self.address,
    target,
    token,
    amount: DEPOSIT,
    expiry,
    from: 'wallet',
  })
  await chain.transactions.wait(job)

  const domain = { chainId: BigInt(chainId), ledger }
  const desk = new PayerDesk({ store, clock, log: SILENT, events: new EventEmitter(), domain, self, chain }, { payEach: true })
  await desk.start()
  const network = await createNetwork({ privateKey, listen: [], bootstrap: [], session: {}, data: {}, offer: {} })
  const { session, data } = network.services
  await network.dial(multiaddr(init.provider))
  const byId = new Map<string, Payer>()
  const link = tapped(await session.connect(peer), (message) => onMeter(byId, message))
  const line = { link, openData: data.openData.bind(data, peer) }
  void desk.attach(line).catch((thrown: unknown) => process.stderr.write(`a control stream ended: ${thrown}\n`))
  const wish = wishOf(init, self.address, target)
  for (let at = 0; at < init.sessionsEach; at++) {
    const live = await desk.open(line, wish, sessionIdFromBytes(randomBytes(16)))
    desk.run(live, { type: 'opened', stream: 1 })
    const payer: Payer = { live, desk, onDurable: () => undefined }
    byId.set(live.session.id, payer)
    payers.push(payer)
    await new Promise((resolve) => setTimeout(resolve, HELLO_PAUSE_MS))
  }
}

function onMeter(byId: ReadonlyMap<string, Payer>, message: FromPayee): void {
  if (message.type === 'fault') throw new Error(`the provider refused: ${message.code}`)
  const payer = message.type === 'meter' ? byId.get(message.session) : undefined
  // one payment is on its way at a time: it is durable when the provider counts all that was signed
  if (message.type === 'meter' && payer !== undefined && message.paid > 0n && message.paid === payer.live.session.total)
    payer.onDurable()
}

/** The link, with a look at each message after the desk is done with its batch. */
function tapped(link: PayerLink, look: (message: FromPayee) => void): PayerLink {
  const batches = async function* (): AsyncGenerator<readonly FromPayee[]> {
    for await (const batch of link) {
      yield batch
      for (const message of batch) look(message)
    }
  }
  return {
    address: link.address,
    publicKey: link.publicKey,
    send: (message) => link.send(message),
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

answer(answers)
