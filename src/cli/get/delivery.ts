/** What a purchase is told, what it does with a session, and what came of it. */
import type { Amount } from '../../core/amount.ts'
import type { TallyError } from '../../core/errors.ts'
import type { SessionId } from '../../core/ids.ts'
import type { Price } from '../../core/price.ts'
import type { ReceiptDocument } from '../../core/receipt-document.ts'
import type { PayerSession } from '../../core/session/payer.ts'
import type { Found } from '../../discovery/market.ts'
import type { ReserveOptions } from '../../node/call-options.ts'
import type { TallyNode } from '../../node/node.ts'
import type { NodeSession } from '../../node/node-session.ts'
import type { PayMode } from '../../node/options.ts'

export interface PurchaseInit {
  readonly node: TallyNode
  readonly found: Found
  /** providers of the same, in order: the next one goes on when one fails. @default none */
  readonly others?: readonly Found[]
  /** how many providers may be bought from. @default 1 */
  readonly mostProviders?: number
  /** looks for providers once more, the best first: when one fails there may be some that were not found before. @default nobody is */
  readonly lookAgain?: () => Promise<readonly Found[]>
  readonly inputs: Uint8Array
  /** over all sessions of this run, with all providers */
  readonly budget: Amount
  readonly limitAtRisk: Amount
  readonly maxPrice: Price | undefined
  readonly expectBytes?: bigint
  readonly pay?: PayMode
  /** reservations are made and filled up by the purchase itself. @default never */
  readonly reserve?: ReserveOptions
  /** how long a lost connection is tried again, ms */
  readonly patienceMs: number
  readonly signal: AbortSignal
  readonly tell: (line: string) => void
  /** what a user should know although nothing failed */
  readonly warn: (line: string) => void
  readonly keep: (document: ReceiptDocument) => Promise<string>
}

/** What is to be done with a session: gets what is sold, and knows what it holds of it. */
export interface Delivery {
  /** bytes of this session that are durably kept; undefined = as many as the session counted */
  used(session: PayerSession): Promise<bigint | undefined>
  /** resolves when everything was got; called again on the next session after a break */
  run(session: NodeSession): Promise<void>
  /** the session is over for good */
  over(session: SessionId): Promise<void>
  /** whether a stream that breaks while the session lives may be opened again */
  readonly again: boolean
  /** whether another provider's session goes on where this one broke off. @default false */
  readonly movable?: boolean
  /** true: it may be silent for long, so that patience begins with a break and not with the last byte. @default false */
  readonly idles?: boolean
}

export interface Outcome {
  /** undefined = everything was got */
  readonly failure: TallyError | undefined
  readonly paid: Amount
  /** metered bytes of the sessions of this run */
  readonly bytes: bigint
  readonly ms: bigint
  readonly sessions: readonly SessionId[]
  readonly receipts: readonly string[]
  /** peer ids of the providers, in the order in which they were bought from */
  readonly providers: readonly string[]
  /** true: the session was cut, and the same command goes on with it */
  readonly resumable: boolean
}
