/** What a node does with money on the ledger, and the one view of it to which every screen sums. */
import type { Amount } from '../core/amount.ts'
import { type ChannelBooks, channelBooks } from '../core/books.ts'
import { fromHex } from '../core/bytes.ts'
import { bestAmount, type ChannelIn, type ChannelOut, signedOf } from '../core/channel.ts'
import { TallyError } from '../core/errors.ts'
import { type Address, type ChannelId, type ChannelParties, channelId, type Seconds } from '../core/ids.ts'
import { formatAmount, type TokenInfo } from '../core/token.ts'
import type { Chain, DryRun, Job, LedgerAction, RelayWish } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'
import type { PayeeDesk } from '../session/payee-desk.ts'
import type { PayerDesk, ProviderLine } from '../session/payer-desk.ts'
import type { Settler } from '../settlement/settler.ts'
import { type AmountLike, toAmount } from './options.ts'

interface Options {
  readonly signal?: AbortSignal
}

/** How a transaction is made: with gas of one's own, or by a relay. */
interface SendOptions extends Options {
  readonly relay?: RelayWish
}

/** One channel as it is shown: what the ledger says and what was promised. Amounts in base units. */
export interface ChannelEntry extends ChannelBooks {
  readonly id: ChannelId
  readonly role: 'payer' | 'payee'
  readonly parties: ChannelParties
  readonly expiry: Seconds
  readonly epoch: number
  /** the payer's durable mark: nothing above it was ever signed; the payee's best promise otherwise */
  readonly reserved: Amount
}

export interface Balances {
  readonly token: TokenInfo
  /** in the wallet of the node's account */
  readonly wallet: Amount
  /** in the ledger, not in any channel; withdrawable at any time */
  readonly ledger: Amount
  /** at the deposit address: not in the ledger yet */
  readonly waiting: Amount
  /** deposits of channels that nothing promised uses */
  readonly reserved: Amount
  /** promised to this node and not yet settled */
  readonly unsettled: Amount
  /** gas coin, wei */
  readonly gasWei: bigint
}

export interface MoneyComponents {
  readonly chain: Chain
  readonly clock: Clock
  readonly payer: PayerDesk
  readonly payee: PayeeDesk
  readonly settler: Settler
  readonly self: Address
  readonly token: TokenInfo
}

/** nobody picks one out of more channels than this */
const MAX_FITTING = 10
/** how long money is reserved for a provider, s, unless the caller says otherwise */
export const RESERVED_S = 30 * 24 * 3600

export class Money {
  readonly #of: MoneyComponents

  constructor(components: MoneyComponents) {
    this.#of = components
  }

  get token(): TokenInfo {
    return this.#of.token
  }

  /** All channels, those in which this node pays first; read as they are asked for, there may be very many. @throws STORE_* */
  async *channels(): AsyncGenerator<ChannelEntry> {
    yield* this.paying()
    yield* this.earning()
  }

  /** The channels in which this node pays, in the order of their ids, from the first bytes of an id on. @throws STORE_* */
  async *paying(from?: Uint8Array): AsyncGenerator<ChannelEntry> {
    for await (const channel of this.#of.payer.book.shelf.channels(from)) yield payerEntry(channel)
  }

  /** The channel in which this node pays that provider, if there is one. @throws STORE_* */
  async payingTo(provider: Address): Promise<ChannelEntry | undefined> {
    return await this.#payingIn(this.idOf(provider))
  }

  async #payingIn(id: ChannelId): Promise<ChannelEntry | undefined> {
    const { channel } = await this.#of.payer.book.shelf.file(id)
    return channel === undefined ? undefined : payerEntry(channel)
  }

  /** The channels in which this node is paid, in the order of their ids, from the first bytes of an id on. @throws STORE_* */
  async *earning(from?: Uint8Array): AsyncGenerator<ChannelEntry> {
    for await (const channel of this.#of.payee.shelf.channels(from)) yield payeeEntry(channel)
  }

  /** Of the channels in which this node is paid, those for which a settlement would pay something, soonest expiry first. @throws STORE_* */
  async *due(): AsyncGenerator<ChannelEntry> {
    const { shelf } = this.#of.payee
    for await (const { id } of shelf.due()) {
      const { channel } = await shelf.channel(id)
      if (channel !== undefined) yield payeeEntry(channel)
    }
  }

  /** The channels in which this node pays of which something was not used, soonest expiry first. @throws STORE_* */
  async *unused(): AsyncGenerator<ChannelEntry> {
    const { shelf } = this.#of.payer.book
    for await (const { id } of shelf.free()) {
      const { channel } = await shelf.file(id)
      if (channel !== undefined) yield payerEntry(channel)
    }
  }

  /** The channel with that id, in which this node pays or is paid. @throws CHANNEL_UNKNOWN, STORE_* */
  async channel(id: ChannelId): Promise<ChannelEntry> {
    const { channel } = await this.#of.payee.shelf.channel(id)
    const found = channel === undefined ? await this.#payingIn(id) : payeeEntry(channel)
    if (found !== undefined) return found
    throw new TallyError('CHANNEL_UNKNOWN', {
      message: `this node has no channel ${id}`,
      hint: '`tallystick channel list` shows them',
    })
  }

  /** The channels whose id begins with that text of hex digits, not more than a few. @throws STORE_* */
  async fitting(text: string): Promise<ChannelEntry[]> {
    const from = fromHex(text.padEnd(2 + 64, '0'))
    const found = []
    for (const list of [this.paying(from), this.earning(from)])
      for await (const one of list) {
        if (!one.id.startsWith(text) || found.length >= MAX_FITTING) break
        found.push(one)
      }
    return found
  }

  /** The sums over all channels of this node's token: in which it is paid, and in which it pays. */
  get sums(): { readonly earned: ChannelBooks; readonly spent: ChannelBooks } {
    const { payer, payee } = this.#of
    const { address } = this.token
    return { earned: payee.shelf.books(address), spent: payer.book.shelf.books(address) }
  }

  /** @throws CHAIN_UNREACHABLE */
  async balances(options: Options = {}): Promise<Balances> {
    const { chain, self, token } = this.#of
    const [wallet, ledger, waiting, gasWei] = await Promise.all([
      chain.walletBalance(token.address, self, options),
      chain.ledgerBalance(token.address, self, options),
      this.waiting(options),
      chain.gasBalance(self, options),
    ])
    const { earned, spent } = this.sums
    return { token, wallet, ledger, waiting, reserved: spent.free, unsettled: earned.unsettled, gasWei }
  }

  /** Where the token may be sent from anywhere, such as an exchange, for this node; a sweep, or the next reservation, takes it in. */
  async depositAddress(options: Options = {}): Promise<Address> {
    return await this.#of.chain.depositAddress(this.#of.self, options)
  }

  /** What lies at the deposit address, base units. */
  async waiting(options: Options = {}): Promise<Amount> {
    return await this.#of.chain.walletBalance(this.#of.token.address, await this.depositAddress(options), options)
  }

  sweepAction(): LedgerAction {
    return { kind: 'sweep', token: this.#of.token.address, account: this.#of.self }
  }

  depositAction(amount: Amount): LedgerAction {
    return { kind: 'deposit', token: this.#of.token.address, account: this.#of.self, amount }
  }

  withdrawAction(to: Address, amount: Amount): LedgerAction {
    return { kind: 'withdraw', token: this.#of.token.address, to, amount }
  }

  /** Reserves for one provider: out of the ledger balance; what that lacks comes from the deposit address and the wallet, in the same transaction. */
  async openAction(provider: Address, amount: Amount, expiry: Seconds, options: Options = {}): Promise<LedgerAction> {
    const { chain, self, token } = this.#of
    const open = { kind: 'open', signer: self, target: provider, token: token.address, amount, expiry } as const
    const balance = await chain.ledgerBalance(token.address, self, options)
    if (balance >= amount) return { ...open, from: 'balance' }
    const wallet = await chain.walletBalance(token.address, self, options)
    if (wallet >= amount) return { ...open, from: 'wallet' }
    const lack = (amount - balance) as Amount
    const waiting = await this.waiting(options)
    if (waiting >= lack) return { ...open, from: 'balance', sweep: self }
    if (waiting > 0n && waiting + wallet >= lack)
      return { ...open, from: 'balance', sweep: self, deposit: { account: self, amount: (lack - waiting) as Amount } }
    if (wallet >= lack) return { ...open, from: 'balance', deposit: { account: self, amount: lack } }
    throw new TallyError('FUNDS_LOW', {
      message: `${formatAmount(amount, token)} are wanted; the ledger balance is ${formatAmount(balance, token)} the wallet has ${formatAmount(wallet, token)}`,
      hint: `send ${token.symbol} to ${self}, or to its deposit address (tallystick wallet deposit-address), or reserve less`,
      fields: { wanted: amount, balance, wallet, account: self },
    })
  }

  /**
   * Reserves for one provider, who alone can be paid from it, and waits until it is mined. A reservation that is there already becomes larger
   * and is prolonged. What is not used comes back after its end, or at once when the provider agrees.
   *
   * @throws AMOUNT_INVALID, CONFIG_INVALID, FUNDS_LOW, GAS_LOW, TX_REVERTED, TX_UNKNOWN, CHAIN_UNREACHABLE, ABORTED
   */
  async reserve(provider: Address, amount: AmountLike, options: SendOptions & { forS?: number } = {}): Promise<Job> {
    const { clock, token } = this.#of
    const expiry = (clock.nowS() + Math.round(options.forS ?? RESERVED_S)) as Seconds
    const action = await this.openAction(provider, toAmount('amount', amount, '', token), expiry, options)
    return await this.send(action, { ...options, provider })
  }

  /** Sends an action and waits until it is mined; the records of `touched` are read again. @throws TX_REVERTED, TX_UNKNOWN, FUNDS_LOW, GAS_LOW, CHAIN_UNREACHABLE */
  async send(
    action: LedgerAction,
    options: SendOptions & { key?: string; provider?: Address; confirmations?: number } = {},
  ): Promise<Job> {
    const { chain, payer } = this.#of
    const job = await chain.transactions.submit(action, options)
    const mined = await chain.transactions.wait(job, options)
    if (options.provider !== undefined) await payer.channel(this.parties(options.provider), { ...options, fresh: true })
    return mined
  }

  async dryRun(action: LedgerAction, options: SendOptions = {}): Promise<DryRun> {
    return await this.#of.chain.transactions.dryRun(action, options)
  }

  /** The channel in which this node pays that provider. */
  parties(provider: Address): ChannelParties {
    const { self, token } = this.#of
    return { owner: self, signer: self, target: provider, token: token.address }
  }

  /** The record of that channel with fresh facts. @throws CHANNEL_UNKNOWN, CHAIN_UNREACHABLE */
  async channelTo(provider: Address, options: Options = {}): Promise<ChannelOut> {
    return await this.#of.payer.channel(this.parties(provider), { ...options, fresh: true })
  }

  /** Settles the promises of these channels now, or of all; as few transactions per token as they fit in. @returns the jobs; none when nothing is unsettled */
  async settle(which: 'all' | readonly ChannelId[], options: SendOptions = {}): Promise<Job[]> {
    return await this.#of.settler.settle(which, options)
  }

  /** What `settle` would send, and for which channels. @throws STORE_* */
  async settling(which: 'all' | readonly ChannelId[]): Promise<{ channels: ChannelEntry[]; actions: LedgerAction[] }> {
    const due = await this.#of.settler.unsettled(which)
    return { channels: due.map(payeeEntry), actions: this.#of.settler.actions(due).map(({ action }) => action) }
  }

  /** Ends the channel at once, with the provider's signature; what is left goes to the ledger balance. @throws CHANNEL_IN_USE, HEAD_DISAGREES, PEER_UNREACHABLE */
  async closeAction(line: ProviderLine, provider: Address, options: Options = {}): Promise<LedgerAction> {
    const { payer, self, token } = this.#of
    const { amount, deadline, signature } = await payer.release(line, this.parties(provider), options)
    return { kind: 'close', signer: self, target: provider, token: token.address, amount, deadline, signature }
  }

  /** After the expiry: takes back what is left without the provider. */
  reclaimAction(provider: Address): LedgerAction {
    return { kind: 'reclaim', signer: this.#of.self, target: provider, token: this.#of.token.address }
  }

  idOf(provider: Address): ChannelId {
    return channelId(this.parties(provider))
  }
}

const payerEntry = (channel: ChannelOut): ChannelEntry => entryOf(channel, 'payer', signedOf(channel), channel.reserved)
const payeeEntry = (channel: ChannelIn): ChannelEntry => entryOf(channel, 'payee', bestAmount(channel), bestAmount(channel))

function entryOf(
  { id, parties, facts }: ChannelIn | ChannelOut,
  role: ChannelEntry['role'],
  signed: Amount,
  reserved: Amount,
): ChannelEntry {
  return { id, role, parties, expiry: facts.expiry, epoch: facts.epoch, reserved, ...channelBooks(facts, signed) }
}
