import { getBytes, hexlify } from 'ethers'
import { type Amount, maxAmount } from '../core/amount.ts'
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import { encodeMulticall, feeCall, type RelayFee } from '../core/relay/calls.ts'
import type { CallOptions, ChainSigner, DryRun, LedgerAction, RelayWish } from '../ports/chain.ts'
import type { RelayOffer, Relays } from '../ports/relays.ts'
import type { ChainForwarder } from './forwarder.ts'
import { type Gateway, quantity } from './gateway.ts'
import { encodeAction, needOf, summaryOf } from './ledger-calls.ts'
import type { LedgerReader } from './ledger-reader.ts'
import { pullWay, readToken, signPermit } from './permit.ts'
import { revertedError } from './revert.ts'
import { HttpRefusal, RpcRefusal, unreachable } from './rpc-errors.ts'

/** An action as somebody else may hand it in, the fee included; it went well when it was tried. */
export interface RelayCall {
  readonly data: Uint8Array
  readonly gas: number
}

/** An action with the relays that would hand it in, the cheapest first; at least one. */
export interface RelayChoice {
  readonly token: Address
  readonly offers: readonly RelayOffer[]
}

/** Makes a signed call of an action, of which the fee is a part. */
export interface RelayPlanner {
  /** Whether the action is a call of the ledger that pays its fee in its own token. */
  canCarry(action: LedgerAction): action is Carried
  /** @throws UNSUPPORTED */
  refuseOther(action: LedgerAction): asserts action is Carried
  /** Tries it with that fee. @throws FUNDS_LOW, TX_REVERTED, CHAIN_UNREACHABLE */
  call(action: Carried, fee: RelayFee, options: CallOptions): Promise<RelayCall>
  /** Asks relays what they want for it. @throws RELAY_NONE when none takes it for what is allowed, or as `call` */
  choose(action: Carried, wish: RelayWish, options: CallOptions): Promise<RelayChoice>
  /** @throws as choose, UNSUPPORTED */
  dryRun(action: LedgerAction, wish: RelayWish, options: CallOptions): Promise<DryRun>
}

export type Carried = Exclude<LedgerAction, { kind: 'send' | 'call' }>

export interface RelayPlannerInit {
  readonly gateway: Gateway
  readonly reader: LedgerReader
  readonly signer: ChainSigner
  readonly forwarder: ChainForwarder
  readonly relays: Relays | undefined
}

/** What a call may use beyond the estimate, in percent: the ledger may have changed by the time it is mined. */
const GAS_MARGIN_PERCENT = 15n
/** For whom the fee is while nobody is chosen: an account that has nothing costs the most gas. */
const NOBODY = `0x${'0'.repeat(38)}f0` as Address
/** What the true fee, in other bytes, may make it dearer. */
const SPARE_GAS = 1_000

export function createRelayPlanner({ gateway, reader, signer, forwarder, relays }: RelayPlannerInit): RelayPlanner {
  const self = signer.address

  function canCarry(action: LedgerAction): action is Carried {
    return action.kind !== 'send' && action.kind !== 'call'
  }

  function refuseOther(action: LedgerAction): asserts action is Carried {
    if (canCarry(action)) return
    throw new TallyError('UNSUPPORTED', {
      message: `no relay can ${summaryOf(action)}: it is no call of the ledger`,
      hint: `it takes the gas coin in ${self}`,
    })
  }

  /** The calls that bring `wanted` into the ledger balance, out of the deposit address and the wallet; none when it is there. */
  async function fund(action: Carried, wanted: bigint, options: CallOptions): Promise<string[]> {
    const { token } = action
    const balance = await reader.ledgerBalance(token, self, 'latest', options)
    if (balance >= wanted) return []
    const calls: string[] = []
    const box = await reader.depositAddress(self, options)
    const boxed = await reader.walletBalance(token, box, 'latest', options)
    if (boxed > 0n) calls.push(encodeAction({ kind: 'sweep', token, account: self }, gateway.ledger).data)
    const lack = wanted - balance - boxed
    if (lack <= 0n) return calls
    const wallet = await reader.walletBalance(token, self, 'latest', options)
    const low = { action, wanted, has: balance + boxed + wallet, box }
    if (wallet < lack) throw fundsLow(low)
    return [...calls, await pull(token, self, lack as Amount, low, options)]
  }

  /** Takes tokens out of the wallet without a transaction of the wallet. */
  async function pull(token: Address, account: Address, amount: Amount, low: Low, options: CallOptions): Promise<string> {
    const deposit = { kind: 'deposit', token, account, amount } as const
    const allowance = await readToken(gateway, token, 'allowance', [self, gateway.ledger], 'latest', options)
    if (typeof allowance === 'bigint' && allowance >= amount) return encodeAction(deposit, gateway.ledger).data
    const way = await pullWay(gateway, token, options)
    const head = await gateway.header('latest', options)
    const permit =
      way.way === 'permit'
        ? await signPermit(gateway, signer, { token, domain: way.domain, value: amount, nowS: head?.timeS ?? 0, block: 'latest' })
        : undefined
    if (permit !== undefined) return encodeAction(deposit, gateway.ledger, permit).data
    throw new TallyError('FUNDS_LOW', {
      message: `cannot ${summaryOf(low.action)}: the token has no permit, so what is in the wallet cannot move without the gas coin`,
      hint: `send the tokens to the deposit address ${low.box}, from wherever they come`,
      fields: { token, account: self },
    })
  }

  async function calls(action: Carried, fee: RelayFee, options: CallOptions): Promise<readonly string[]> {
    const { token } = action
    const last = hexlify(feeCall(fee))
    if (action.kind === 'deposit') {
      const wallet = await reader.walletBalance(token, self, 'latest', options)
      const box = await reader.depositAddress(self, options)
      const low = { action, wanted: action.amount, has: wallet, box }
      if (wallet < action.amount) throw fundsLow(low)
      const first = await pull(token, action.account, action.amount, low, options)
      const own = action.account === self && action.amount >= fee.amount
      return [first, ...(own ? [] : await fund(action, fee.amount, options)), last]
    }
    if (action.kind === 'open') {
      const open = { ...action, from: 'balance' as const }
      const { deposit: _d, sweep: _s, ...bare } = open
      return [...(await fund(action, action.amount + fee.amount, options)), encodeAction(bare, gateway.ledger).data, last]
    }
    const own = encodeAction(action, gateway.ledger).data
    const need = needOf(action)
    if (need !== undefined) return [...(await fund(action, need.amount + fee.amount, options)), own, last]
    // what comes in may pay the fee: only the chain can say
    const plain = [own, last]
    const balance = await reader.ledgerBalance(token, self, 'latest', options)
    if (balance >= fee.amount || (await estimate(action, encoded(plain), options).then(yes, no))) return plain
    return [...(await fund(action, fee.amount, options).catch(() => [])), own, last]
  }

  async function estimate(action: Carried, data: Uint8Array, options: CallOptions): Promise<bigint> {
    const { forwarder: from } = await forwarder.domain(options)
    try {
      // as the forwarder calls it: the signer stands behind the data
      const call = { from, to: gateway.ledger, data: hexlify(data) + self.slice(2) }
      return quantity(await gateway.request('eth_estimateGas', [call, 'latest'], options), gateway.name)
    } catch (error) {
      if (error instanceof HttpRefusal) throw unreachable(gateway.name, error)
      if (!(error instanceof RpcRefusal)) throw error
      if (error.data === undefined && !/revert/i.test(error.message)) throw unreachable(gateway.name, error)
      throw revertedError(summaryOf(action), error.data)
    }
  }

  async function call(action: Carried, fee: RelayFee, options: CallOptions): Promise<RelayCall> {
    const data = encoded(await calls(action, fee, options))
    const gas = await estimate(action, data, options)
    return { data, gas: Number(gas + (gas * GAS_MARGIN_PERCENT) / 100n) }
  }

  /** The fee depends on the gas, and the gas on the fee: a permit may be needed for it. Asked again once when it grows. */
  async function choose(action: Carried, wish: RelayWish, options: CallOptions): Promise<RelayChoice> {
    const { token } = action
    let asked = { gas: 0, bytes: 0 }
    let offers: readonly RelayOffer[] = []
    for (let round = 0; round < 2; round++) {
      const fee = offers[0]?.fee ?? (1n as Amount)
      const { gas, data } = await call(action, { token, to: NOBODY, amount: fee }, options)
      if (gas <= asked.gas && data.length <= asked.bytes) break
      asked = { gas: gas + SPARE_GAS, bytes: data.length }
      const all = (await relays?.offers({ token, ...asked, peers: wish.peers }, options)) ?? []
      offers = affordable(action, wish, all)
    }
    return { token, offers }
  }

  function affordable(action: Carried, wish: RelayWish, all: readonly RelayOffer[]): readonly RelayOffer[] {
    const limit = wish.maxFee ?? relays?.maxFee ?? (0n as Amount)
    const offers = all.filter(({ fee }) => fee <= limit)
    if (offers.length > 0) return offers
    const [cheapest] = all
    const fields = { token: action.token, allowed: limit }
    if (cheapest === undefined)
      throw new TallyError('RELAY_NONE', {
        message: `cannot ${summaryOf(action)}: no relay answers`,
        hint: `name another with --relay, or send a little of the gas coin to ${self}`,
        fields,
      })
    throw new TallyError('RELAY_NONE', {
      message: `cannot ${summaryOf(action)}: the cheapest relay asks for ${cheapest.fee} base units, ${limit} are allowed`,
      hint: 'allow more with --max-fee, or name another relay with --relay',
      fields: { ...fields, asked: cheapest.fee },
    })
  }

  return {
    canCarry,
    refuseOther,
    call,
    choose,
    async dryRun(action, wish, options) {
      refuseOther(action)
      const { token, offers } = await choose(action, wish, options)
      const [best] = offers
      if (best === undefined) throw new TallyError('RELAY_NONE')
      const { account, fee } = best
      const { gas } = await call(action, { token, to: account, amount: fee }, options)
      return { summary: summaryOf(action), gas: BigInt(gas), feeWei: 0n, transactions: 1, relay: { account, token, fee } }
    },
  }

  function fundsLow({ action, wanted, has, box }: Low): TallyError {
    const need = needOf(action)?.amount ?? (0n as Amount)
    const fee = maxAmount((wanted - need) as Amount, 0n as Amount)
    return new TallyError('FUNDS_LOW', {
      message: `cannot ${summaryOf(action)}: ${wanted} base units of token ${action.token} are needed, ${fee} of them for the relay; ${has} are there`,
      hint: `leave enough for the fee, or send the token to the deposit address ${box}`,
      fields: { token: action.token, needed: wanted, available: has, account: self },
    })
  }
}

interface Low {
  readonly action: Carried
  readonly wanted: bigint
  readonly has: bigint
  readonly box: Address
}

const yes = (): boolean => true
const no = (error: unknown): boolean => {
  if (error instanceof TallyError && error.code === 'TX_REVERTED') return false
  throw error
}

function encoded(calls: readonly string[]): Uint8Array {
  return encodeMulticall(calls.map((call) => getBytes(call)))
}
