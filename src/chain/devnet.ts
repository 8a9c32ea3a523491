import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { AbiCoder, getBytes, getCreateAddress, HDNodeWallet, Interface } from 'ethers'
import forwarderArtefact from '../../protocols/ledger/generated/ERC2771Forwarder.json' with { type: 'json' }
import registryArtefact from '../../protocols/ledger/generated/ServiceRegistry.json' with { type: 'json' }
import ledgerArtefact from '../../protocols/ledger/generated/TallyLedger.json' with { type: 'json' }
import tokenArtefact from '../../protocols/ledger/generated/TestToken.json' with { type: 'json' }
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import { toAddress } from './abi.ts'
import { startAnvil } from './anvil.ts'
import { boundedText } from './rpc-errors.ts'

export interface DevnetInit {
  /** @default 0: any free port */
  readonly port?: number
  /** Seconds between blocks. @default a block for each transaction */
  readonly blockTimeS?: number
  /** File that keeps the chain between runs. @default in memory */
  readonly statePath?: string
  /** Funded accounts with well-known keys. @default 4 */
  readonly accounts?: number
}

export interface DevnetAccount {
  readonly address: Address
  /** Known to the whole world: for local chains only. */
  readonly privateKey: Uint8Array
}

export interface DevnetFunds {
  /** Gas coin to add, in wei. */
  readonly wei?: bigint
  /** Test tokens to add, in base units (6 decimals). */
  readonly tokens?: bigint
}

/** A local chain with the ledger, its forwarder, a test token and the service registry at addresses that are always the same. */
export interface Devnet {
  readonly rpcUrl: string
  readonly chainId: number
  readonly ledger: Address
  readonly forwarder: Address
  readonly token: Address
  /** Its stake is {@link DEVNET_STAKE} test tokens. */
  readonly registry: Address
  readonly accounts: readonly DevnetAccount[]
  readonly pid: number
  /** Adds gas coin and test tokens to an address; resolves when they are there. */
  fund(address: Address, funds: DevnetFunds): Promise<void>
  /** A plain transfer of test tokens by an account that has both coin and tokens, as an exchange makes it. */
  payOut(to: Address, tokens: bigint): Promise<void>
  /** Mines this many blocks at once. @default 1 */
  mine(blocks?: number): Promise<void>
  /** Moves the chain's clock on and mines a block. */
  increaseTime(seconds: number): Promise<void>
  /** Any JSON-RPC call of anvil, for tests. */
  rpc(method: string, params?: readonly unknown[]): Promise<unknown>
  stop(): Promise<void>
}

export const DEVNET_CHAIN_ID = 31337
/** EIP-712 name of the forwarder's domain on the local chain. */
export const FORWARDER_NAME = 'Tallystick Forwarder'
/** What the local registry asks for a service: 100 test tokens, returned an hour after it was taken back. */
export const DEVNET_STAKE = { amount: 100_000_000n, unbondingS: 3_600 } as const
const PHRASE = 'test test test test test test test test test test test junk'

interface Contracts {
  readonly deployer: Address
  readonly ledger: Address
  readonly forwarder: Address
  readonly token: Address
  readonly registry: Address
}

/**
 * Starts anvil and deploys from its account 0: the ledger first, so that its address depends on nothing but that account, then the
 * forwarder that it trusts (whose address is known beforehand), then the token, then the registry. All dies with this process.
 *
 * Throws DEVNET_FAILED.
 */
export async function startDevnet(init: DevnetInit = {}): Promise<Devnet> {
  const { port = 0, blockTimeS, statePath, accounts: count = 4 } = init
  const accounts = devAccounts(count)
  const contracts = fixedAddresses(accounts)
  const args = [
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
    '--chain-id',
    String(DEVNET_CHAIN_ID),
    '--accounts',
    String(count),
    '--no-cors',
  ]
  if (statePath !== undefined) args.push('--state', statePath, '--state-interval', '5', '--preserve-historical-states')
  const resumed = statePath !== undefined && existsSync(statePath)
  const anvil = await startAnvil(args, { gentle: statePath !== undefined })
  const rpcUrl = `http://127.0.0.1:${anvil.port}`
  const rpc = (method: string, params: readonly unknown[] = []) => devnetRpc(rpcUrl, method, params)
  try {
    await rpc('anvil_setLoggingEnabled', [false])
    if (!resumed || (await isFresh(rpc, contracts))) await deploy(rpc, contracts)
    if (blockTimeS !== undefined) await rpc('evm_setIntervalMining', [blockTimeS])
  } catch (error) {
    await anvil.stop()
    throw error
  }
  const token = contracts.token
  return {
    rpcUrl,
    chainId: DEVNET_CHAIN_ID,
    ledger: contracts.ledger,
    forwarder: contracts.forwarder,
    token,
    registry: contracts.registry,
    accounts,
    pid: anvil.pid,
    fund: (address, funds) => fundOnDevnet(rpcUrl, token, address, funds),
    async payOut(to, tokens) {
      const [exchange] = accounts
      if (exchange === undefined) return
      await fundOnDevnet(rpcUrl, token, exchange.address, { tokens })
      const data = new Interface(tokenArtefact.abi).encodeFunctionData('transfer', [to, tokens])
      await transact(rpc, { from: exchange.address, to: token, data })
    },
    async mine(blocks = 1) {
      await rpc('anvil_mine', [`0x${blocks.toString(16)}`])
    },
    async increaseTime(seconds) {
      await rpc('evm_increaseTime', [seconds])
      await rpc('evm_mine')
    },
    rpc,
    stop: anvil.stop,
  }
}

/**
 * The faucet of a local chain, for any process that knows its RPC. The tokens are minted through a throw-away account, so several
 * processes never meet at one nonce.
 *
 * Throws DEVNET_FAILED when the RPC is not of a local chain.
 */
export async function fundOnDevnet(rpcUrl: string, token: Address, address: Address, funds: DevnetFunds): Promise<void> {
  const rpc = (method: string, params: readonly unknown[]) => devnetRpc(rpcUrl, method, params)
  if (funds.wei !== undefined && funds.wei > 0n) {
    const before = BigInt(String(await rpc('eth_getBalance', [address, 'latest'])))
    await rpc('anvil_setBalance', [address, `0x${(before + funds.wei).toString(16)}`])
  }
  if (funds.tokens === undefined || funds.tokens <= 0n) return
  const tokenInterface = new Interface(tokenArtefact.abi)
  const from = `0x${randomBytes(20).toString('hex')}`
  await rpc('anvil_setBalance', [from, `0x${(10n ** 21n).toString(16)}`])
  await rpc('anvil_impersonateAccount', [from])
  for (let left = funds.tokens, nonce = 0; left > 0n; nonce++) {
    const part = left < MINT_LIMIT ? left : MINT_LIMIT
    const data = tokenInterface.encodeFunctionData('mint', [address, part])
    await transact(rpc, { from, to: token, data, nonce: `0x${nonce.toString(16)}`, gas: '0x30d40' })
    left -= part
  }
  await rpc('anvil_stopImpersonatingAccount', [from])
}

const MINE_TIMEOUT_MS = 60_000
/** What the test token mints at once. */
const MINT_LIMIT = 1_000_000_000_000n

function devAccounts(count: number): DevnetAccount[] {
  const root = HDNodeWallet.fromPhrase(PHRASE, undefined, "m/44'/60'/0'/0")
  return Array.from({ length: Math.max(1, count) }, (_, index) => {
    const { address, privateKey } = root.deriveChild(index)
    return { address: toAddress(address), privateKey: getBytes(privateKey) }
  })
}

function fixedAddresses(accounts: readonly DevnetAccount[]): Contracts {
  const [first] = accounts
  if (first === undefined) throw new RangeError('a local chain needs an account')
  const deployer = first.address
  const at = (nonce: number) => toAddress(getCreateAddress({ from: deployer, nonce }))
  return { deployer, ledger: at(0), forwarder: at(1), token: at(2), registry: at(3) }
}

type Rpc = (method: string, params: readonly unknown[]) => Promise<unknown>

/** A state file may be empty (a chain that was stopped at once) or hold the chain of another version. */
async function isFresh(rpc: Rpc, contracts: Contracts): Promise<boolean> {
  const codes = await Promise.all(
    [contracts.ledger, contracts.forwarder, contracts.token, contracts.registry].map((at) => rpc('eth_getCode', [at, 'latest'])),
  )
  const nonce = await rpc('eth_getTransactionCount', [contracts.deployer, 'latest'])
  if (codes.every((code) => String(code).length > 2)) return false
  if (BigInt(String(nonce)) === 0n) return true
  throw new TallyError('DEVNET_FAILED', {
    message: 'the state file holds a chain without the contracts of this version',
    hint: 'give another state file, or remove this one to start a new chain',
  })
}

async function deploy(rpc: Rpc, contracts: Contracts): Promise<void> {
  const abi = AbiCoder.defaultAbiCoder()
  const codes = [
    ledgerArtefact.bytecode + abi.encode(['address'], [contracts.forwarder]).slice(2),
    forwarderArtefact.bytecode + abi.encode(['string'], [FORWARDER_NAME]).slice(2),
    tokenArtefact.bytecode,
    registryArtefact.bytecode +
      abi
        .encode(
          ['address', 'address', 'uint256', 'uint32'],
          [contracts.forwarder, contracts.token, DEVNET_STAKE.amount, DEVNET_STAKE.unbondingS],
        )
        .slice(2),
  ]
  // One after the other: anvil may leave a transaction unmined that came before the one with the nonce below it.
  for (const [nonce, data] of codes.entries()) {
    await transact(rpc, { from: contracts.deployer, data, nonce: `0x${nonce.toString(16)}`, gas: '0x989680' })
  }
}

/** Sends from an account that anvil signs for, and waits until it is mined. */
async function transact(rpc: Rpc, transaction: Readonly<Record<string, string>>): Promise<void> {
  const hash = await rpc('eth_sendTransaction', [transaction])
  const end = performance.now() + MINE_TIMEOUT_MS
  for (let waitMs = 1; performance.now() < end; waitMs = Math.min(waitMs * 2, 100)) {
    const receipt = (await rpc('eth_getTransactionReceipt', [hash])) as { status: string } | null
    if (receipt?.status === '0x1') return
    if (receipt !== null) throw new TallyError('DEVNET_FAILED', { message: 'a transaction of the local chain was reverted' })
    await delay(waitMs)
  }
  throw new TallyError('DEVNET_FAILED', { message: 'the local chain mines no blocks', hint: 'is its mining switched off?' })
}

async function devnetRpc(rpcUrl: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const headers = { 'content-type': 'application/json' }
  const reply = await fetch(rpcUrl, { method: 'POST', headers, body, signal: AbortSignal.timeout(30_000) })
    .then((response) => response.json() as Promise<{ result?: unknown; error?: { message?: unknown } }>)
    .catch((cause: unknown) => {
      throw new TallyError('DEVNET_FAILED', { message: 'the local chain does not answer', hint: 'is it still running?', cause })
    })
  if (reply.error === undefined) return reply.result
  throw new TallyError('DEVNET_FAILED', {
    message: `the local chain refuses ${method}: ${boundedText(reply.error.message, 200)}`,
    hint: 'the RPC must be of a chain started with "tallystick dev"',
  })
}
