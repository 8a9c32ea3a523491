/**
 * A relay: looks at what strangers have signed, tries it, and hands it in with a transaction of its own. Rules are in core/relay/rules; the
 * transactions are those of the node's one queue, which loses none and sends none twice. The authority for what was agreed is the store.
 */
import type { Progress, Quote, QuoteAsk, Submission } from '../../protocols/relay/codec.ts'
import type { RelayHandler } from '../../protocols/relay/service.ts'
import type { Amount } from '../core/amount.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import type { Address, Hash32, Seconds } from '../core/ids.ts'
import { type FeePolicy, feeOf, gasAtMost } from '../core/relay/fees.ts'
import { requestId, type SignedForward } from '../core/relay/request.ts'
import { afterEnd, checkFacts, checkRequest, NEW_SIGNER, type RelayRules } from '../core/relay/rules.ts'
import type { Chain, Job, LedgerAction } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'
import type { Store } from '../ports/store.ts'
import { QUOTE_LIFE_S, Quotes } from './quotes.ts'
import { type RelayEnd, type RelayRecord, requestTable, signerTable } from './records.ts'

export interface RelayComponents {
  readonly store: Store
  readonly chain: Pick<Chain, 'forwarder' | 'transactions' | 'time' | 'status' | 'ledger'>
  readonly clock: Clock
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

export interface RelayInit {
  /** the account that is paid, and that pays the gas */
  readonly self: Address
  readonly fees: ReadonlyMap<Address, FeePolicy>
  readonly maxGas: number
  readonly lostGasPerHour: bigint
}

/** What being a relay has brought, since the store was made. */
export interface RelayTotals {
  readonly done: number
  readonly failed: number
  readonly open: number
  /** fees that were paid, in base units by token */
  readonly fees: ReadonlyMap<Address, Amount>
  /** what the transactions cost, wei, those that failed included */
  readonly gasWei: bigint
}

/** R8: tried at the same time, and under way. */
const MAX_TRYING = 8
const MAX_OPEN = 256
/** a price of gas is asked for this seldom, ms: quotes are cheap to ask for */
const PRICE_MS = 2_000
const HOUR_S = 3_600
const NO_HASH = `0x${'0'.repeat(64)}` as Hash32

export class RelayDesk implements RelayHandler {
  readonly #of: RelayComponents
  readonly #init: RelayInit
  readonly #quotes = new Quotes()
  /** under way, by signer */
  readonly #open = new Map<Address, Hash32>()
  /** what is being looked at, by digest: the same request twice is looked at once */
  readonly #looking = new Map<Hash32, Promise<Progress>>()
  readonly #jobs = new Map<Hash32, Job>()
  readonly #stop = new AbortController()
  readonly #following = new Set<Promise<void>>()
  #trying = 0
  #price: { readonly wei: bigint; readonly atMs: number } | undefined
  #lost: { readonly at: Seconds; readonly gas: bigint }[] = []
  readonly #totals = { done: 0, failed: 0, fees: new Map<Address, Amount>(), gasWei: 0n }

  constructor(components: RelayComponents, init: RelayInit) {
    this.#of = components
    this.#init = init
  }

  get totals(): RelayTotals {
    return { ...this.#totals, open: this.#open.size }
  }

  /** Goes on with what was agreed before a crash: it is handed in if it was not, and never twice. @throws STORE_* */
  async start(): Promise<void> {
    for await (const record of requestTable(this.#of.store).list()) {
      if (record.end !== 'taken') this.#count(record)
      else {
        this.#open.set(record.signed.request.from, record.digest)
        this.#track(this.#handIn(record))
      }
    }
  }

  /** What is on its way stays on its way; the next start goes on with it. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all([...this.#following, ...this.#looking.values()].map((one) => one.then(nothing, nothing)))
  }

  /** @throws RELAY_CALL_REFUSED, CHAIN_UNREACHABLE */
  async quote({ token, gas, bytes }: QuoteAsk): Promise<Quote> {
    const policy = this.#init.fees.get(token)
    if (policy === undefined || gas > this.#init.maxGas) throw new TallyError('RELAY_CALL_REFUSED')
    const fee = feeOf(policy, gasAtMost(gas, bytes), await this.#gasPrice())
    const id = this.#quotes.add({ token, gas, bytes, fee }, this.#of.clock.nowMs())
    return { fee, validS: QUOTE_LIFE_S, id }
  }

  /** @throws RELAY_*, BUSY, CHAIN_UNREACHABLE, STORE_* */
  async submit(submission: Submission): Promise<Progress> {
    const rules = await this.#rules()
    const digest = requestId(rules.domain, submission.signed.request)
    const looking = this.#looking.get(digest)
    if (looking !== undefined) return await looking
    const look = this.#look(rules, digest, submission).finally(() => this.#looking.delete(digest))
    this.#looking.set(digest, look)
    return await look
  }

  /** @throws RELAY_UNKNOWN */
  async status(digest: Hash32): Promise<Progress> {
    const record = await requestTable(this.#of.store).get(digest)
    if (record === undefined) throw new TallyError('RELAY_UNKNOWN')
    return this.#progress(record)
  }

  async #rules(): Promise<RelayRules> {
    const { chain } = this.#of
    const { self: relay, ...init } = this.#init
    return { ...init, relay, ledger: chain.ledger, domain: await chain.forwarder.domain(this.#signal) }
  }

  get #signal(): { readonly signal: AbortSignal } {
    return { signal: this.#stop.signal }
  }

  async #look(rules: RelayRules, digest: Hash32, { quote, signed }: Submission): Promise<Progress> {
    const known = await requestTable(this.#of.store).get(digest)
    if (known !== undefined) return this.#progress(known)
    const calls = checkRequest(rules, signed)
    const signer = signed.request.from
    if (this.#open.has(signer)) throw new TallyError('RELAY_SIGNER_BUSY')
    if (this.#stop.signal.aborted || this.#open.size >= MAX_OPEN || this.#trying >= MAX_TRYING) throw new TallyError('BUSY')
    this.#open.set(signer, digest)
    this.#trying++
    try {
      await this.#check(rules, signed, calls, this.#quotes.get(quote, this.#of.clock.nowMs()))
      const record = await this.#take(digest, signed, calls.fee)
      this.#track(this.#handIn(record))
      return this.#progress(record)
    } catch (thrown) {
      this.#open.delete(signer)
      throw thrown
    } finally {
      this.#trying--
    }
  }

  async #check(
    rules: RelayRules,
    signed: SignedForward,
    calls: ReturnType<typeof checkRequest>,
    quoted: ReturnType<Quotes['get']>,
  ): Promise<void> {
    const { chain, store } = this.#of
    const { from } = signed.request
    const [nowS, nonce, gasPriceWei, known] = await Promise.all([
      chain.time(this.#signal),
      chain.forwarder.nonce(from, this.#signal),
      this.#gasPrice(),
      signerTable(store).get(from),
    ])
    const lostGas = this.#lostSince(nowS - HOUR_S)
    checkFacts(rules, signed, calls, { nowS, nonce, gasPriceWei, quoted, signer: known ?? NEW_SIGNER, lostGas })
    const action = await chain.forwarder.execute(signed, this.#signal)
    await chain.transactions.dryRun(action, this.#signal).catch((thrown: unknown) => {
      const { code } = asTallyError(thrown)
      if (code === 'TX_REVERTED') throw new TallyError('RELAY_WOULD_FAIL', { cause: thrown })
      if (code !== 'GAS_LOW') throw thrown
      this.#of.log.warn({ err: code }, 'this relay has too little of the gas coin to hand anything in')
      throw new TallyError('BUSY', { cause: thrown })
    })
  }

  async #take(digest: Hash32, signed: SignedForward, fee: { token: Address; amount: Amount }): Promise<RelayRecord> {
    const { clock, chain, store } = this.#of
    const record: RelayRecord = {
      digest, at: clock.nowS(), since: chain.status().head ?? 0, token: fee.token, fee: fee.amount, signed,
      end: 'taken', gasUsed: 0n, feeWei: 0n,
    } // biome-ignore format: a record
    await store.commit([requestTable(store).put(digest, record)])
    this.#of.log.info({ request: digest, signer: signed.request.from, fee: fee.amount }, 'a request was taken')
    return record
  }

  #track(work: Promise<void>): void {
    const one = work
      .catch((thrown: unknown) => {
        if (!this.#stop.signal.aborted)
          this.#of.log.warn({ err: asTallyError(thrown).code }, 'a request waits for the next start')
      })
      .finally(() => this.#following.delete(one))
    this.#following.add(one)
  }

  /** One transaction for a request, whatever happens in between: its key is the request. Then waits for its end. */
  async #handIn(record: RelayRecord): Promise<void> {
    const { chain } = this.#of
    const action: LedgerAction = await chain.forwarder.execute(record.signed, this.#signal)
    const job = await chain.transactions.submit(action, { ...this.#signal, key: `relay ${record.digest}` })
    this.#jobs.set(record.digest, job)
    const failed = await chain.transactions.wait(job, this.#signal).then(
      () => false,
      (thrown: unknown) => {
        const { code } = asTallyError(thrown)
        if (code === 'TX_UNKNOWN' || code === 'ABORTED' || this.#stop.signal.aborted) throw thrown
        return true
      },
    )
    const last = chain.transactions.get(job.id) ?? job
    await this.#end(record, last, failed ? await this.#whyFailed(record, last) : 'done')
  }

  /** A request that somebody else handed in has paid us all the same. */
  async #whyFailed({ signed, since }: RelayRecord, job: Job): Promise<RelayEnd> {
    const { from, nonce } = signed.request
    const execution = await this.#of.chain.forwarder.execution(from, nonce, since, this.#signal)
    if (execution?.ok === true && execution.isOf(signed.signature)) return 'done'
    return job.block === undefined ? 'dropped' : 'failed'
  }

  async #end(record: RelayRecord, job: Job, end: RelayEnd): Promise<void> {
    const { store, chain, log } = this.#of
    const { from } = record.signed.request
    const nowS = await chain.time(this.#signal)
    const ended = { ...record, end, at: this.#of.clock.nowS(), gasUsed: job.gasUsed ?? 0n, feeWei: job.feeWei ?? 0n }
    const signer = (await signerTable(store).get(from)) ?? NEW_SIGNER
    // one that was mined after its deadline was ours to be late with
    const isLate = end === 'failed' && nowS > record.signed.request.deadline
    const judged = end === 'dropped' || isLate ? [] : [signerTable(store).put(from, afterEnd(signer, end === 'done', nowS))]
    await store.commit([requestTable(store).put(record.digest, ended), ...judged])
    this.#count(ended)
    this.#open.delete(from)
    this.#jobs.delete(record.digest)
    log.info({ request: record.digest, signer: from, fee: record.fee, hash: job.hash, end }, 'a request is over')
  }

  #count({ end, token, fee, feeWei, gasUsed, at }: RelayRecord): void {
    const totals = this.#totals
    totals.gasWei += feeWei
    if (end === 'done') {
      totals.done++
      totals.fees.set(token, ((totals.fees.get(token) ?? 0n) + fee) as Amount)
    }
    if (end !== 'failed') return
    totals.failed++
    this.#lost.push({ at, gas: gasUsed })
  }

  #lostSince(since: number): bigint {
    this.#lost = this.#lost.filter(({ at }) => at >= since)
    return this.#lost.reduce((sum, { gas }) => sum + gas, 0n)
  }

  async #gasPrice(): Promise<bigint> {
    const nowMs = this.#of.clock.nowMs()
    if (this.#price === undefined || nowMs - this.#price.atMs > PRICE_MS)
      this.#price = { wei: await this.#of.chain.forwarder.gasPrice(this.#signal), atMs: nowMs }
    return this.#price.wei
  }

  #progress({ digest, end }: RelayRecord): Progress {
    const id = this.#jobs.get(digest)?.id
    const job = id === undefined ? undefined : this.#of.chain.transactions.get(id)
    const hash = (job?.hash ?? NO_HASH) as Hash32
    if (end !== 'taken') return { state: end === 'done' ? 'mined' : end, hash }
    return { state: hash === NO_HASH ? 'taken' : 'sent', hash }
  }
}

const nothing = (): void => undefined
