/**
 * A process of the benchmark: fills the database of a provider as years of business would. Every channel has its owner, a promise and a session
 * that is over; a tenth has something to settle. The records go through the program's own tables, so that index and sums are what they would be.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Amount } from '../../src/core/amount.ts'
import { newOwner } from '../../src/core/credit.ts'
import { addressOfKey } from '../../src/core/crypto/secp256k1.ts'
import {
  addressFromBytes,
  type ChannelParties,
  channelId,
  hash32FromBytes,
  type Seconds,
  sessionIdFromBytes,
} from '../../src/core/ids.ts'
import { ZERO_METER } from '../../src/core/meter.ts'
import { NO_FLOW } from '../../src/core/session/flow.ts'
import { newPayeeSession, type PayeeSession } from '../../src/core/session/payee.ts'
import type { StoreOp } from '../../src/ports/store.ts'
import { PayeeShelf } from '../../src/session/payee-shelf.ts'
import { PayeeRecords } from '../../src/session/records.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import { answer } from './child.ts'
import type { Place } from './place.ts'

export interface Fill {
  readonly place: Place
  readonly privateKey: Uint8Array
  readonly channels: number
}

const AT_ONCE = 4_000
/** one channel of so many has something to settle */
const DUE_EACH = 10
const SIGNED = 40_000n as Amount
const DAY_S = 86_400

const answers = {
  /** Returns the bytes that were written. */
  async fill({ place, privateKey, channels }: Fill): Promise<number> {
    const self = addressOfKey(privateKey)
    const genesis = { address: self, chainId: BigInt(place.chainId), ledger: place.ledger }
    const owner = { pid: process.pid, command: 'bench', started: Math.floor(Date.now() / 1000) }
    const store = await openLevelStore({ path: join(place.dir, 'db'), genesis, owner, create: true })
    const records = new PayeeRecords(store)
    const shelf = new PayeeShelf(store, records)
    await shelf.load()
    const nowS = Math.floor(Date.now() / 1000)
    let writing = Promise.resolve()
    for (let at = 0; at < channels; at += AT_ONCE) {
      const count = Math.min(AT_ONCE, channels - at)
      const many = Array.from({ length: count }, (_, i) =>
        business({ self, token: place.token, nowS, isDue: (at + i) % DUE_EACH === 0 }),
      )
      const ops: StoreOp[] = shelf.ops(many.map(({ channel }) => ({ id: channel.id, channel, given: undefined })))
      for (const { account, session } of many) ops.push(records.putOwner(account), ...records.putSession(session))
      // the next ones are made while these are written
      await writing
      writing = store.commit(ops)
    }
    await writing
    const { bytes } = store.stats()
    await store.close()
    return bytes
  },
}
export type FillAnswers = typeof answers

interface Kind {
  readonly self: ChannelParties['target']
  readonly token: ChannelParties['token']
  readonly nowS: number
  readonly isDue: boolean
}

/** One consumer with all that is left of it. */
function business({ self, token, nowS, isDue }: Kind) {
  const owner = addressFromBytes(randomBytes(20))
  const parties: ChannelParties = { owner, signer: owner, target: self, token }
  const id = channelId(parties)
  const expiry = (nowS + 30 * DAY_S + Math.floor(Math.random() * 300 * DAY_S)) as Seconds
  const facts = { deposit: 1_000_000n as Amount, settled: isDue ? (0n as Amount) : SIGNED, expiry, epoch: 0 }
  const promise = { amount: SIGNED, locks: [], signature: randomBytes(65) }
  const channel = { id, parties, facts, best: { promise }, frozen: undefined }
  const account = { ...newOwner(owner, token), paid: SIGNED }
  return { channel, account, session: sessionOf(parties, nowS) }
}

function sessionOf(parties: ChannelParties, nowS: number): PayeeSession {
  const { owner, signer, target: provider, token } = parties
  const terms = {
    session: sessionIdFromBytes(randomBytes(16)), owner, signer, provider, token, service: 'films', offerSequence: 1n,
    price: { rates: [{ kind: 'down' as const, amount: 625n as Amount, per: 65_536n }] }, chunk: { kind: 'down' as const, size: 65_536n },
    arrears: 0n as Amount, patienceMs: 20_000, opened: nowS as Seconds, expiry: (nowS + DAY_S) as Seconds, content: randomBytes(32),
  } // biome-ignore format: a record
  const digest = hash32FromBytes(randomBytes(32))
  const receipt = {
    session: terms.session, terms: digest, channel: channelId(parties), total: SIGNED, amount: SIGNED, meter: { ...ZERO_METER, down: 4_194_304n },
    closed: nowS as Seconds, reason: 0,
  } // biome-ignore format: a record
  return {
    ...newPayeeSession(terms, digest, randomBytes(65), 0), status: 'closed', payerSignature: randomBytes(65), total: SIGNED, paid: SIGNED,
    flow: { ...NO_FLOW, done: 4_194_304n }, receipt: { receipt, signature: randomBytes(65) }, countersignature: randomBytes(65),
  } // biome-ignore format: a record
}

answer(answers)
