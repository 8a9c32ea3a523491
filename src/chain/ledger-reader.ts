import { decodeBytes32String } from 'ethers'
import { type Amount, isAmount, MAX_AMOUNT } from '../core/amount.ts'
import { TallyError } from '../core/errors.ts'
import type { Address, ChannelId, Seconds } from '../core/ids.ts'
import { type TokenInfo, tokenInfo } from '../core/token.ts'
import type { CallOptions, ChannelFacts } from '../ports/chain.ts'
import { erc20Interface, ledgerInterface, toAddress } from './abi.ts'
import { asUnreachable, type BlockTag, type Gateway, quantity } from './gateway.ts'
import { readToken } from './permit.ts'
import { boundedText, RpcRefusal } from './rpc-errors.ts'

/** Typed reads of the ledger, of tokens and of accounts. Errors as the port says. */
export interface LedgerReader {
  /** Undefined when the ledger knows no such channel at that block, or did not exist yet. */
  channel(id: ChannelId, block: number, options?: CallOptions): Promise<ChannelFacts | undefined>
  ledgerBalance(token: Address, account: Address, block: BlockTag, options?: CallOptions): Promise<Amount>
  walletBalance(token: Address, account: Address, block: BlockTag, options?: CallOptions): Promise<Amount>
  gasBalance(account: Address, options?: CallOptions): Promise<bigint>
  payoutOf(token: Address, target: Address, options?: CallOptions): Promise<Address>
  depositAddress(account: Address, options?: CallOptions): Promise<Address>
  token(token: Address, options?: CallOptions): Promise<TokenInfo>
}

export function createLedgerReader(gateway: Gateway): LedgerReader {
  const tokens = new Map<Address, TokenInfo>()

  async function view(
    name: string,
    args: readonly unknown[],
    block: BlockTag,
    options?: CallOptions,
  ): Promise<readonly unknown[] | undefined> {
    const data = ledgerInterface.encodeFunctionData(name, args)
    const result = await gateway.call(gateway.ledger, data, block, options).catch((error: unknown) => {
      // No view of the ledger ever reverts.
      if (error instanceof RpcRefusal && /revert/i.test(error.message)) throw notTheLedger(gateway.ledger, name, error)
      throw asUnreachable(gateway.name, error)
    })
    // No code at that block: the ledger was deployed later.
    if (result === '0x') return undefined
    try {
      return ledgerInterface.decodeFunctionResult(name, result).toArray()
    } catch (cause) {
      throw notTheLedger(gateway.ledger, name, cause)
    }
  }

  return {
    async channel(id, block, options) {
      const values = await view('channel', [id], block, options)
      const [deposit = 0n, settled = 0n, expiry = 0n, epoch = 0n] = (values ?? []) as bigint[]
      if (deposit === 0n && expiry === 0n && epoch === 0n) return undefined
      return {
        deposit: deposit as Amount,
        settled: settled as Amount,
        expiry: Number(expiry) as Seconds,
        epoch: Number(epoch),
        block,
      }
    },
    async ledgerBalance(token, account, block, options) {
      const values = await view('balanceOf', [account, token], block, options)
      return capped((values?.[0] ?? 0n) as bigint)
    },
    async walletBalance(token, account, block, options) {
      const value = await readToken(gateway, token, 'balanceOf', [account], block, options)
      if (typeof value !== 'bigint') throw noToken(token)
      return capped(value)
    },
    async gasBalance(account, options) {
      const value = await gateway.request('eth_getBalance', [account, 'latest'], options).catch((error: unknown) => {
        throw asUnreachable(gateway.name, error)
      })
      return quantity(value, gateway.name)
    },
    async payoutOf(token, target, options) {
      const values = await view('payoutOf', [target, token], 'latest', options)
      return toAddress(String(values?.[0] ?? target))
    },
    async depositAddress(account, options) {
      const values = await view('depositAddress', [account], 'latest', options)
      if (values === undefined) throw notTheLedger(gateway.ledger, 'depositAddress', undefined)
      return toAddress(String(values[0]))
    },
    async token(token, options) {
      const known = tokens.get(token)
      if (known !== undefined) return known
      const [symbol, decimals] = await Promise.all([
        readSymbol(gateway, token, options),
        readToken(gateway, token, 'decimals', [], 'latest', options),
      ])
      if (typeof decimals !== 'bigint' || decimals > 255n) throw noToken(token)
      const info = tokenInfo(token, symbol, Number(decimals))
      tokens.set(token, info)
      return info
    },
  }
}

/** Some old tokens return their symbol as bytes32. */
async function readSymbol(gateway: Gateway, token: Address, options: CallOptions = {}): Promise<string> {
  const symbol = await readToken(gateway, token, 'symbol', [], 'latest', options)
  if (typeof symbol === 'string') return boundedText(symbol, 32)
  const data = erc20Interface.encodeFunctionData('symbol')
  const bytes = await gateway.call(token, data, 'latest', options).catch(() => '0x')
  if (bytes.length !== 66) return ''
  try {
    return boundedText(decodeBytes32String(bytes), 32)
  } catch {
    return ''
  }
}

/** Nobody can reserve more than an Amount holds, so a larger balance is as good as the largest amount. */
function capped(value: bigint): Amount {
  return isAmount(value) ? value : MAX_AMOUNT
}

function notTheLedger(ledger: Address, name: string, cause: unknown): TallyError {
  return new TallyError('CONTRACT_MISSING', {
    message: `the contract at ${ledger} is not the ledger: it does not answer ${name}`,
    hint: 'check the ledger address in the configuration',
    fields: { ledger },
    cause,
  })
}

function noToken(token: Address): TallyError {
  return new TallyError('CONTRACT_MISSING', {
    message: `there is no ERC-20 token at ${token}`,
    hint: 'check the token address, and that it is of this chain',
    fields: { token: token },
  })
}
