/**
 * The words that two ends of a control stream exchange, as plain data. The bytes are in protocols/session; the rules about who may
 * say what and when are the two state machines beside this file.
 *
 * P = sent by the payer (consumer), Y = sent by the payee (provider).
 * @see protocols/session/SPEC.md
 */
import type { Amount } from '../amount.ts'
import type { Head } from '../head.ts'
import type { Address, ChannelId, Seconds, SessionId } from '../ids.ts'
import type { Meter } from '../meter.ts'
import type { SignedPromise } from '../promise.ts'
import type { SignedReceipt } from '../receipt.ts'
import type { Terms } from '../terms.ts'

/** P: asks for a session of a service; with `resume`, for the one that was cut. */
export interface Hello {
  readonly type: 'hello'
  readonly session: SessionId
  readonly resume: boolean
  readonly owner: Address
  readonly token: Address
  readonly service: string
  /** what is wanted of the service; the service's own words, at most 1,024 bytes */
  readonly inputs: Uint8Array
  /** the payer's own record of the highest promise it signed on this channel */
  readonly signed: Amount
  /** on resume: what the payer acknowledges to have received in this session */
  readonly acked: Meter
}

/** Y: the price, pinned and signed; the best promise held for the channel; where the session stands. */
export interface TermsOffered {
  readonly type: 'terms'
  readonly terms: Terms
  readonly signature: Uint8Array
  /** the best promise that the payee holds for this channel, with the payer's own signature on it */
  readonly head: Head | undefined
  /** this session's payments so far; above zero only on resume */
  readonly total: Amount
  readonly acked: Meter
  /** how much the payer may owe right now */
  readonly credit: Amount
}

/** P: the payer's own last promise, because the payee's head is below it. Pays for nothing new. */
export interface Restate {
  readonly type: 'restate'
  readonly session: SessionId
  readonly promise: SignedPromise
}

/** P: agrees to the terms, over the same digest that the payee signed. */
export interface Accept {
  readonly type: 'accept'
  readonly session: SessionId
  readonly signature: Uint8Array
}

/** Y: the session is stored; data streams may be opened. */
export interface Ready {
  readonly type: 'ready'
  readonly session: SessionId
  readonly credit: Amount
}

/** P: a payment. The rise of the channel's worth must equal the rise of `total` in the session. */
export interface Pay {
  readonly type: 'promise'
  readonly session: SessionId
  readonly total: Amount
  readonly promise: SignedPromise
  /** there exactly when the promise has a lock */
  readonly salt?: Uint8Array | undefined
}

/** P: a payment by the chain of the channel's promise: the session's total rises by a unit for each step since the word before. */
export interface Tick {
  readonly type: 'tick'
  readonly session: SessionId
  /** 1 to 1,024 */
  readonly k: number
  /** 32 bytes that hash k times to the anchor */
  readonly word: Uint8Array
}

/** P: what the payer has received: cumulative bytes of one data stream, and its own clock for the session. */
export interface Ack {
  readonly type: 'ack'
  readonly session: SessionId
  readonly stream: number
  readonly bytes: bigint
  readonly ms: bigint
  /** nothing more of this stream will be acknowledged */
  readonly final: boolean
}

/** Y: what the service has charged on one data stream so far, cumulative. */
export interface Charge {
  readonly type: 'charge'
  readonly session: SessionId
  readonly stream: number
  /** bytes of the payer that the service has taken */
  readonly up: bigint
  readonly calls: bigint
  readonly units: bigint
  /** nothing more will be charged on this stream */
  readonly final: boolean
}

/** P: what of that the payer takes for right, cumulative. */
export interface Agree {
  readonly type: 'agree'
  readonly session: SessionId
  readonly stream: number
  readonly up: bigint
  readonly calls: bigint
  readonly units: bigint
}

/** Y: the payee's meter, what it holds durably, and whether it waits for money. */
export interface MeterReport {
  readonly type: 'meter'
  readonly session: SessionId
  readonly written: Meter
  /** this session's payments that are verified, covered and durable */
  readonly paid: Amount
  readonly credit: Amount
  readonly paused: boolean
}

/** P: ends the session; everything received is acknowledged and paid. `reason` 0 = completed, else a registered error number. */
export interface Close {
  readonly type: 'close'
  readonly session: SessionId
  readonly total: Amount
  readonly acked: Meter
  readonly reason: number
}

/** Y: asks the payer to end the session (shutting down, patience over, margin reached, ...). */
export interface Closing {
  readonly type: 'closing'
  readonly session: SessionId
  readonly reason: number
}

/** Y: what was delivered and paid, signed by the payee. */
export interface ReceiptSigned {
  readonly type: 'receipt'
  readonly session: SessionId
  readonly receipt: SignedReceipt
}

/** P: the payer's signature over the same receipt. */
export interface Countersign {
  readonly type: 'countersign'
  readonly session: SessionId
  readonly signature: Uint8Array
}

/** Both: a refusal. After a fatal one the session is over, and nothing but the receipt may follow. */
export interface Fault {
  readonly type: 'fault'
  /** undefined when the fault is of the whole stream */
  readonly session: SessionId | undefined
  /** a registered number of src/core/errors.ts; never a text */
  readonly code: number
}

/** P: asks the target to sign the end of the channel on the ledger at this final amount. */
export interface Release {
  readonly type: 'release'
  readonly owner: Address
  readonly token: Address
  readonly amount: Amount
  readonly epoch: number
}

/** Y: the target's signature for TallyLedger.close; until `deadline` it accepts no promise on this channel. */
export interface Released {
  readonly type: 'released'
  readonly channel: ChannelId
  readonly amount: Amount
  readonly deadline: Seconds
  readonly epoch: number
  readonly signature: Uint8Array
}

export type FromPayer = Hello | Restate | Accept | Pay | Tick | Ack | Agree | Close | Countersign | Release | Fault
export type FromPayee = TermsOffered | Ready | Charge | MeterReport | Closing | ReceiptSigned | Released | Fault
export type Message = FromPayer | FromPayee
