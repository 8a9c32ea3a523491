import { randomBytes } from 'node:crypto'
import { after, before } from 'node:test'
import { type ChainInit, createChain } from '../../../src/chain/chain.ts'
import { type Devnet, startDevnet } from '../../../src/chain/devnet.ts'
import type { Amount } from '../../../src/core/amount.ts'
import { addressOfKey, sign } from '../../../src/core/crypto/secp256k1.ts'
import type { Address, Seconds } from '../../../src/core/ids.ts'
import type { Chain, ChainFact, ChainSigner, Job, JobState, LedgerAction } from '../../../src/ports/chain.ts'
import { openMemoryStore } from '../../../src/store/memory-store.ts'

export const ONE = 1_000_000n
export const units = (value: bigint) => value as Amount
export const at = (value: number) => value as Seconds

/** A signer with a fresh key. */
export function newSigner(): ChainSigner {
  const key = randomBytes(32)
  return { address: addressOfKey(key), sign: (digest) => sign(digest, key) }
}

/** A devnet for one suite, stopped at its end. */
export function useDevnet(): { readonly net: Devnet } {
  const holder: { net?: Devnet } = {}
  before(async () => {
    holder.net = await startDevnet()
  })
  after(async () => {
    await holder.net?.stop()
  })
  return {
    get net() {
      if (holder.net === undefined) throw new Error('the devnet has not been started yet')
      return holder.net
    },
  }
}

/** An account with gas and tokens. */
export async function fundedSigner(net: Devnet, tokens = 1_000n * ONE, wei = 10n ** 19n): Promise<ChainSigner> {
  const signer = newSigner()
  await net.fund(signer.address, { wei, tokens })
  return signer
}

/** A chain over the devnet that looks often; everything may be overridden. */
export function chainOn(net: Devnet, init: Partial<ChainInit> = {}): Chain {
  return createChain({
    rpcUrl: net.rpcUrl,
    chainId: net.chainId,
    ledger: net.ledger,
    confirmations: 0,
    signer: newSigner(),
    store: openMemoryStore(),
    startBlock: 0,
    pollMs: 20,
    timeoutMs: 5_000,
    ...init,
  })
}

/** Closes chains when the test ends, however it ends. */
export function closing(t: { after(fn: () => Promise<void>): void }, ...chains: Chain[]): void {
  for (const chain of chains) t.after(() => chain.close())
}

export interface FactLog {
  readonly facts: ChainFact[]
  /** Resolves as soon as a fact like this has come, also in the past. */
  until(wanted: (fact: ChainFact) => boolean): Promise<ChainFact>
}

export function factLog(chain: Chain): FactLog {
  const facts: ChainFact[] = []
  const waiting = new Set<() => void>()
  chain.follow((news) => {
    facts.push(...news)
    for (const look of [...waiting]) look()
  })
  return {
    facts,
    until(wanted) {
      return new Promise((resolve) => {
        const look = () => {
          const found = facts.find(wanted)
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      })
    },
  }
}

export interface JobLog {
  readonly states: JobState[]
  /** Resolves when the job gets this state from now on. */
  next(state: JobState): Promise<Job>
}

/** The states of one job as they come. */
export function jobLog(chain: Chain, id: string): JobLog {
  const states: JobState[] = []
  const waiting = new Set<(job: Job) => void>()
  chain.transactions.observe((job) => {
    if (job.id !== id) return
    states.push(job.state)
    for (const look of [...waiting]) look(job)
  })
  return {
    states,
    next(state) {
      return new Promise((resolve) => {
        const look = (job: Job) => {
          if (job.state !== state) return
          waiting.delete(look)
          resolve(job)
        }
        waiting.add(look)
      })
    },
  }
}

export function openAction(
  target: Address,
  token: Address,
  amount: bigint,
  init: { signer: Address; expiry: number; from?: 'wallet' | 'balance' },
): LedgerAction {
  return {
    kind: 'open',
    signer: init.signer,
    target,
    token,
    amount: units(amount),
    expiry: at(init.expiry),
    from: init.from ?? 'wallet',
  }
}
