import { TallyError } from '../core/errors.ts'
import type { Address, Seconds } from '../core/ids.ts'
import type { ChainNotice, ChainSigner, LedgerAction } from '../ports/chain.ts'
import { asUnreachable, type Gateway, quantity } from './gateway.ts'
import { encodeAction, needOf, summaryOf } from './ledger-calls.ts'
import type { RelayCarrier } from './relay-carrier.ts'
import type { TxBook } from './tx-book.ts'
import type { TxPlanner } from './tx-planner.ts'
import { failureOf, intentId, isFinished, type TxRecord } from './tx-record.ts'
import { signTransaction } from './tx-sender.ts'
import type { Tracker } from './tx-tracker.ts'

/** Nodes keep few transactions of one account (geth 16 for sure), so no more are out at once. */
const MAX_IN_FLIGHT = 16

export interface LauncherInit {
  readonly gateway: Gateway
  readonly planner: TxPlanner
  readonly signer: ChainSigner
  readonly book: TxBook
  readonly tracker: Tracker
  /** the way of an account without gas */
  readonly carrier: RelayCarrier | undefined
  readonly signal: AbortSignal
  readonly onNotice: ChainNotice
}

/** Takes written intents to their first broadcast, one after the other, so that their nonces are in a row. */
export interface Launcher {
  /** Launches what can be launched now. Resolves true when something changed. */
  launchAll(): Promise<boolean>
}

export function createLauncher(init: LauncherInit): Launcher {
  const { gateway, planner, signer, book, tracker, signal } = init

  async function launch(record: TxRecord): Promise<boolean> {
    const parent = record.after === undefined ? undefined : book.get(record.after)
    if (parent?.state === 'failed' || parent?.state === 'replaced') {
      await book.put({ ...record, state: 'failed', ...(parent.failure === undefined ? {} : { failure: parent.failure }) })
      return true
    }
    const others = book.inFlight().some(({ state }) => state !== 'mined')
    const ready = await prepare(record, others).catch((error: unknown) => {
      if (isDefinite(error)) return error
      throw error
    })
    if (ready instanceof TallyError) {
      // Something of ours is still on its way and may change the answer (a deposit that pays for this).
      if (others) return false
      if (ready.code === 'GAS_LOW' && init.carrier?.mayCarry(record.action) === true) {
        init.onNotice(`to ${record.summary} takes a relay: there is no gas for it`)
        await book.put({ ...record, relayed: { requests: [] } })
        return true
      }
      await book.put({ ...record, state: 'failed', failure: failureOf(ready) })
      return true
    }
    if (ready.type === 'first') {
      init.onNotice(`to ${record.summary} takes an approve first: ${ready.reason}`)
      const child = newRecord(book, ready.action, intentId(undefined), signer.address, gateway.ledger)
      await book.put(child, { ...record, after: child.id })
      return true
    }
    const nonce = await nextNonce()
    const attempt = await signTransaction(gateway.chainId, signer, { ...ready, nonce })
    const signed: TxRecord = { ...record, state: 'signed', nonce, attempts: [attempt] }
    await book.put(signed)
    await tracker.sendFirst(signed)
    return true
  }

  async function prepare(record: TxRecord, others: boolean) {
    const plan = await planner.plan(record.action, others ? 'pending' : 'latest', { signal })
    if (plan.type === 'first') {
      if (record.after === undefined) return plan
      const message = `cannot ${record.summary}: the token does not let the ledger take it even after an approve`
      throw new TallyError('TX_REVERTED', { message, hint: 'this token cannot be used with the ledger' })
    }
    const fees = await planner.fees({ signal })
    await planner.checkGas(record.summary, plan.gasLimit * fees.maxFee + plan.call.wei, { signal })
    return { ...plan, fees }
  }

  async function nextNonce(): Promise<number> {
    const pending = await gateway
      .request('eth_getTransactionCount', [signer.address, 'pending'], { signal })
      .catch((error: unknown) => {
        throw asUnreachable(gateway.name, error)
      })
    const own = book.inFlight().map(({ nonce }) => (nonce ?? -1) + 1)
    return Math.max(Number(quantity(pending, gateway.name)), ...own)
  }

  return {
    async launchAll() {
      let progress = false
      for (const { id } of book.unfinished()) {
        const record = book.get(id)
        if (signal.aborted) return false
        if (record?.state !== 'written' || record.relayed !== undefined || isHeld(book, record)) continue
        if (book.inFlight().filter(({ state }) => state !== 'mined').length >= MAX_IN_FLIGHT) break
        progress = (await launch(record)) || progress
      }
      return progress
    },
  }
}

/** A new intent. Throws what the encoding throws for values that no transaction can hold. */
export function newRecord(book: TxBook, action: LedgerAction, id: string, from: Address, ledger: Address): TxRecord {
  const { to } = encodeAction(action, ledger)
  const at = Math.floor(Date.now() / 1000) as Seconds
  return { id, seq: book.nextSeq(), action, summary: summaryOf(action), at, from, to, state: 'written', attempts: [] }
}

/** Not yet: its approve is not mined, or an earlier one pulls the same token out of the wallet (permits have nonces of their own). */
function isHeld(book: TxBook, record: TxRecord): boolean {
  const parent = record.after === undefined ? undefined : book.get(record.after)
  if (parent !== undefined && !isFinished(parent.state) && !(parent.state === 'mined' && parent.reverted !== true)) return true
  const token = pulledToken(record)
  if (token === undefined) return false
  return book.unfinished().some((other) => other.seq < record.seq && other.state !== 'mined' && pulledToken(other) === token)
}

function pulledToken(record: TxRecord): Address | undefined {
  const need = needOf(record.action)
  return need?.from === 'wallet' ? need.token : undefined
}

/** Whether trying the same again cannot help: the chain answered, and the answer is no. */
function isDefinite(error: unknown): error is TallyError {
  if (!(error instanceof TallyError)) return false
  return (
    error.code === 'TX_REVERTED' || error.code === 'FUNDS_LOW' || error.code === 'GAS_LOW' || error.code === 'CONTRACT_MISSING'
  )
}
