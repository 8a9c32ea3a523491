import { minAmount } from '../core/amount.ts'
import { asTallyError, type ErrorCode, TallyError } from '../core/errors.ts'
import { hash32FromBytes, type Seconds } from '../core/ids.ts'
import { type ForwardRequest, forwardDigest } from '../core/relay/request.ts'
import type { ChainNotice, ChainSigner, Execution, LedgerAction, RelayWish } from '../ports/chain.ts'
import type { RelayOffer, Relays } from '../ports/relays.ts'
import type { ChainForwarder } from './forwarder.ts'
import { asUnreachable, type Gateway, quantity } from './gateway.ts'
import type { Carried, RelayPlanner } from './relay-plan.ts'
import type { TxBook } from './tx-book.ts'
import { failureOf, type Relayed, type RelayRequest, type TxRecord } from './tx-record.ts'

export interface CarrierInit {
  readonly gateway: Gateway
  readonly signer: ChainSigner
  readonly book: TxBook
  readonly forwarder: ChainForwarder
  readonly planner: RelayPlanner
  readonly relays: Relays
  readonly confirmations: number
  /** After this long without being mined the relay is asked how it goes, and another one is tried. */
  readonly resendAfterMs: number
  readonly signal: AbortSignal
  readonly nowMs: () => number
  readonly onNotice: ChainNotice
}

/**
 * Takes intents to the chain without gas: signs them for the forwarder and gives them to relays, one intent after the other. All requests of an
 * intent have one number, so at most one is executed, whoever has them. One that was given away is over only when the chain says so: the
 * number is used, or a confirmed block is later than the last deadline.
 */
export interface RelayCarrier {
  /** Whether a relay may be asked although nobody has said so. */
  mayCarry(action: LedgerAction): boolean
  /** One step. Resolves true when something changed. */
  round(): Promise<boolean>
}

/** A request is good for so long, seconds of the chain: it is pending at least until then when its relay is silent. */
const LIFE_S = 300
/** Different requests for one intent at most, and for how long new ones are signed, s. */
const MAX_REQUESTS = 6
const TRY_FOR_S = 600

/** The relay has not heard it: nothing was said. */
const NOT_SAID: readonly ErrorCode[] = ['PEER_UNREACHABLE', 'UNSUPPORTED']

interface Memory {
  /** when the relay was spoken to last */
  askedMs: number
  /** the last one said that it will not do it, or nothing */
  refused: boolean
}

export function createRelayCarrier(init: CarrierInit): RelayCarrier {
  const { gateway, signer, book, forwarder, planner, relays, confirmations, signal, nowMs } = init
  const self = signer.address
  const memories = new Map<string, Memory>()
  const options = { signal }

  async function headOf(): Promise<number> {
    const head = await gateway.request('eth_blockNumber', [], options).catch((error: unknown) => {
      throw asUnreachable(gateway.name, error)
    })
    return Number(quantity(head, gateway.name))
  }

  /** A new request for an intent: signed, and on the disk before anybody gets it. */
  async function sign(record: TxRecord, relayed: Relayed, offer: RelayOffer): Promise<TxRecord> {
    const action = record.action as Carried
    const fee = { token: action.token, to: offer.account, amount: offer.fee }
    const [{ data, gas }, domain, head] = await Promise.all([
      planner.call(action, fee, options),
      forwarder.domain(options),
      gateway.header('latest', options),
    ])
    const nonce = relayed.nonce ?? (await forwarder.nonce(self, options))
    const deadline = ((head?.timeS ?? 0) + LIFE_S) as Seconds
    const request: ForwardRequest = { from: self, to: gateway.ledger, gas, nonce, deadline, data }
    const digest = forwardDigest(domain, request)
    const made: RelayRequest = {
      peer: offer.peer,
      account: offer.account,
      token: action.token,
      fee: offer.fee,
      quote: offer.id,
      digest: hash32FromBytes(digest),
      signed: { request, signature: Uint8Array.from(await signer.sign(digest)) },
    }
    const now: Relayed = { since: head?.number ?? 0, ...relayed, nonce, requests: [...relayed.requests, made] }
    const { failure: _, ...rest } = record
    const signed: TxRecord = { ...rest, state: 'signed', relayed: now }
    await book.put(signed)
    return signed
  }

  /** Gives the last request to its relay. The answer changes nothing but how soon another one is tried. */
  async function handOver(record: TxRecord, isNew: boolean): Promise<TxRecord> {
    const relayed = record.relayed
    const last = relayed?.requests.at(-1)
    if (relayed === undefined || last === undefined) return record
    const memory: Memory = { askedMs: nowMs(), refused: false }
    memories.set(record.id, memory)
    try {
      const { isGoing } = await relays.submit({ peer: last.peer, id: last.quote }, last.signed, options)
      memory.refused = !isGoing
      return await put(record, isGoing ? 'sent' : 'unknown')
    } catch (thrown) {
      if (signal.aborted) throw thrown
      const error = asTallyError(thrown)
      memory.refused = error.code !== 'STREAM_CUT'
      init.onNotice(`the relay ${last.peer} has not taken the request to ${record.summary}`, error)
      // nobody has ever seen the only request: it is as if it had not been signed. Of one from before a crash that is not known
      if (isNew && NOT_SAID.includes(error.code) && relayed.requests.length === 1) {
        const { nonce: _n, since: _s, ...rest } = relayed
        const unsigned: TxRecord = { ...record, state: 'written', relayed: { ...rest, requests: [] } }
        await book.put(unsigned)
        return unsigned
      }
      return await put({ ...record, failure: failureOf(error) }, 'unknown')
    }
  }

  async function put(record: TxRecord, state: TxRecord['state']): Promise<TxRecord> {
    const { failure, ...rest } = record
    const next = { ...rest, state, ...(failure === undefined || state === 'sent' ? {} : { failure }) }
    await book.put(next)
    return next
  }

  /** What is allowed, and never more than the thing is worth. */
  function wishOf({ relayed, worth }: TxRecord): RelayWish {
    const wish = relayed?.wish ?? {}
    return worth === undefined ? wish : { ...wish, maxFee: minAmount(worth, wish.maxFee ?? relays.maxFee) }
  }

  /** The first request of an intent: the cheapest relay that takes it. What fails now has certainly no effect. */
  async function launch(record: TxRecord): Promise<boolean> {
    const { relayed, action } = record
    if (relayed === undefined || !planner.canCarry(action)) return false
    try {
      const { offers } = await planner.choose(action, wishOf(record), options)
      let now = record
      for (const offer of offers) {
        now = await handOver(await sign(now, relayed, offer), true)
        if (now.state !== 'written') break
      }
      if (now.state === 'written') throw new TallyError('RELAY_NONE', { message: `cannot ${record.summary}: no relay answers` })
      if (memories.get(record.id)?.refused === true) await another(now)
    } catch (thrown) {
      const error = asTallyError(thrown)
      const isLater = error.code === 'CHAIN_UNREACHABLE' || error.code === 'CHAIN_WRONG' || error.code.startsWith('STORE_')
      const current = book.get(record.id)
      if (signal.aborted || isLater || current?.state !== 'written') throw thrown
      await book.put({ ...current, state: 'failed', failure: failureOf(error) })
    }
    return true
  }

  /** The same intent, under the same number, for a relay that has not had it, or for what the last one asks now. */
  async function another(record: TxRecord): Promise<boolean> {
    const { relayed, action } = record
    const first = relayed?.requests[0]
    if (relayed === undefined || first === undefined || !planner.canCarry(action)) return false
    const head = await gateway.header('latest', options)
    const isLate = (head?.timeS ?? 0) > first.signed.request.deadline - LIFE_S + TRY_FOR_S
    if (isLate || relayed.requests.length >= MAX_REQUESTS) return false
    const memory = memories.get(record.id)
    if (memory !== undefined) memory.askedMs = nowMs()
    const choice = await planner.choose(action, wishOf(record), options).catch((thrown: unknown) => {
      const error = asTallyError(thrown)
      if (signal.aborted || error.code === 'CHAIN_UNREACHABLE') throw thrown
      init.onNotice(`no other relay for now to ${record.summary}`, error)
      return undefined
    })
    const tried = (offer: RelayOffer): number => relayed.requests.filter(({ account }) => account === offer.account).length
    const [next] = [...(choice?.offers ?? [])].sort((a, b) => tried(a) - tried(b))
    if (next === undefined) return false
    await handOver(await sign(record, relayed, next), true)
    return true
  }

  async function track(record: TxRecord): Promise<boolean> {
    const { nonce, since = 0, requests } = record.relayed ?? { requests: [] }
    if (nonce === undefined) return false
    const head = await headOf()
    if ((await forwarder.nonceAt(self, 'latest', options)) > nonce) {
      const execution = await forwarder.execution(self, nonce, since, options)
      return execution !== undefined && (await executed(record, execution, Math.max(head, execution.block)))
    }
    if (record.state === 'mined') {
      const { block: _b, blockHash: _h, minedHash: _m, failure: _f, ...rest } = record
      await book.put({ ...rest, state: 'sent' })
      return true
    }
    const deadline = Math.max(...requests.map(({ signed }) => signed.request.deadline))
    const deep = head - confirmations
    const block = deep < 0 ? undefined : await gateway.header(deep, options)
    if (block !== undefined && block.timeS > deadline && (await forwarder.nonceAt(self, block.number, options)) <= nonce) {
      memories.delete(record.id)
      const message = `could not ${record.summary}: no relay has handed it in, and its deadline is over`
      const error = new TallyError('RELAY_EXPIRED', {
        message,
        hint: 'nothing was done and nothing was paid; do it again, by another relay',
      })
      await book.put({ ...record, state: 'failed', failure: failureOf(error) })
      return true
    }
    return await urge(record)
  }

  async function executed(record: TxRecord, execution: Execution, head: number): Promise<boolean> {
    const { relayed } = record
    const deep = head - execution.block >= confirmations
    const own = relayed?.requests.find(({ signed }) => execution.isOf(signed.signature))
    const isDone = own !== undefined && execution.ok
    const state = deep ? (isDone ? 'confirmed' : own === undefined ? 'replaced' : 'failed') : 'mined'
    if (relayed === undefined || (record.state === state && record.blockHash === execution.blockHash)) return false
    const { failure: _, ...rest } = record
    const failure = isDone ? {} : { failure: failureOf(notDone(record, own === undefined)) }
    const { block, blockHash, hash: minedHash } = execution
    const done = own === undefined ? {} : { done: own.digest }
    await book.put({
      ...rest,
      ...failure,
      state,
      block,
      blockHash,
      minedHash,
      reverted: !isDone,
      relayed: { ...relayed, ...done },
    })
    if (deep) memories.delete(record.id)
    return true
  }

  /** A relay that was silent hears it again; one that does nothing, or has said no, is not the only one. */
  async function urge(record: TxRecord): Promise<boolean> {
    const memory = memories.get(record.id)
    if (memory === undefined) return (await handOver(record, false)) !== record
    if (nowMs() - memory.askedMs < init.resendAfterMs) return false
    const last = record.relayed?.requests.at(-1)
    if (last === undefined) return false
    if (!memory.refused) {
      memory.askedMs = nowMs()
      // one that is on its way elsewhere may be late as well: the word of the relay buys it one more pause, not more
      const word = await relays.status(last.peer, last.digest, options).catch(() => undefined)
      memory.refused = true
      if (word?.isGoing === true) return false
    }
    return await another(record)
  }

  return {
    mayCarry: (action) => relays.areSet && planner.canCarry(action),
    async round() {
      let progress = false
      for (const record of book.relayed()) {
        if (signal.aborted) return false
        if (record.state !== 'written') progress = (await track(record)) || progress
      }
      // one number after the other: the next intent has to know what became of this one
      const open = book.relayed()
      if (open.some(({ state }) => state !== 'written' && state !== 'mined')) return progress
      const next = open.find(({ state }) => state === 'written')
      return (next !== undefined && (await launch(next))) || progress
    },
  }
}

function notDone(record: TxRecord, isOther: boolean): TallyError {
  if (isOther)
    return new TallyError('TX_REPLACED', {
      message: `could not ${record.summary}: another request of ${record.from} used its number`,
      hint: 'does another program use this key? Run the command again to do it after all',
    })
  return new TallyError('TX_REVERTED', {
    message: `the chain refuses to ${record.summary}`,
    hint: 'what it needs was gone when it was handed in',
    fields: { reason: 'unknown' },
  })
}
