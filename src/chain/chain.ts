import { type Address, type ChannelId, channelId, type Seconds } from '../core/ids.ts'
import type { CallOptions, Chain, ChainNotice, ChainSigner, ChannelView } from '../ports/chain.ts'
import type { Relays } from '../ports/relays.ts'
import type { Store } from '../ports/store.ts'
import { createGateway, type Header } from './gateway.ts'
import { createLedgerReader } from './ledger-reader.ts'
import { unreachable } from './rpc-errors.ts'
import { createTransactions } from './transactions.ts'
import { createWatcher } from './watcher.ts'

export interface ChainInit {
  readonly rpcUrl: string
  readonly chainId: number
  readonly ledger: Address
  /** Blocks on top of a block before its facts count. 0: only for a local chain. */
  readonly confirmations: number
  readonly signer: ChainSigner
  readonly store: Store
  /** Accounts whose channels and balances are followed besides that of the signer. */
  readonly accounts?: readonly Address[]
  /** First block of interest when the store knows none, such as the one that holds the ledger's deployment. */
  readonly startBlock?: number
  /** Pause between two looks at the chain. @default 200 ms without confirmations, else 4_000 ms */
  readonly pollMs?: number
  /** One RPC request. @default 10_000 ms */
  readonly timeoutMs?: number
  /** Most blocks that one query for logs asks for. @default 2_000 */
  readonly maxSpan?: number
  /** A transaction that is not mined after this long gets higher fees. @default 60_000 ms */
  readonly bumpAfterMs?: number
  /** Signed bytes that are not mined after this long are sent again. @default 15_000 ms */
  readonly resendAfterMs?: number
  /** Most that a raised fee may offer for a unit of gas, in wei. @default 1_000 gwei */
  readonly maxFeeWei?: bigint
  readonly onNotice?: ChainNotice
  /** Others who may hand in what this account signs. @default none */
  readonly relays?: Relays
}

/**
 * The chain port over one RPC: reads, follows, sends. Made without a byte on the network, so it may be made while the RPC is down.
 *
 * Throws CONFIG_INVALID when the RPC address is not an http(s) URL.
 */
export function createChain(init: ChainInit): Chain {
  const { confirmations, signer, store } = init
  const pollMs = init.pollMs ?? (confirmations === 0 ? 200 : 4_000)
  const gateway = createGateway(init)
  const reader = createLedgerReader(gateway)
  const common = {
    gateway,
    reader,
    store,
    confirmations,
    pollMs,
    ...(init.onNotice === undefined ? {} : { onNotice: init.onNotice }),
  }
  const transactions = createTransactions({ ...init, ...common, signer })
  const watcher = createWatcher({ ...init, ...common, accounts: [signer.address, ...(init.accounts ?? [])] })
  // Either sees the chain move first: what it saw is news for the other.
  const unfollow = watcher.follow((facts) => {
    if (facts.some((fact) => fact.type === 'head')) transactions.nudge()
  })
  const unobserve = transactions.observe((job) => {
    if (job.state === 'mined' || job.state === 'confirmed') watcher.nudge()
  })

  async function head(options?: CallOptions): Promise<Header> {
    const found = await gateway.header('latest', options)
    if (found === undefined) throw unreachable(gateway.name, new Error('the chain has no blocks'))
    return found
  }

  async function view(id: ChannelId, options?: CallOptions): Promise<ChannelView> {
    const { number } = await head(options)
    const deep = number - confirmations
    const [latest, confirmed] = await Promise.all([
      reader.channel(id, number, options),
      confirmations === 0 || deep < 0 ? undefined : reader.channel(id, deep, options),
    ])
    const counted = confirmations === 0 ? latest : confirmed
    return { id, ...(counted === undefined ? {} : { confirmed: counted }), ...(latest === undefined ? {} : { latest }) }
  }

  return {
    chainId: init.chainId,
    ledger: init.ledger,
    account: signer.address,
    confirmations,
    transactions,
    forwarder: transactions.forwarder,
    async start() {
      await Promise.all([watcher.start(), transactions.start()])
    },
    ready: (options) => gateway.ready(options),
    status: () => watcher.status(),
    async close() {
      unfollow()
      unobserve()
      gateway.close()
      await Promise.all([watcher.close(), transactions.close()])
    },
    channel: (channel, options) => view(typeof channel === 'string' ? channel : channelId(channel), options),
    token: (token, options) => reader.token(token, options),
    walletBalance: (token, account, options) => reader.walletBalance(token, account, 'latest', options),
    ledgerBalance: (token, account, options) => reader.ledgerBalance(token, account, 'latest', options),
    gasBalance: (account, options) => reader.gasBalance(account, options),
    payoutOf: (token, target, options) => reader.payoutOf(token, target, options),
    depositAddress: (account, options) => reader.depositAddress(account, options),
    time: async (options) => (await head(options)).timeS as Seconds,
    follow: (listener) => watcher.follow(listener),
    watch: (channels) => watcher.watch(channels),
  }
}
