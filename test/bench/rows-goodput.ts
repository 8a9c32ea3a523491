/** Rows goodput_*: which streams are compared, and on which line. */
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bench } from './bench.ts'
import type { BuyerAnswers } from './buyer.ts'
import { type Child, start } from './child.ts'
import type { DelayAnswers } from './delay-proxy.ts'
import { measureGoodput } from './goodput.ts'
import type { Provider, ProviderAnswers } from './provider.ts'
import type { Measured } from './report.ts'

const KIB = 1024
const MIB = KIB * KIB

interface Stream {
  /** bytes of a write, and of the chunk that one payment is for */
  readonly piece: number
  readonly goal?: number
  /** a payment for each chunk, whatever the credit allows */
  readonly payEach: boolean
  readonly pay: 'promise' | 'tick'
  /** what the line adds to a round trip, in milliseconds */
  readonly rttMs?: number
  /** MiB of each paid and each unpaid fetch */
  readonly megabytes?: number
}

const STREAMS = {
  goodput_64k: { piece: 64 * KIB, goal: 0.8, payEach: false, pay: 'promise' },
  goodput_64k_each: { piece: 64 * KIB, goal: 0.85, payEach: true, pay: 'promise' },
  goodput_tick_64k: { piece: 64 * KIB, goal: 0.97, payEach: true, pay: 'tick' },
  // a stream whose window is 1 MiB brings at most 20 MiB a second there, paid or not
  goodput_tick_64k_rtt50: { piece: 64 * KIB, goal: 0.97, payEach: true, pay: 'tick', rttMs: 50, megabytes: 32 },
  goodput_1m: { piece: MIB, goal: 0.95, payEach: false, pay: 'promise' },
  goodput_1m_each: { piece: MIB, goal: 0.97, payEach: true, pay: 'promise' },
} as const satisfies Readonly<Record<string, Stream>>

const MEGABYTES = 128
/** a tenth of what was paid becomes credit, 64 chunks of it at the most: so many chunks are paid before a far line is measured */
const CHUNKS_FOR_ALL_CREDIT = 640

export async function goodputRows(bench: Bench, id: keyof typeof STREAMS): Promise<Measured[]> {
  const place = { ...bench.place, dir: await mkdtemp(join(bench.place.dir, 'buy-')) }
  const { piece, goal, payEach, pay, rttMs, megabytes = MEGABYTES }: Stream = STREAMS[id]
  const provider = start<ProviderAnswers>('provider.ts', bench.profile)
  const buyer = start<BuyerAnswers>('buyer.ts', bench.profile)
  const line = rttMs === undefined ? undefined : start<DelayAnswers>('delay-proxy.ts')
  try {
    const near = await provider.ask('begin', place)
    const far = line === undefined || rttMs === undefined ? undefined : await behind(line, near, rttMs / 2)
    await provider.ask('sell', { name: id, chunk: piece })
    await buyer.ask('begin', { place, provider: far?.addresses ?? near, payEach, pay })
    if (far !== undefined) await buyer.ask('earnCredit', { service: id, piece, chunks: CHUNKS_FOR_ALL_CREDIT })
    const init = { id, service: id, piece, goal, runs: bench.runs, megabytes: Math.ceil(megabytes * bench.scale) }
    const row = await measureGoodput(provider, buyer, init)
    await far?.demandUsed()
    return [row]
  } finally {
    await buyer.stop()
    await line?.stop()
    await provider.stop()
  }
}

/** The provider's addresses at the far end of a slow line. */
async function behind(line: Child<DelayAnswers>, near: Provider, latencyMs: number) {
  const ports: number[] = []
  const through = async (address: string): Promise<string> => {
    const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1])
    const own = await line.ask('delay', { port, latencyMs })
    ports.push(own)
    return address.replace(`/tcp/${port}`, `/tcp/${own}`)
  }
  const addresses = { address: await through(near.address), plainAddress: await through(near.plainAddress) }
  /** @throws when one of the two streams went another way */
  const demandUsed = async (): Promise<void> => {
    for (const port of ports) {
      if ((await line.ask('passed', { port })) === 0) throw new Error('nothing went through the slow line')
    }
  }
  return { addresses, demandUsed }
}
