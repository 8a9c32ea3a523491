/** A process of the benchmark: a real node over a database that is there already. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createNode } from '../../src/node/create-node.ts'
import type { TallyNode } from '../../src/node/node.ts'
import { answer } from './child.ts'
import type { Place } from './place.ts'
import { zerosService } from './zeros.ts'

let node: TallyNode | undefined

export interface Started {
  /** from the call until the node listens and knows its sums, ms */
  readonly ms: number
  /** what was signed for it and is not settled, base units */
  readonly unsettled: bigint
}

export interface Memory {
  /** of the process, files of the database that are mapped into it included */
  readonly rssMb: number
  /** the most it ever was */
  readonly peakMb: number
  /** without what is mapped */
  readonly ownMb: number
}

const answers = {
  async begin({ place, privateKey }: { place: Place; privateKey: Uint8Array }): Promise<Started> {
    const { rpcUrl, chainId, ledger, token, dir } = place
    const begun = performance.now()
    node = await createNode({
      privateKey,
      store: { path: join(dir, 'db') },
      chain: { rpcUrl, chainId, ledger, confirmations: 0 },
      token,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      // nothing is settled while it is measured
      provider: { settleAt: '1000000 token', settleOnClose: false },
    })
    await node.serve({ name: 'zeros', service: zerosService, price: '0.01/MiB' })
    return { ms: performance.now() - begun, unsettled: node.money.sums.earned.unsettled }
  },

  /** Runs for that long, and looks at its first thousand channels as a person would. */
  async run({ ms }: { ms: number }): Promise<Memory> {
    if (node === undefined) throw new Error('begin first')
    let listed = 0
    for await (const _ of node.money.due()) if (++listed === 1_000) break
    await delay(ms)
    const status = readFileSync('/proc/self/status', 'utf8')
    const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1])
    return { rssMb: kilobytes('VmRSS') / 1024, peakMb: kilobytes('VmHWM') / 1024, ownMb: kilobytes('RssAnon') / 1024 }
  },

  async end(): Promise<void> {
    await node?.stop()
  },
}
export type ManyChannelsAnswers = typeof answers

answer(answers)
