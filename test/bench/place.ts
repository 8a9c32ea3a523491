/** What every process of the benchmark is told: where the chain is, and where its files go. */
import type { Address } from '../../src/core/ids.ts'

export interface Place {
  readonly rpcUrl: string
  readonly chainId: number
  readonly ledger: Address
  readonly token: Address
  /** a folder of this run: on the disk that is to be measured */
  readonly dir: string
}

/** Writes a line for whoever waits, on stderr. */
export const note = (text: string): void => void process.stderr.write(`${text}\n`)
