/** A fresh chain with the ledger, its forwarder and a token on it, and the few words in which the tests of the contract are written. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getAddress, Interface, type InterfaceAbi, type LogDescription, type Result, Wallet } from 'ethers'
import { GENERATED } from '../../../protocols/ledger/compile.ts'
import { startAnvil } from '../../support/anvil.ts'

/** Where the ledger lives on a fresh chain: the first contract of anvil's first account. The committed vectors are signed for it. */
export const LEDGER = '0x5FbDB2315678afecb367f032d93F642f64180aa3'
const FORWARDER = '0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512'
const DEPLOYER = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
/** Below the cap that Osaka sets on a transaction. */
const GAS = 16_000_000
export const YEAR = 365n * 86_400n

interface Receipt {
  readonly status: string
  readonly gasUsed: string
  readonly blockNumber: string
  readonly contractAddress: string | null
  readonly transactionHash: string
  readonly logs: readonly { address: string; topics: string[]; data: string }[]
}

/** What a mined call did. */
export interface Done {
  readonly gas: number
  /** Events of the called contract, in order. */
  readonly events: readonly LogDescription[]
}

/** A custom error of a contract: its name and arguments. */
export interface Revert {
  readonly name: string
  readonly args: Result
}

export interface Contract {
  readonly address: string
  readonly abi: Interface
  data(fn: string, ...args: unknown[]): string
  read(fn: string, ...args: unknown[]): Promise<Result>
  /** Mines the call from any address (the chain impersonates it); throws when it reverts. */
  send(from: string, fn: string, ...args: unknown[]): Promise<Done>
  /** Mines the call and answers the error it reverted with; throws when it does not revert. */
  fails(from: string, fn: string, ...args: unknown[]): Promise<Revert>
}

export interface Chain {
  readonly url: string
  readonly ledger: Contract
  readonly forwarder: Contract
  readonly token: Contract
  rpc(method: string, ...params: unknown[]): Promise<unknown>
  deploy(artefact: string, ...args: unknown[]): Promise<Contract>
  /** The time of the last block, unix seconds. */
  now(): Promise<bigint>
  /** The next block, and so the next call that is mined, has exactly this time. */
  nextBlockAt(time: bigint): Promise<void>
  stop(): Promise<void>
}

interface Artefact {
  readonly abi: InterfaceAbi
  readonly bytecode: string
}

/** A checked-in artefact, `TallyLedger` or `test/FeeToken`. */
export function readArtefact(name: string): Artefact {
  return JSON.parse(readFileSync(join(GENERATED, `${name}.json`), 'utf8'))
}

const failures: Interface = new Interface([
  ...['TallyLedger', 'ServiceRegistry'].flatMap((name) =>
    new Interface(readArtefact(name).abi).fragments.filter((f) => f.type === 'error'),
  ),
  'error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)',
  'error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)',
])

function toRevert(data: string): Revert {
  const error = data.length < 10 ? null : failures.parseError(data)
  return error === null ? { name: data, args: [] as unknown as Result } : { name: error.name, args: error.args }
}

function makeContract(rpc: Chain['rpc'], address: string, abi: Interface): Contract {
  const data = (fn: string, ...args: unknown[]): string => abi.encodeFunctionData(fn, args)
  const mine = (from: string, fn: string, args: unknown[]): Promise<Receipt> => transact(rpc, from, address, data(fn, ...args))
  return {
    address,
    abi,
    data,
    read: async (fn, ...args) =>
      abi.decodeFunctionResult(fn, (await rpc('eth_call', { to: address, data: data(fn, ...args) }, 'latest')) as string),
    send: async (from, fn, ...args) => {
      const receipt = await mine(from, fn, args)
      if (receipt.status !== '0x1') {
        const { name, args: details } = await revertOf(rpc, receipt)
        assert.fail(`${fn} reverted: ${name}(${details.join(', ')})`)
      }
      const logs = receipt.logs.filter((log) => log.address.toLowerCase() === address.toLowerCase())
      return { gas: Number(receipt.gasUsed), events: logs.flatMap((log) => abi.parseLog(log) ?? []) }
    },
    fails: async (from, fn, ...args) => {
      const receipt = await mine(from, fn, args)
      assert.equal(receipt.status, '0x0', `${fn} should have reverted`)
      return await revertOf(rpc, receipt)
    },
  }
}

async function transact(rpc: Chain['rpc'], from: string, to: string | undefined, data: string): Promise<Receipt> {
  const transaction = { from, ...(to === undefined ? {} : { to }), data, gas: `0x${GAS.toString(16)}`, gasPrice: '0x0' }
  const hash = await rpc('eth_sendTransaction', transaction)
  for (;;) {
    // mining is asynchronous; each turn is one round trip to the chain
    const receipt = (await rpc('eth_getTransactionReceipt', hash)) as Receipt | null
    if (receipt !== null) return receipt
  }
}

async function revertOf(rpc: Chain['rpc'], receipt: Receipt): Promise<Revert> {
  const trace = (await rpc('debug_traceTransaction', receipt.transactionHash, { tracer: 'callTracer' })) as { output?: string }
  return toRevert(trace.output ?? '0x')
}

/** Starts a chain on which gas is free and every address may send, and deploys to it. */
export async function startChain(args: readonly string[] = []): Promise<Chain> {
  const anvil = await startAnvil(['--auto-impersonate', '--gas-price', '0', '--block-base-fee-per-gas', '0', ...args])
  let id = 0
  const rpc = async (method: string, ...params: unknown[]): Promise<unknown> => {
    id += 1
    const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
    const response = await fetch(anvil.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    const answer = (await response.json()) as { result?: unknown; error?: { message: string } }
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`)
    return answer.result
  }
  const deploy = async (name: string, ...args: unknown[]): Promise<Contract> => {
    const artefact = readArtefact(name)
    const abi = new Interface(artefact.abi)
    const receipt = await transact(rpc, DEPLOYER, undefined, artefact.bytecode + abi.encodeDeploy(args).slice(2))
    assert.ok(receipt.status === '0x1' && receipt.contractAddress !== null, `${name} did not deploy`)
    return makeContract(rpc, getAddress(receipt.contractAddress), abi)
  }
  const ledger = await deploy('TallyLedger', FORWARDER)
  const forwarder = await deploy('ERC2771Forwarder', 'TallystickForwarder')
  const token = await deploy('TestToken')
  assert.deepEqual([ledger.address, forwarder.address], [LEDGER, FORWARDER])
  return {
    url: anvil.url,
    ledger,
    forwarder,
    token,
    rpc,
    deploy,
    now: async () => BigInt(((await rpc('eth_getBlockByNumber', 'latest', false)) as { timestamp: string }).timestamp),
    nextBlockAt: async (time) => void (await rpc('evm_setNextBlockTimestamp', `0x${time.toString(16)}`)),
    stop: () => anvil.stop(),
  }
}

/** A key that nobody has used before. */
export function newWallet(): Wallet {
  return new Wallet(Wallet.createRandom().privateKey)
}

/** Gives `account` tokens and lets the ledger take them. */
export async function fundWallet(chain: Chain, account: string, amount: bigint, token = chain.token): Promise<void> {
  await token.send(account, 'mint', account, amount)
  await token.send(account, 'approve', LEDGER, 2n ** 256n - 1n)
}

/** Gives `account` a balance inside the ledger. */
export async function fundBalance(chain: Chain, account: string, amount: bigint, token = chain.token): Promise<void> {
  await fundWallet(chain, account, amount, token)
  await chain.ledger.send(account, 'deposit', token.address, account, amount)
}

/** The four that name a channel, with the keys that the tests sign with. */
export interface Parties {
  readonly owner: Wallet
  readonly signer: Wallet
  readonly target: Wallet
  readonly token: string
  readonly id: string
}

export interface ChannelState {
  readonly deposit: bigint
  readonly settled: bigint
  readonly expiry: bigint
  readonly epoch: bigint
}

/** What the slot of a channel holds. */
export async function readChannel(chain: Chain, id: string): Promise<ChannelState> {
  const [deposit, settled, expiry, epoch] = await chain.ledger.read('channel', id)
  return { deposit, settled, expiry, epoch }
}

/** The balance of an account inside the ledger. */
export async function readBalance(chain: Chain, account: string, token = chain.token.address): Promise<bigint> {
  const [balance] = await chain.ledger.read('balanceOf', account, token)
  return balance
}

/** Names a channel of fresh keys, or of those given. */
export async function newParties(
  chain: Chain,
  given: Partial<Pick<Parties, 'owner' | 'signer' | 'target' | 'token'>> = {},
): Promise<Parties> {
  const { owner = newWallet(), signer = newWallet(), target = newWallet(), token = chain.token.address } = given
  const [id] = await chain.ledger.read('channelId', owner.address, signer.address, target.address, token)
  return { owner, signer, target, token, id }
}

/** A channel with `amount` reserved in it for a year. */
export async function openChannel(chain: Chain, amount: bigint, given: Parameters<typeof newParties>[1] = {}): Promise<Parties> {
  const parties = await newParties(chain, given)
  const { owner, signer, target, token } = parties
  await fundBalance(chain, owner.address, amount)
  const expiry = (await chain.now()) + YEAR
  await chain.ledger.send(owner.address, 'open', signer.address, target.address, token, amount, expiry)
  return parties
}
