import { createHash, randomBytes } from 'node:crypto'
import type { Amount } from '../core/amount.ts'
import { type ErrorCode, type ErrorFields, TallyError } from '../core/errors.ts'
import type { Address, Hash32, Seconds } from '../core/ids.ts'
import type { SignedForward } from '../core/relay/request.ts'
import type { Job, JobState, LedgerAction, RelayWish } from '../ports/chain.ts'
import type { Store } from '../ports/store.ts'
import { type Table, table } from '../ports/table.ts'

/** One signed form of an intent. All attempts of an intent have the same nonce, so at most one of them is ever mined. */
export interface Attempt {
  readonly hash: string
  /** Signed bytes as hex; dropped when the intent is finished. */
  readonly raw?: string
  readonly gasLimit: bigint
  /** Most that a unit of gas may cost, in wei. */
  readonly maxFee: bigint
  /** Absent on a chain without EIP-1559. */
  readonly tip?: bigint
}

export interface Failure {
  readonly code: ErrorCode
  readonly message: string
  readonly hint?: string
  readonly fields?: ErrorFields
}

/** One signed form of an intent for one relay. All of an intent have the same number at the forwarder, so at most one is ever executed. */
export interface RelayRequest {
  /** how the relay is reached */
  readonly peer: string
  readonly account: Address
  readonly token: Address
  readonly fee: Amount
  /** the relay's name of its quote */
  readonly quote: Uint8Array
  readonly digest: Hash32
  readonly signed: SignedForward
}

/** What is known of an intent that goes by relays. */
export interface Relayed {
  readonly wish?: RelayWish
  /** of the account at the forwarder; absent before the first request is signed */
  readonly nonce?: bigint
  /** no block before this one holds its execution */
  readonly since?: number
  readonly requests: readonly RelayRequest[]
  /** the one that was executed */
  readonly done?: Hash32
}

/** An intent as it stands on disk (space `tx`). */
export interface TxRecord {
  readonly id: string
  /** Order of submission in this store. */
  readonly seq: number
  readonly action: LedgerAction
  readonly summary: string
  /** unix seconds; absent in records of earlier versions */
  readonly at?: Seconds
  readonly from: Address
  readonly to: Address
  readonly state: JobState
  /** The intent that must be mined before this one can be signed (an approve). */
  readonly after?: string
  readonly nonce?: number
  readonly attempts: readonly Attempt[]
  /** Every attempt so far was refused because its nonce was used up: none of them can ever be mined. */
  readonly stale?: boolean
  readonly block?: number
  readonly blockHash?: string
  readonly minedHash?: string
  readonly reverted?: boolean
  readonly gasUsed?: bigint
  readonly feeWei?: bigint
  readonly failure?: Failure
  /** what it brings in: no relay gets more for it */
  readonly worth?: Amount
  /** It goes by relays, not by a transaction of this account. */
  readonly relayed?: Relayed
}

/** The id of an intent: the same for the same key, random without one. */
export function intentId(key: string | undefined): string {
  if (key === undefined) return randomBytes(16).toString('hex')
  return createHash('sha256').update('tallystick/tx/').update(key).digest('hex').slice(0, 32)
}

export function isFinished(state: JobState): boolean {
  return state === 'confirmed' || state === 'failed' || state === 'replaced'
}

/** Signed and possibly known to others, but not yet deep enough in the chain. */
export function isInFlight(state: JobState): boolean {
  return state === 'signed' || state === 'sent' || state === 'unknown' || state === 'mined'
}

/** All intents of a store, by id. Their values are JSON: they are few, their shape is wide, and nobody else reads them. */
export function txTable(store: Store): Table<string, TxRecord> {
  return table(store, {
    space: 'tx',
    version: 1,
    key: (id) => Buffer.from(id, 'hex'),
    write: (writer, record) => {
      const text = Buffer.from(JSON.stringify(record, tagged))
      writer.bytes(text, text.length)
    },
    read: (reader) => JSON.parse(Buffer.from(reader.bytes(reader.remaining)).toString('utf8'), untagged) as TxRecord,
  })
}

/** JSON has neither big integers nor bytes; both are written as one-key objects. */
function tagged(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { $int: value.toString() }
  if (value instanceof Uint8Array) return { $hex: Buffer.from(value).toString('hex') }
  // Buffer.toJSON runs before this function is called.
  if (isBufferJson(value)) return { $hex: Buffer.from(value.data).toString('hex') }
  return value
}

function untagged(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('$int' in value && typeof value.$int === 'string') return BigInt(value.$int)
  if ('$hex' in value && typeof value.$hex === 'string') return Uint8Array.from(Buffer.from(value.$hex, 'hex'))
  return value
}

function isBufferJson(value: unknown): value is { type: 'Buffer'; data: number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'Buffer' &&
    'data' in value &&
    Array.isArray(value.data)
  )
}

/** What the rest of the node sees of a record. */
export function jobOf(record: TxRecord): Job {
  const hash = record.minedHash ?? record.attempts.at(-1)?.hash
  const { failure, action, relayed } = record
  const request = relayed?.requests.find(({ digest }) => digest === relayed.done) ?? relayed?.requests.at(-1)
  return {
    id: record.id,
    kind: action.kind,
    summary: record.summary,
    from: record.from,
    to: record.to,
    state: record.state,
    ...(record.at === undefined ? {} : { at: record.at }),
    ...(action.kind === 'withdraw' ? { withdrawn: { token: action.token, amount: action.amount } } : {}),
    ...(hash === undefined ? {} : { hash }),
    ...(record.nonce === undefined ? {} : { nonce: record.nonce }),
    ...(record.block === undefined ? {} : { block: record.block }),
    ...(record.gasUsed === undefined ? {} : { gasUsed: record.gasUsed }),
    ...(record.feeWei === undefined ? {} : { feeWei: record.feeWei }),
    ...(request === undefined ? {} : { relay: { account: request.account, token: request.token, fee: request.fee } }),
    ...(failure === undefined ? {} : { error: failureView(failure) }),
  }
}

function failureView(failure: Failure): NonNullable<Job['error']> {
  const { code, message, hint } = failure
  return hint === undefined ? { code, message } : { code, message, hint }
}

export function failureOf(error: TallyError): Failure {
  const { code, message, hint, fields } = error
  return { code, message, fields, ...(hint === undefined ? {} : { hint }) }
}

export function errorOf(failure: Failure): TallyError {
  const { code, message, hint, fields } = failure
  return new TallyError(code, { message, ...(hint === undefined ? {} : { hint }), ...(fields === undefined ? {} : { fields }) })
}
