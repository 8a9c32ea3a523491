/**
 * The chain on which gas is measured. It starts at a fixed time and every key is a fixed one, so each call has the same bytes in every
 * run and costs the same to the last unit of gas.
 */
import { concat, id as hashOf, Wallet } from 'ethers'
import {
  type Chain,
  type Contract,
  fundBalance,
  fundWallet,
  newParties,
  type Parties,
  startChain,
  YEAR,
} from '../protocols/ledger/fixture.ts'
import { forwardRequest } from '../protocols/ledger/forward.ts'
import { type ShownLock, signClose, signedRow, signedShortRow, walk } from '../protocols/ledger/messages.ts'

const START = 1_800_000_000
/** Every channel ends here. */
export const EXPIRY = BigInt(START) + YEAR
/** Reserved in each channel, base units. */
export const DEPOSIT = 1_000_000_000n
/** What a payee promises its relay, base units. */
const RELAY_FEE = 20_000n

/** A chain in the steady state of a market: payees have been paid before, payers keep a balance, allowances are given. */
export class GasChain {
  readonly chain: Chain
  readonly ledger: Contract
  #keys = 0

  private constructor(chain: Chain) {
    this.chain = chain
    this.ledger = chain.ledger
  }

  static async start(): Promise<GasChain> {
    return new GasChain(await startChain(['--timestamp', String(START)]))
  }

  stop(): Promise<void> {
    return this.chain.stop()
  }

  /** The next fixed key. */
  wallet(): Wallet {
    this.#keys += 1
    return new Wallet(hashOf(`gas ${this.#keys}`))
  }

  /** The names of a channel whose owner signs for itself, or has another key sign; the owner has a wallet and a balance. */
  async parties({ target = this.wallet(), ownKey = true }: { target?: Wallet; ownKey?: boolean } = {}): Promise<Parties> {
    const owner = this.wallet()
    await fundWallet(this.chain, owner.address, 6n * DEPOSIT)
    await this.ledger.send(owner.address, 'deposit', this.chain.token.address, owner.address, 3n * DEPOSIT)
    return newParties(this.chain, { owner, signer: ownKey ? owner : this.wallet(), target })
  }

  /** An open channel that was never settled, to a target that was paid before. */
  async freshChannel(): Promise<Parties> {
    const { target } = await this.usedChannel()
    const p = await this.parties({ target })
    await this.open(p)
    return p
  }

  /** An open channel that was settled once. */
  async usedChannel(init: Parameters<GasChain['parties']>[0] = {}): Promise<Parties> {
    const p = await this.parties(init)
    await this.open(p)
    await this.settle(p, 1n)
    return p
  }

  async open(p: Parties, expiry = EXPIRY, from: 'balance' | 'wallet' = 'balance'): Promise<number> {
    const fn = from === 'balance' ? 'open' : 'depositAndOpen'
    return this.gasOf(p.owner.address, fn, p.signer.address, p.target.address, p.token, DEPOSIT, expiry)
  }

  /** One promise alone. */
  async settle(p: Parties, amount: bigint, locks?: readonly ShownLock[]): Promise<number> {
    return this.gasOf(p.target.address, 'settle', p.target.address, p.token, await this.row(p, amount, locks))
  }

  async settleBatch(channels: readonly Parties[], amount: bigint, locks?: readonly ShownLock[]): Promise<number> {
    const [first] = channels
    if (first === undefined) throw new Error('a batch needs a channel')
    const rows = concat(await Promise.all(channels.map((p) => this.row(p, amount, locks))))
    const done = await this.ledger.send(first.target.address, 'settleBatch', first.target.address, first.token, rows)
    if (done.events.some((event) => event.name === 'RowSkipped')) throw new Error('a row of the benchmark was skipped')
    return done.gas
  }

  row(p: Parties, amount: bigint, locks?: readonly ShownLock[]): Promise<string> {
    return p.owner.address === p.signer.address ? signedShortRow(p, amount, locks) : signedRow(p, amount, locks)
  }

  async closeCall(p: Parties, amount: bigint, epoch = 0n): Promise<[string, ...unknown[]]> {
    const signature = await signClose(p, amount, EXPIRY, epoch)
    return ['close', p.signer.address, p.target.address, p.token, amount, EXPIRY, signature]
  }

  /** The same call by a relay that does it for others all day, its fee paid in the same transaction. */
  async relayed(from: Wallet, token: string, fn: string, ...args: unknown[]): Promise<number> {
    const relay = this.wallet().address
    await fundBalance(this.chain, relay, DEPOSIT)
    const send = async (...calls: string[]): Promise<number> => {
      const request = await forwardRequest(this.chain, from, this.ledger.data('multicall', calls), EXPIRY)
      return (await this.chain.forwarder.send(relay, 'execute', request)).gas
    }
    const fee = this.ledger.data('transfer', token, relay, RELAY_FEE)
    await send(fee) // from now on the nonce of the signer is not new
    return send(this.ledger.data(fn, ...args), fee)
  }

  async gasOf(from: string, fn: string, ...args: unknown[]): Promise<number> {
    return (await this.ledger.send(from, fn, ...args)).gas
  }
}

/** A lock of 256 steps, shown up to step k. */
export function gasLock(k: number): ShownLock {
  const word = hashOf(`word ${k}`)
  return { anchor: walk(word, k), unit: 100n, steps: 256, expiry: EXPIRY, word, k }
}
