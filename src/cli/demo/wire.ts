/** What the demo's processes tell each other over their IPC pipe. Amounts in base units as decimal texts; pipes carry no bigint. */
export interface Setup {
  readonly home: string
  readonly privateKey: string
  readonly rpcUrl: string
  readonly chainId: number
  readonly ledger: string
  readonly token: string
  readonly bootstrap: string
  readonly listen: string
  readonly folder: string
  readonly file: string
  readonly price: string
  /** bytes per second that the provider delivers, so that one can watch; 0 = as fast as it goes */
  readonly bytesPerSecond: number
  /** provider: send garbage from this byte on; consumer: stop paying at this byte; -1 = honest */
  readonly cheatAt: number
  readonly budget: string
  readonly limitAtRisk: string
  readonly patienceMs: number
  /** who hands in what this process signs: it has no gas; none = its own transactions */
  readonly relays: readonly string[]
  /** the relay: what a coin is worth in tokens; empty = it is none */
  readonly coinPrice: string
}

export type ToParent =
  | { readonly type: 'ready'; readonly address: string; readonly peer: string; readonly addresses: readonly string[] }
  | { readonly type: 'found'; readonly provider: string; readonly price: string }
  | { readonly type: 'opened'; readonly hash: string; readonly amount: string; readonly fee: string }
  | { readonly type: 'session'; readonly id: string; readonly resumedAt: number }
  | {
      readonly type: 'progress'
      readonly delivered: string
      readonly owed: string
      readonly signed: string
      readonly atRisk: string
      readonly payments: number
    }
  /** the provider's own view of the session */
  | { readonly type: 'exposure'; readonly exposure: string; readonly most: string }
  | { readonly type: 'cut'; readonly code: string }
  | {
      readonly type: 'closed'
      readonly code: string | undefined
      readonly delivered: string
      readonly signed: string
      readonly owed: string
      readonly receipt: string | undefined
      readonly sha256: string | undefined
    }
  | {
      readonly type: 'ended'
      readonly code: string | undefined
      readonly paid: string
      readonly due: string
      readonly lost: string
    }
  /** `fee`: what a relay got for it, '0' for a transaction of one's own */
  | { readonly type: 'settled'; readonly hash: string; readonly fee: string }
  | { readonly type: 'released'; readonly hash: string; readonly fee: string }
  | { readonly type: 'withdrawn'; readonly hash: string; readonly amount: string; readonly fee: string }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }

export type ToChild =
  | { readonly type: 'setup'; readonly setup: Setup }
  | { readonly type: 'release'; readonly provider: string }
  /** all that is in the ledger, but the fee */
  | { readonly type: 'withdraw' }
  | { readonly type: 'stop' }

/** Sends to the parent; a parent that is gone is no reason to fail. */
export function tell(message: ToParent): void {
  process.send?.(message, undefined, undefined, () => undefined)
}
