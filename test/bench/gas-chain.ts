/**
 * The chain on which gas is measured. It starts at a fixed time and every key is a fixed one, so each call has the same bytes in every
 * run and costs the same to the last unit of gas.
 */
import { id as hashOf, Wallet } from 'ethers'
import { type Chain, fundBalance, newParties, type Parties, startChain, YEAR } from '../protocols/ledger/fixture.ts'
import { type ShownLock, signedShortRow, walk } from '../protocols/ledger/messages.ts'

const START = 1_800_000_000
/** Reserved in each channel. */
export const DEPOSIT = 1_000_000_000n

export class GasChain {
  readonly chain: Chain
  #keys = 0

  private constructor(chain: Chain) {
    this.chain = chain
  }

  static async start(args: readonly string[] = []): Promise<GasChain> {
    return new GasChain(await startChain(['--timestamp', String(START), ...args]))
  }

  /** The next fixed key. */
  wallet(): Wallet {
    this.#keys += 1
    return new Wallet(hashOf(`gas ${this.#keys}`))
  }

  /** A channel whose owner signs for itself, open until `expiry`, never settled. The owner keeps a balance. */
  async channel(target = this.wallet()): Promise<Parties> {
    const owner = this.wallet()
    const p = await newParties(this.chain, { owner, signer: owner, target })
    await fundBalance(this.chain, owner.address, 3n * DEPOSIT)
    await this.chain.ledger.send(owner.address, 'open', owner.address, target.address, p.token, DEPOSIT, this.expiry())
    return p
  }

  /** The same, settled once, so that neither its slot nor the target's balance is new. */
  async usedChannel(target = this.wallet()): Promise<Parties> {
    const p = await this.channel(target)
    await this.settle(p, 1n)
    return p
  }

  expiry(): bigint {
    return BigInt(START) + YEAR
  }

  async settle(p: Parties, amount: bigint, locks?: readonly ShownLock[]): Promise<number> {
    const row = await signedShortRow(p, amount, locks)
    return (await this.chain.ledger.send(p.target.address, 'settle', p.target.address, p.token, row)).gas
  }

  /** A lock of 256 steps, shown up to step k. */
  lock(k: number): ShownLock {
    const word = hashOf(`word ${k}`)
    return { anchor: walk(word, k), unit: 100n, steps: 256, expiry: BigInt(START) + YEAR, word, k }
  }
}
