import type { Amount } from '../core/amount.ts'
import type { ChannelFacts as ChannelSlot } from '../core/channel.ts'
import type { Address, ChannelId, ChannelParties, Seconds } from '../core/ids.ts'
import type { SettleRow } from '../core/promise.ts'
import type { ForwarderDomain, SignedForward } from '../core/relay/request.ts'
import type { TokenInfo } from '../core/token.ts'

/**
 * What the rest of a node sees of a chain. Plain values only: no type of a chain library crosses this line.
 *
 * Errors of every call: CHAIN_UNREACHABLE (the RPC is silent, slow or talks nonsense), CHAIN_WRONG (another chain id),
 * CONTRACT_MISSING (no ledger at the configured address), ABORTED (the caller's signal). No call waits for ever.
 */
export interface Chain {
  readonly chainId: number
  readonly ledger: Address
  /** The account that signs and pays for the transactions of this node. */
  readonly account: Address
  /** Blocks on top of a block before its facts count; 0 only on a chain that cannot reorganise by surprise. */
  readonly confirmations: number
  readonly transactions: Transactions
  /** How signed calls of others come to the ledger. */
  readonly forwarder: Forwarder

  /**
   * Begins to follow the ledger and resumes the unfinished transactions. Never throws because the RPC is down: it goes on trying,
   * and `status()` says how it goes.
   */
  start(): Promise<void>
  /** Resolves when the RPC answers, is of the right chain and knows the ledger; else throws the error that says why. */
  ready(options?: CallOptions): Promise<void>
  /** What is known without asking: the last head that was seen and the last failure. */
  status(): ChainStatus
  /** Frees timers, sockets and waiting callers (they get ABORTED). Idempotent. */
  close(): Promise<void>

  /** The channel as the ledger has it, at the newest block and at the newest confirmed block. */
  channel(channel: ChannelId | ChannelParties, options?: CallOptions): Promise<ChannelView>
  /** Symbol, name and decimals of a token; text from the contract is bounded and free of control characters. */
  token(token: Address, options?: CallOptions): Promise<TokenInfo>
  /** Tokens in the account's own wallet, newest block. */
  walletBalance(token: Address, account: Address, options?: CallOptions): Promise<Amount>
  /** Tokens of the account inside the ledger that no channel holds, newest block. */
  ledgerBalance(token: Address, account: Address, options?: CallOptions): Promise<Amount>
  /** The gas coin of the account in wei, newest block. */
  gasBalance(account: Address, options?: CallOptions): Promise<bigint>
  /** The account that is credited when promises to this target, in this token, are settled. */
  payoutOf(token: Address, target: Address, options?: CallOptions): Promise<Address>
  /** Where plain transfers for the account may be sent, before it has ever done anything; `sweep` takes them into its balance. */
  depositAddress(account: Address, options?: CallOptions): Promise<Address>
  /** Timestamp of the newest block. */
  time(options?: CallOptions): Promise<Seconds>

  /**
   * Tells the listener what changed on the ledger, in order, once it is confirmed. The listener is awaited before the cursor moves
   * on, so a fact may come twice (after a crash) but is never skipped. A listener that throws gets the same facts again.
   */
  follow(listener: ChainListener): Unfollow
  /**
   * Adds channels to those whose changes are told; the present facts of one that is added after `start()` are told in the next round. Channels
   * that are on record in the node's store need not be added, and those that this node is owner, signer or target of are added by themselves
   * when they open.
   */
  watch(channels: readonly ChannelId[]): void
}

export interface CallOptions {
  readonly signal?: AbortSignal
}

/** The ledger's ERC-2771 forwarder: it vouches for who has signed a call. Which one it is, the ledger says. */
export interface Forwarder {
  domain(options?: CallOptions): Promise<ForwarderDomain>
  /** The number that the next request of the account must have, at the newest block. */
  nonce(account: Address, options?: CallOptions): Promise<bigint>
  /** The transaction that hands a signed request in. */
  execute(signed: SignedForward, options?: CallOptions): Promise<LedgerAction>
  /** The transaction that executed the account's request of that number, from that block on; undefined when the RPC shows none. */
  execution(account: Address, nonce: bigint, since: number, options?: CallOptions): Promise<Execution | undefined>
  /** What a transaction would pay for a unit of gas now, in wei. */
  gasPrice(options?: CallOptions): Promise<bigint>
}

/** How a request was executed, by whomever. */
export interface Execution {
  readonly hash: string
  readonly block: number
  readonly blockHash: string
  /** false: the number is used, and the call was taken back */
  readonly ok: boolean
  /** Whether it was the request with this signature, and no other of the same number. */
  isOf(signature: Uint8Array): boolean
}

/** One channel slot of the ledger, as it was at `block`. Amounts are cumulative over the life of the channel, in base units. */
export interface ChannelFacts extends ChannelSlot {
  readonly block: number
}

/** Absent: the ledger knows no such channel at that block. */
export interface ChannelView {
  readonly id: ChannelId
  readonly confirmed?: ChannelFacts
  readonly latest?: ChannelFacts
}

export interface ChainStatus {
  readonly reachable: boolean
  /** Newest block seen; absent before the first answer. */
  readonly head?: number
  /** Block up to which facts have been told. */
  readonly confirmed?: number
  /** Timestamp of the newest block seen. */
  readonly time?: Seconds
  /** Why the last attempt failed; absent while reachable. */
  readonly error?: { readonly code: string; readonly message: string; readonly hint?: string }
}

export type ChannelCause = 'opened' | 'topped-up' | 'closed' | 'reclaimed' | 'settled' | 'reorganised' | 'watched'

/**
 * A change of the ledger, confirmed. A log only says WHICH slot to read: `facts` and `amount` are what the ledger holds now, at the
 * newest confirmed block, so they are right also after a reorganisation took an event back.
 */
export type ChainFact =
  | {
      readonly type: 'channel'
      readonly id: ChannelId
      /** Absent: the channel does not exist (its opening was taken back). */
      readonly facts?: ChannelFacts
      readonly causes: readonly ChannelCause[]
      /** Present when an opening was seen. */
      readonly parties?: ChannelParties
    }
  | {
      readonly type: 'balance'
      readonly account: Address
      readonly token: Address
      readonly amount: Amount
      readonly block: number
    }
  | { readonly type: 'head'; readonly head: number; readonly confirmed: number; readonly time: Seconds }

export type ChainListener = (facts: readonly ChainFact[]) => void | Promise<void>
export type Unfollow = () => void

/** For the log of the node: what was decided or tried again, and why. */
export type ChainNotice = (message: string, error?: unknown) => void

/** Who signs: a 32-byte digest in, 65 bytes r | s | v (27 or 28) out. The key never enters the chain layer. */
export interface ChainSigner {
  readonly address: Address
  sign(digest: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/**
 * What a node can ask the ledger to do, as data. `from: 'wallet'` pulls the tokens out of the wallet in the same transaction (by
 * permit where the token has one, else after an approve); `from: 'balance'` takes them from the account's balance in the ledger.
 */
export type LedgerAction =
  | { readonly kind: 'deposit'; readonly token: Address; readonly account: Address; readonly amount: Amount }
  | { readonly kind: 'withdraw'; readonly token: Address; readonly to: Address; readonly amount: Amount }
  | { readonly kind: 'transfer'; readonly token: Address; readonly to: Address; readonly amount: Amount }
  | {
      readonly kind: 'open'
      readonly signer: Address
      readonly target: Address
      readonly token: Address
      readonly amount: Amount
      readonly expiry: Seconds
      readonly from: 'wallet' | 'balance'
      /** with `from: 'balance'`: so much is first pulled out of the wallet into the balance of the sender, `account`, in the same transaction */
      readonly deposit?: { readonly account: Address; readonly amount: Amount }
      /** with `from: 'balance'`: what lies at the deposit address of this account, the sender's, is taken into its balance before all else */
      readonly sweep?: Address
    }
  | { readonly kind: 'sweep'; readonly token: Address; readonly account: Address }
  | ({ readonly kind: 'top-up'; readonly amount: Amount } & ChannelParties)
  | { readonly kind: 'reclaim'; readonly signer: Address; readonly target: Address; readonly token: Address }
  | {
      readonly kind: 'close'
      readonly signer: Address
      readonly target: Address
      readonly token: Address
      readonly amount: Amount
      readonly deadline: Seconds
      readonly signature: Uint8Array
    }
  | ({ readonly kind: 'settle'; readonly target: Address; readonly token: Address } & SettleRow)
  | { readonly kind: 'settle-batch'; readonly target: Address; readonly token: Address; readonly rows: readonly SettleRow[] }
  | { readonly kind: 'send'; readonly to: Address; readonly wei: bigint }
  | { readonly kind: 'call'; readonly to: Address; readonly data: Uint8Array; readonly wei: bigint; readonly summary: string }

/**
 * written: the intent is on disk, nothing was sent. signed: the bytes are on disk, sending begins. sent: the RPC took it.
 * unknown: it was given to the RPC and no answer came, so it may or may not go through (never to be shown as failed).
 * mined: in a block, waiting for confirmations. confirmed: done. replaced: another transaction of the account took its nonce.
 * failed: it certainly has no effect on the ledger (refused by the dry run, never accepted, or reverted in its block).
 */
export type JobState = 'written' | 'signed' | 'sent' | 'unknown' | 'mined' | 'confirmed' | 'replaced' | 'failed'

/** One transaction on its way. A snapshot: ask again for news. */
export interface Job {
  /** 16 bytes as hex: derived from the idempotency key, or random without one. */
  readonly id: string
  readonly kind: LedgerAction['kind']
  /** One line for a person. */
  readonly summary: string
  readonly from: Address
  readonly to: Address
  readonly state: JobState
  /** When it was asked for; absent in records of earlier versions. */
  readonly at?: Seconds
  /** What a withdrawal takes out of the ledger, in base units. */
  readonly withdrawn?: { readonly token: Address; readonly amount: Amount }
  /** The hash that was mined, else the one that was sent last. */
  readonly hash?: string
  readonly nonce?: number
  /** Block that holds it. */
  readonly block?: number
  readonly gasUsed?: bigint
  /** Gas coin paid, in wei. */
  readonly feeWei?: bigint
  /** It goes by a relay: which one has it, or handed it in, and what that gets for it, in base units. */
  readonly relay?: { readonly account: Address; readonly token: Address; readonly fee: Amount }
  /** Why it failed, or what holds it up. */
  readonly error?: { readonly code: string; readonly message: string; readonly hint?: string }
}

export interface SubmitOptions extends CallOptions {
  /**
   * The same key twice is one transaction: the second call returns the first job. A job that failed or was replaced may be started
   * again under its key. Without a key every call is a new transaction.
   */
  readonly key?: string
  /** By a relay, although there may be gas. Without it a relay is asked where the account has no gas and relays are known. */
  readonly relay?: RelayWish
  /** What it brings in, base units of its token: no relay gets more than that for it. @default whatever is allowed */
  readonly worth?: Amount
}

/** Which relays may be asked, and for how much at most. */
export interface RelayWish {
  /** peer ids, multiaddrs, or `auto` for those that the network knows. @default those of the node's settings */
  readonly peers?: readonly string[]
  /** base units. @default that of the node's settings */
  readonly maxFee?: Amount
}

export interface WaitOptions extends CallOptions {
  /** Blocks on top of the one that holds it. @default the confirmations of the chain */
  readonly confirmations?: number
}

/** What an action would cost and whether the ledger would accept it now; nothing is written or sent. */
export interface DryRun {
  readonly summary: string
  readonly gas: bigint
  /** Most that the gas may cost at today's fees, in wei. */
  readonly feeWei: bigint
  /** Transactions that it takes: 2 when an approve must come first. */
  readonly transactions: number
  /** by a relay, for this fee; then it costs no wei */
  readonly relay?: { readonly account: Address; readonly token: Address; readonly fee: Amount }
}

/**
 * The queue of this node's own transactions. Every intent is durable before anything is sent, and the signed bytes are durable
 * before they are broadcast: a restart sends the same bytes again, so nothing is paid twice.
 */
export interface Transactions {
  /**
   * Writes the intent and returns; the queue does the rest. What waits in the wallet is asked about first, so for those actions
   * CHAIN_UNREACHABLE may be thrown, and then nothing was written.
   */
  submit(action: LedgerAction, options?: SubmitOptions): Promise<Job>
  /**
   * Resolves with the mined job. Throws TX_REVERTED (`fields.reason` is the ledger's own error name), FUNDS_LOW, GAS_LOW,
   * TX_REPLACED when it has certainly failed; TX_UNKNOWN or ABORTED when the wait ended and the transaction may still go through.
   */
  wait(job: string | Job, options?: WaitOptions): Promise<Job>
  /** Asks the chain what the action would do, without doing it. Throws what `wait` would throw. */
  dryRun(action: LedgerAction, options?: CallOptions & Pick<SubmitOptions, 'relay'>): Promise<DryRun>
  get(id: string): Job | undefined
  /** Unfinished jobs first, then the finished ones this process knows of, newest first. */
  list(): readonly Job[]
  /** Called on each change of a job; for observers. */
  observe(listener: (job: Job) => void): Unfollow
}
