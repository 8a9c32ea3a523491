/** Changes of money in the words of a person: what they would do, and doing it. */

import { type Amount, minAmount } from '../core/amount.ts'
import { TallyError } from '../core/errors.ts'
import { type Address, formatAddress, parseAddress, type Seconds, seconds } from '../core/ids.ts'
import { isServiceName } from '../core/offer.ts'
import { formatAmount, parseAmount } from '../core/token.ts'
import type { Balances, ChannelEntry } from '../node/money.ts'
import type { TallyNode } from '../node/node.ts'
import { pulledOut } from '../node/reservations.ts'
import type { DryRun, Job, LedgerAction } from '../ports/chain.ts'
import type { CallOptions, Done, MoneyRequest, Plan } from './control.ts'
import { formatGas, jobView } from './job-view.ts'
import { type Change, type Intent, relayOf } from './money-intent.ts'
import type { PeerBook } from './peer-book.ts'
import { sellerOf } from './seller.ts'
import { balanceView, channelView } from './views.ts'

const DAY_S = 86_400
/** an id may be cut to this many characters, `0x` included, if that is unique */
const MIN_ID_TEXT = 8

const nowS = (): number => Math.floor(Date.now() / 1000)

/** The account that a person names by an address, a peer id or a multiaddr. Throws ADDRESS_INVALID, USAGE, UNSUPPORTED. */
export type AccountOf = (text: string) => Address

export class MoneyDesk {
  readonly #node: TallyNode
  readonly #book: PeerBook
  readonly #accountOf: AccountOf

  constructor(node: TallyNode, book: PeerBook, accountOf: AccountOf) {
    this.#node = node
    this.#book = book
    this.#accountOf = accountOf
  }

  async plan(request: MoneyRequest, options: CallOptions): Promise<Plan> {
    const intent = await this.#intent(request, options)
    const by = relayOf(request, this.#node.token)
    const runs: DryRun[] = []
    for (const action of intent.actions) runs.push(await this.#node.money.dryRun(action, { ...options, ...by }))
    const asked = intent.run !== undefined && intent.actions.length === 0
    const gas = runs.reduce((sum, run) => sum + run.gas, 0n)
    const relayed = runs.flatMap(({ relay }) => (relay === undefined ? [] : [relay.fee]))
    const feeWei = runs.reduce((sum, run) => sum + run.feeWei, 0n)
    return {
      summary: intent.summary,
      changes: intent.changes.map(([what, now, after]) => ({ what, now: this.#show(now), after: this.#show(after as Amount) })),
      transactions: asked ? 1 : runs.reduce((sum, run) => sum + run.transactions, 0),
      gas: asked ? undefined : `${gas}`,
      fee_at_most: asked ? undefined : formatGas(feeWei),
      relay_fee: relayed.length === 0 ? undefined : this.#show(relayed.reduce((sum, fee) => sum + fee, 0n) as Amount),
      notes: asked ? [...intent.notes, 'the gas is known when the provider has signed'] : intent.notes,
    }
  }

  async carryOut(request: MoneyRequest, options: CallOptions): Promise<Done> {
    const intent = await this.#intent(request, options)
    const call = { ...options, ...relayOf(request, this.#node.token) }
    const { money, token } = this.#node
    const provider = intent.provider
    const jobs: Job[] = []
    if (intent.run !== undefined) jobs.push(...(await intent.run(call)))
    else for (const action of intent.actions) jobs.push(await money.send(action, { ...call, ...(provider && { provider }) }))
    const entry = provider === undefined ? undefined : money.payingTo(provider)
    return {
      summary: intent.summary,
      jobs: jobs.map((job) => jobView(job, token)),
      channel: entry && channelView(entry, token, nowS()),
      balance: await balanceView(this.#node, options),
    }
  }

  async #intent(request: MoneyRequest, options: CallOptions): Promise<Intent> {
    switch (request.kind) {
      case 'sweep': return await this.#sweep(options)
      case 'deposit': return await this.#deposit(this.#amount(request.amount), options)
      case 'withdraw': return await this.#withdraw(this.#amount(request.amount), parseAddress(request.to), options)
      case 'open': return await this.#open(request.provider, this.#amount(request.amount), request.days, options)
      case 'settle': return await this.#settle(request.channels, options)
      case 'close': return await this.#close(request.channel, options)
      case 'reclaim': return await this.#reclaim(request.channel, options)
      default: return request satisfies never
    } // biome-ignore format: a table
  }

  async #sweep(options: CallOptions): Promise<Intent> {
    const { waiting, ledger } = await this.#balances(options)
    const nothing = waiting === 0n
    return {
      summary: nothing ? 'nothing lies at the deposit address' : `take ${this.#show(waiting)} from the deposit address into the ledger`,
      changes: nothing ? [] : [['deposit address', waiting, 0n], ['ledger', ledger, ledger + waiting]],
      actions: nothing ? [] : [this.#node.money.sweepAction()],
      notes: [],
    } // biome-ignore format: a record
  }

  async #deposit(amount: Amount, options: CallOptions): Promise<Intent> {
    const { wallet, ledger } = await this.#balances(options)
    this.#enough(amount, wallet, 'in the wallet')
    return {
      summary: `put ${this.#show(amount)} from the wallet into the ledger`,
      changes: [['wallet', wallet, wallet - amount], ['ledger', ledger, ledger + amount]],
      actions: [this.#node.money.depositAction(amount)],
      notes: [],
    } // biome-ignore format: a record
  }

  async #withdraw(amount: Amount, to: Address, options: CallOptions): Promise<Intent> {
    const { wallet, ledger } = await this.#balances(options)
    this.#enough(amount, ledger, 'in the ledger')
    const own: Change[] = to === this.#node.address ? [['wallet', wallet, wallet + amount]] : []
    return {
      summary: `take ${this.#show(amount)} out of the ledger, to ${formatAddress(to)}`,
      changes: [['ledger', ledger, ledger - amount], ...own],
      actions: [this.#node.money.withdrawAction(to, amount)],
      notes: to === this.#node.address ? [] : [`${formatAddress(to)} is not an account of this node`],
    }
  }

  async #open(text: string, amount: Amount, days: number, options: CallOptions): Promise<Intent> {
    const { money } = this.#node
    const provider = await this.#provider(text, options)
    if (provider === this.#node.address)
      throw new TallyError('USAGE', { message: 'a node cannot reserve for itself', hint: 'name the provider that is to be paid' })
    const { wallet, ledger } = await this.#balances(options)
    const known = money.payingTo(provider)
    // the clock of the chain decides when a reservation is over; ours may be behind
    const wanted = Math.max(nowS(), await this.#node.chain.time(options)) + days * DAY_S
    // the ledger only ever extends a reservation
    const expiry = seconds(Math.max(wanted, known?.expiry ?? 0))
    const action = await money.openAction(provider, amount, expiry, options)
    const pulled = pulledOut(action)
    const from: Change[] = [
      ...(pulled > 0n ? [['wallet', wallet, wallet - pulled] as const] : []),
      ...(pulled < amount ? [['ledger', ledger, ledger + pulled - amount] as const] : []),
    ]
    const free = known?.free ?? (0n as Amount)
    return {
      summary: `reserve ${this.#show(amount)} for ${formatAddress(provider)} until ${day(expiry)}`,
      changes: [...from, ['channel, free', free, free + amount]],
      actions: [action],
      notes: ['only this provider can be paid from it; what is left is yours again when it is over'],
      provider,
    }
  }

  async #settle(which: 'all' | readonly string[], options: CallOptions): Promise<Intent> {
    const { money } = this.#node
    const ids =
      which === 'all'
        ? which
        : (await Promise.all(which.map((text) => this.#channel(text, 'payee', options)))).map(({ id }) => id)
    const { actions, channels: due } = await money.settling(ids)
    const sum = due.reduce((total, one) => total + minAmount(one.unsettled, (one.deposit - one.settled) as Amount), 0n) as Amount
    const { ledger } = await this.#balances(options)
    return {
      summary:
        actions.length === 0
          ? 'nothing is unsettled'
          : `settle ${this.#show(sum)} of ${due.length} channel${due.length === 1 ? '' : 's'}`,
      changes: actions.length === 0 ? [] : [['ledger', ledger, ledger + sum]],
      actions,
      notes: [],
      run: async (call) => await money.settle(ids, call),
    }
  }

  async #close(text: string, options: CallOptions): Promise<Intent> {
    const { money } = this.#node
    const entry = await this.#channel(text, 'payer', options)
    const provider = entry.parties.target
    if (entry.expiry <= (await this.#node.chain.time(options))) {
      throw new TallyError('CHANNEL_EXPIRED', {
        message: `the reservation of channel ${entry.id} ended on ${day(entry.expiry)}`,
        hint: `take the rest back without the provider: tallystick channel reclaim ${entry.id}`,
      })
    }
    const { ledger } = await this.#balances(options)
    return {
      summary: `close channel ${entry.id}: the provider gets ${this.#show(entry.unsettled)}, the rest is free`,
      changes: [['channel, free', entry.free, 0n], ['ledger', ledger, ledger + entry.free]],
      actions: [],
      notes: ['the provider must sign; without it, wait for the end of the reservation and reclaim'],
      provider,
      run: async (call) => [await money.send(await this.#release(text, entry, call), { ...call, provider })],
    } // biome-ignore format: a record
  }

  async #release(text: string, { id, expiry, parties }: ChannelEntry, options: CallOptions): Promise<LedgerAction> {
    const name = isPeer(text) && !isService(text) ? text : await this.#book.find(parties.target)
    if (name === undefined) {
      throw new TallyError('USAGE', {
        message: `it is not known where the provider ${formatAddress(parties.target)} can be reached`,
        hint: 'name it by its peer id or multiaddr: tallystick channel close /ip4/…/p2p/…',
      })
    }
    try {
      const { line, address } = await this.#node.lineTo(name, options)
      if (address !== parties.target)
        throw new TallyError('PEER_UNREACHABLE', { message: `${name} is another provider than the one of channel ${id}` })
      return await this.#node.money.closeAction(line, parties.target, options)
    } catch (thrown) {
      if (!(thrown instanceof TallyError) || thrown.code !== 'PEER_UNREACHABLE') throw thrown
      throw new TallyError('PEER_UNREACHABLE', {
        message: thrown.message,
        hint: `try later, or from ${day(expiry)} on: tallystick channel reclaim ${id}`,
        cause: thrown,
      })
    }
  }

  async #reclaim(text: string, options: CallOptions): Promise<Intent> {
    const { money } = this.#node
    const entry = await this.#channel(text, 'payer', options)
    const provider = entry.parties.target
    const rest = (entry.deposit - entry.settled) as Amount
    if (rest > 0n && entry.expiry > (await this.#node.chain.time(options))) {
      throw new TallyError('TX_REVERTED', {
        message: `the reservation of channel ${entry.id} lasts until ${day(entry.expiry)}`,
        hint: `with the provider's signature it ends at once: tallystick channel close ${entry.id}`,
      })
    }
    const { ledger } = await this.#balances(options)
    const promised = `${this.#show(entry.unsettled)} are promised to the provider and not settled; it can settle them when the channel is opened again`
    return {
      summary: rest === 0n ? `nothing is left in channel ${entry.id}` : `take ${this.#show(rest)} of channel ${entry.id} back`,
      changes: rest === 0n ? [] : [['ledger', ledger, ledger + rest]],
      actions: rest === 0n ? [] : [money.reclaimAction(provider)],
      notes: entry.unsettled > 0n ? [promised] : [],
      provider,
    }
  }

  /** The account behind an address, a peer id, a multiaddr or the name of a service; where a peer can be reached is remembered. */
  async #provider(text: string, options: CallOptions): Promise<Address> {
    if (isService(text)) return await sellerOf(this.#node, this.#book, text, options)
    const provider = this.#accountOf(text)
    if (isPeer(text)) await this.#book.remember(provider, text)
    return provider
  }

  /** @throws CHANNEL_UNKNOWN, USAGE when the beginning of an id fits several */
  async #channel(text: string, role: 'payer' | 'payee', options: CallOptions): Promise<ChannelEntry> {
    const { money } = this.#node
    const isId = /^0x[0-9a-fA-F]{0,64}$/.test(text) && text.length !== 42
    const fits = isId
      ? text.length < MIN_ID_TEXT
        ? []
        : (await money.fitting(text.toLowerCase())).filter((channel) => channel.role === role)
      : await this.#with(role, await this.#provider(text, options))
    const [found, other] = fits
    if (other !== undefined)
      throw new TallyError('USAGE', {
        message: `${text} is the beginning of ${fits.length} channels`,
        hint: 'give more of the id',
      })
    if (found !== undefined) return found
    const what = role === 'payer' ? 'in which this node pays' : 'in which this node is paid'
    throw new TallyError('CHANNEL_UNKNOWN', {
      message: `there is no channel ${text} ${what}`,
      hint: 'tallystick channel list shows them',
    })
  }

  async #with(role: 'payer' | 'payee', peer: Address): Promise<ChannelEntry[]> {
    const { money } = this.#node
    if (role === 'payer') return money.paying().filter(({ parties }) => parties.target === peer)
    const found = []
    for await (const channel of money.earning()) if (channel.parties.owner === peer) found.push(channel)
    return found
  }

  async #balances(options: CallOptions): Promise<Balances> {
    return await this.#node.money.balances(options)
  }

  #amount(text: string): Amount {
    const amount = parseAmount(text, this.#node.token)
    if (amount > 0n) return amount
    throw new TallyError('AMOUNT_INVALID', { message: 'the amount is zero', hint: `try \`0.5 ${this.#node.token.symbol}\`` })
  }

  #enough(amount: Amount, there: Amount, where: string): void {
    if (there >= amount) return
    const { address, token } = this.#node
    const hint =
      where === 'in the wallet'
        ? `send ${token.symbol} to ${formatAddress(address)}`
        : 'what channels reserve is free when they are closed: tallystick channel list'
    throw new TallyError('FUNDS_LOW', {
      message: `${this.#show(amount)} are wanted and ${this.#show(there)} are ${where} of ${formatAddress(address)}`,
      hint,
      fields: { wanted: amount, there },
    })
  }

  #show(amount: Amount): string {
    return formatAmount(amount, this.#node.token)
  }
}

/** a name that can only be of a service: peer ids are longer and have capitals */
const isService = (text: string): boolean => isServiceName(text) && !text.startsWith('0x') && text.length < 46

const isPeer = (text: string): boolean => text.startsWith('/') || !text.startsWith('0x')

function day(at: Seconds): string {
  return `${new Date(at * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
