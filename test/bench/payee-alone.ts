/**
 * A process of the benchmark: a payee's desk over a real database, paid by many channels at once. Its peers are in the same process:
 * their payments are signed and encoded beforehand, so that what is measured is framing, decoding, the rules, the check of signature or
 * word, the synced store and the encoded answer. Only the transport is left out.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, publicKeyOf, signerOf, verify } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import { codeOfWire } from '../../src/core/errors.ts'
import { type ChannelId, type ChannelParties, channelId, type Seconds } from '../../src/core/ids.ts'
import { MAX_STEPS } from '../../src/core/lock.ts'
import type { Offer } from '../../src/core/offer.ts'
import { systemClock } from '../../src/node/create-node.ts'
import { SILENT } from '../../src/node/options.ts'
import type { Self, SessionEvents } from '../../src/session/components.ts'
import { PayeeDesk } from '../../src/session/payee-desk.ts'
import { wordChainsOf } from '../../src/session/word-chain.ts'
import { type LevelStore, openLevelStore } from '../../src/store/level-store.ts'
import { busySince } from './busy.ts'
import { answer } from './child.ts'
import { demandSame, readDurable } from './durable.ts'
import type { Place } from './place.ts'
import { CHUNK_COST, ScriptedPayer } from './scripted-payer.ts'
import { zerosService } from './zeros.ts'

/** what sockets may hand over in one turn of the loop: so many reads, so many bytes */
const TURN_READS = 128
const TURN_BYTES = 64 << 10
const DEPOSIT = 10_000_000_000n as Amount
const NEVER = 0xff_ffff_ffff as Seconds
/** payments of the run with a forged word, and which of them is forged */
const FORGED_RUN = 8
const FORGED = 5

interface Bench {
  readonly store: LevelStore
  readonly payers: readonly ScriptedPayer[]
  readonly reopen: () => Promise<LevelStore>
}
let bench: Bench | undefined

/** Bytes on their way to the desk; each turn of the loop brings some, as sockets would. */
const arriving: { readonly payer: ScriptedPayer; readonly bytes: Uint8Array }[] = []
let scheduled = false

function deliver(payer: ScriptedPayer, bytes: Uint8Array): void {
  arriving.push({ payer, bytes })
  if (scheduled) return
  scheduled = true
  setImmediate(turn)
}

function turn(): void {
  let reads = 0
  for (let left = TURN_BYTES; left > 0 && reads < TURN_READS; reads++) left -= arriving[reads]?.bytes.length ?? left
  for (const { payer, bytes } of arriving.splice(0, reads)) payer.arrive(bytes)
  scheduled = arriving.length > 0
  if (scheduled) setImmediate(turn)
}

export interface Accepted {
  readonly ms: number
  readonly payments: number
  /** payments in one synced batch, on average */
  readonly perSync: number
  /** how many of the payments were signed promises */
  readonly promises: number
  /** processor time of all threads for one payment, in microseconds */
  readonly cpuUs: number
}

export interface Run {
  /** payments of each channel */
  readonly each: number
  readonly pay: 'promise' | 'tick'
  /** payments of a channel that may be on their way */
  readonly window: number
}

const answers = {
  async begin({ place, channels: count }: { place: Place; channels: number }): Promise<void> {
    const privateKey = randomBytes(32)
    const self: Self = {
      address: addressOfKey(privateKey),
      publicKey: publicKeyOf(privateKey),
      sign: signerOf(privateKey),
      chains: wordChainsOf(privateKey),
    }
    const domain: Domain = { chainId: BigInt(place.chainId), ledger: place.ledger }
    const owner = { pid: process.pid, command: 'bench', started: Math.floor(Date.now() / 1000) }
    const path = join(place.dir, 'payee', 'db')
    const open = (create: boolean): Promise<LevelStore> =>
      openLevelStore({ path, genesis: { address: self.address, ...domain }, owner, create })
    const store = await open(true)
    const desk = deskOf(store, self, domain, count)
    const offer: Offer = {
      provider: self.address, service: 'pay', kind: 'zeros', description: '', token: place.token, price: { rates: [{ kind: 'down', amount: CHUNK_COST as Amount, per: 65_536n }] },
      chunk: { kind: 'down', size: 65_536n }, minReservation: 0n as Amount, minTimeToExpiry: 3600, sequence: 1n, expiry: NEVER, addresses: [], inputs: '', outputs: '',
    } // biome-ignore format: a record
    desk.sell({ adapter: zerosService, offer: () => offer })
    await desk.start()
    // the chains of the channels are used up one after the other, as those of strangers are
    const firstSteps = (index: number): number => 1 + Math.floor((index * MAX_STEPS) / count)
    const payers = Array.from(
      { length: count },
      (_, index) =>
        new ScriptedPayer({ domain, target: self.address, token: place.token, firstSteps: firstSteps(index), deliver }),
    )
    for (const { link } of payers) void desk.attach(link)
    await Promise.all(payers.map((payer) => payer.open('pay')))
    bench = { store, payers, reopen: () => open(false) }
  },

  /** Every channel pays `each` times; the time is until the last payment was durable and told. All of it is looked for on the disk afterwards. */
  async accept({ each, pay, window }: Run): Promise<Accepted> {
    const { payers, store } = ready()
    const promises = payers.reduce((sum, payer) => sum + payer.prepare(each, pay), 0)
    collect()
    const before = store.stats().batches
    busySince()
    const begin = performance.now()
    await Promise.all(payers.map((payer) => payer.pay(window)))
    const ms = performance.now() - begin
    const payments = payers.length * each
    const cpuUs = (busySince().cpuMs * 1000) / payments
    const perSync = payments / (store.stats().batches - before)
    await demandDurable(store, payers)
    return { ms, payments, promises, perSync, cpuUs }
  },

  /**
   * One channel pays with a run of ticks of which one in the middle is forged: the payee must refuse that one by itself, also where it came
   * in one read with good ones. What came before counts; a good word after it proves the forged step too, and may count.
   */
  async forge(): Promise<void> {
    const { payers, store } = ready()
    const [payer] = payers
    if (payer === undefined) throw new Error('there is no channel')
    while (payer.prepare(FORGED_RUN, 'tick') > 0) await payer.pay(FORGED_RUN)
    const before = payer.total - CHUNK_COST * BigInt(FORGED_RUN - FORGED)
    const code = codeOfWire(await payer.payForged(FORGED))
    if (code !== 'WORD_WRONG') throw new Error(`a forged word was answered with ${code}`)
    // the session ends with this turn of the loop, and what it was paid is written with the next commit
    await new Promise((resolve) => setImmediate(resolve))
    await store.commit([])
    const held = (await readDurable(store)).sessions.get(payer.session) ?? 0n
    if (held < before || held > payer.total) throw new Error(`${before} was paid before the forged word, ${held} is on the disk`)
    payer.total = held
  },

  /** Closes the database, opens it again and looks for every payment. The process answers nothing else after that. */
  async reopen(): Promise<void> {
    const { payers, store, reopen } = ready()
    await store.close()
    const again = await reopen()
    await demandDurable(again, payers)
    await again.close()
  },

  /** The signature check by itself, in this thread: how many a second. */
  async checks({ count }: { count: number }): Promise<number> {
    const key = randomBytes(32)
    const publicKey = publicKeyOf(key)
    const sign = signerOf(key)
    const digests = Array.from({ length: count }, () => randomBytes(32))
    const signatures = digests.map(sign)
    const begin = performance.now()
    const good = digests.filter((digest, at) => verify(digest, signatures[at] ?? digest, publicKey)).length
    const ms = performance.now() - begin
    if (good !== count) throw new Error('a good signature was refused')
    return count / (ms / 1e3)
  },
}
export type PayeeAnswers = typeof answers

/** What the preparation left behind is not for the measured time to clean. */
function collect(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

function ready(): Bench {
  if (bench === undefined) throw new Error('begin first')
  return bench
}

async function demandDurable(store: LevelStore, payers: readonly ScriptedPayer[]): Promise<void> {
  const { sessions, channels } = await readDurable(store)
  demandSame(
    'session',
    payers.map(({ session, total }) => [session, total]),
    sessions,
  )
  demandSame(
    'channel',
    payers.map(({ channel, total }) => [channel, total]),
    channels,
  )
}

/** A desk as a node makes it, but for the chain: every channel has its deposit. */
function deskOf(store: LevelStore, self: Self, domain: Domain, maxSessions: number): PayeeDesk {
  const facts = { deposit: DEPOSIT, settled: 0n as Amount, expiry: NEVER, epoch: 0, block: 0 }
  const chain = {
    channel: async (parties: ChannelParties | ChannelId) => ({ id: channelId(parties as ChannelParties), confirmed: facts }),
    watch: () => undefined,
  }
  const amounts = { poolPerHour: (10n ** 12n) as Amount, max: (CHUNK_COST * 64n) as Amount, unreserved: 0n as Amount }
  const components = {
    store, clock: systemClock, log: SILENT, events: new EventEmitter<SessionEvents>(), domain, self, chain, settle: () => undefined,
    signClose: () => new Uint8Array(0), closeDeadline: () => NEVER,
  } // biome-ignore format: a record
  const policy = {
    ...amounts, sharePpm: 100_000n, marginS: 600, clockMs: 250, resumeMs: 600_000, patienceMs: 20_000, maxSessions, sessionLastS: 604_800,
  } // biome-ignore format: a record
  return new PayeeDesk(components, { policy })
}

answer(answers)
