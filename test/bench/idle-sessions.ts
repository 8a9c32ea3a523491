/**
 * A process of the benchmark: a payee's desk over a real database with very many sessions in which nothing happens. Links and payers are made
 * before, so that what is measured is what the provider keeps for a session: its channel, owner, terms, state and timers.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, publicKeyOf, signerOf } from '../../src/core/crypto/secp256k1.ts'
import { type ChannelParties, channelId, type Seconds, type SessionId, sessionIdFromBytes } from '../../src/core/ids.ts'
import { ZERO_METER } from '../../src/core/meter.ts'
import type { Offer } from '../../src/core/offer.ts'
import type { FromPayee, FromPayer } from '../../src/core/session/messages.ts'
import { signTerms } from '../../src/core/terms.ts'
import { systemClock } from '../../src/node/create-node.ts'
import { SILENT } from '../../src/node/options.ts'
import type { PayeeLink } from '../../src/ports/link.ts'
import { PayeeDesk } from '../../src/session/payee-desk.ts'
import { wordChainsOf } from '../../src/session/word-chain.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import { collectGarbage } from '../support/gc.ts'
import { answer } from './child.ts'
import type { Place } from './place.ts'
import { zerosService } from './zeros.ts'

const NEVER = 0xff_ffff_ffff as Seconds

/** A payer that agrees on a session and says nothing more. */
class IdleLink implements PayeeLink {
  readonly #key = randomBytes(32)
  readonly address = addressOfKey(this.#key)
  readonly publicKey = publicKeyOf(this.#key)
  readonly session: SessionId = sessionIdFromBytes(randomBytes(16))
  readonly #inbox: FromPayer[] = []
  readonly #domain: { readonly chainId: bigint; readonly ledger: Place['ledger'] }
  #wake: () => void = () => undefined
  #onReady: () => void = () => undefined

  constructor(domain: { readonly chainId: bigint; readonly ledger: Place['ledger'] }) {
    this.#domain = domain
  }

  async open(token: Offer['token']): Promise<void> {
    const ready = new Promise<void>((resolve) => (this.#onReady = resolve))
    const { session, address: owner } = this
    this.#say({
      type: 'hello',
      session,
      resume: false,
      owner,
      token,
      service: 'zeros',
      inputs: new Uint8Array(0),
      signed: 0n as Amount,
      acked: ZERO_METER,
    })
    await ready
    this.#onReady = () => undefined
  }

  #say(message: FromPayer): void {
    this.#inbox.push(message)
    this.#wake()
  }

  send(message: FromPayee): void {
    if (message.type === 'terms')
      this.#say({ type: 'accept', session: this.session, signature: signTerms(this.#domain, message.terms, signerOf(this.#key)) })
    else if (message.type === 'ready') this.#onReady()
    else throw new Error(`the desk said ${message.type} ${message.type === 'fault' ? message.code : ''}`)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly FromPayer[]> {
    for (;;) {
      while (this.#inbox.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
      yield this.#inbox.splice(0)
    }
  }

  async close(): Promise<void> {}
  abort(error: Error): void {
    throw error
  }
}

async function usedBytes(): Promise<number> {
  await collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

export interface Idle {
  readonly bytesEach: number
  /** by the growth of the process; less exact */
  readonly rssBytesEach: number
  /** processor time that the idle sessions cost, share of one core */
  readonly busy: number
}

const answers = {
  async idle({ place, sessions }: { place: Place; sessions: number }): Promise<Idle> {
    const privateKey = randomBytes(32)
    const self = {
      address: addressOfKey(privateKey), publicKey: publicKeyOf(privateKey), sign: signerOf(privateKey), chains: wordChainsOf(privateKey),
    } // biome-ignore format: a record
    const domain = { chainId: BigInt(place.chainId), ledger: place.ledger }
    const owner = { pid: process.pid, command: 'bench', started: Math.floor(Date.now() / 1000) }
    const path = join(place.dir, 'db')
    const store = await openLevelStore({ path, genesis: { address: self.address, ...domain }, owner, create: true })
    const facts = { deposit: 1_000_000n as Amount, settled: 0n as Amount, expiry: NEVER, epoch: 0, block: 0 }
    const chain = {
      channel: async (parties: ChannelParties | string) => ({ id: channelId(parties as ChannelParties), confirmed: facts }),
      watch: () => undefined,
    }
    const policy = {
      poolPerHour: 0n as Amount, max: 40_000n as Amount, unreserved: 0n as Amount, sharePpm: 100_000n, marginS: 600, clockMs: 250, resumeMs: 600_000,
      patienceMs: 20_000, maxSessions: sessions, sessionLastS: 604_800, idleMs: 86_400_000,
    } // biome-ignore format: a record
    const desk = new PayeeDesk(
      {
        store, clock: systemClock, log: SILENT, events: new EventEmitter(), domain, self, chain, settle: () => undefined,
        signClose: () => new Uint8Array(0), closeDeadline: () => NEVER,
      },
      { policy },
    ) // biome-ignore format: records
    const offer: Offer = {
      provider: self.address, service: 'zeros', kind: 'zeros', description: '', token: place.token,
      price: { rates: [{ kind: 'down', amount: 625n as Amount, per: 65_536n }] }, chunk: { kind: 'down', size: 65_536n },
      minReservation: 0n as Amount, minTimeToExpiry: 3600, sequence: 1n, expiry: NEVER, addresses: [], inputs: '', outputs: '',
    } // biome-ignore format: a record
    desk.sell({ adapter: zerosService, offer: () => offer })
    await desk.start()
    const links = Array.from({ length: sessions }, () => new IdleLink(domain))
    const before = { used: await usedBytes(), rss: process.memoryUsage.rss() }
    for (const link of links) void desk.attach(link)
    for (let at = 0; at < sessions; at += 64) await Promise.all(links.slice(at, at + 64).map((link) => link.open(place.token)))
    const after = { used: await usedBytes(), rss: process.memoryUsage.rss() }
    if ([...desk.sessions()].filter(({ status }) => status === 'live').length !== sessions)
      throw new Error('not all sessions are live')
    const cpu = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    const { user, system } = process.cpuUsage(cpu)
    return {
      bytesEach: (after.used - before.used) / sessions,
      rssBytesEach: (after.rss - before.rss) / sessions,
      busy: (user + system) / 2e6,
    }
  },
}
export type IdleAnswers = typeof answers

answer(answers)
