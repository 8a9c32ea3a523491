/** Rows of two processes, payers and a provider, over TCP, noise and yamux. */
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bench, counted } from './bench.ts'
import { type Child, start } from './child.ts'
import { demandSame } from './durable.ts'
import type { PayersInit } from './payer.ts'
import type { PayersAnswers } from './payers.ts'
import { note } from './place.ts'
import type { ProviderAnswers } from './provider.ts'
import { type Measured, measured, quantile } from './report.ts'

const CHUNK = 64 << 10
/** 0.05 tokens at risk, the default, in chunks of 64 KiB at 0.01 tokens per MiB */
const CHUNKS_AHEAD = 80
const PROMISES = { payers: 4, sessionsEach: 32, chunksAhead: CHUNKS_AHEAD, pay: 'promise' } as const
/** a base unit for 64 KiB: the same 0.05 tokens at risk are 50,000 of them */
const TICKS = { payers: 16, sessionsEach: 8, chunksAhead: 50_000, pay: 'tick' } as const
const TICK_PRICE = '0.000016/MiB'
/** ticks of one session that may be on their way */
const TICK_WINDOW = 64
/** how long payments arrive at a given rate, in seconds */
const LOAD_S = 3
const LOADS = [10, 80] as const

interface Ends {
  readonly payers: Child<PayersAnswers>
  readonly provider: Child<ProviderAnswers>
}

async function withPayers<T>(
  bench: Bench,
  init: Omit<PayersInit, 'place' | 'provider' | 'offer'> & { price?: string },
  use: (ends: Ends) => Promise<T>,
): Promise<T> {
  const place = { ...bench.place, dir: await mkdtemp(join(bench.place.dir, 'pay-')) }
  const provider = start<ProviderAnswers>('provider.ts', bench.profile)
  const payers = start<PayersAnswers>('payers.ts', bench.profile)
  try {
    const { address } = await provider.ask('begin', place)
    const { price, ...rest } = init
    const offer = await provider.ask('sell', { name: 'pay', chunk: CHUNK, ...(price === undefined ? {} : { price }) })
    await payers.ask('begin', { place, provider: address, offer, ...rest })
    const result = await use({ payers, provider })
    demandSame('session', await payers.ask('paid'), await provider.ask('durable'))
    return result
  } finally {
    await payers.stop()
    await provider.stop()
  }
}

/** Processor time of either end for one payment, all threads together, since this was asked last; as the progress line shows it. */
async function cpuUs({ payers, provider }: Ends, payments: number): Promise<string> {
  const us = (cpuMs: number): string => ((cpuMs * 1000) / payments).toFixed(1)
  const [paying, paid] = [await payers.ask('busy'), await provider.ask('busy')]
  return `${us(paying.cpuMs)} + ${us(paid.cpuMs)} us of CPU each (payers, provider)`
}

/** Signed promises per second between two processes, and the time of one while so many others are under way. */
export async function paymentRows(bench: Bench): Promise<Measured[]> {
  return await withPayers(bench, PROMISES, async (ends) => {
    const { payers } = ends
    const payments = Math.ceil(30_000 * bench.scale)
    const runs = await counted(bench, async (name) => {
      await cpuUs(ends, payments)
      const { ms } = await payers.ask('pay', { payments, window: 1 })
      const rate = payments / (ms / 1e3)
      note(`promise_e2e_per_s ${name}: ${rate.toFixed(0)}/s, ${await cpuUs(ends, payments)}`)
      const times: Float64Array[] = []
      for (const load of LOADS) times.push(await loaded(bench, payers, { name, load, rate }))
      return { rate, times }
    })
    const rates = runs.map(({ rate }) => rate)
    const text = `${PROMISES.payers} payers x ${PROMISES.sessionsEach} sessions`
    const loadRows = LOADS.flatMap((load, at) =>
      rttRowsOf(
        `_load${load}`,
        runs.map(({ times }) => times[at] ?? new Float64Array(0)),
      ),
    )
    return [measured('promise_e2e_per_s', '1/s', rates, { goal: 12_000, note: text }), ...loadRows]
  })
}

/** Times of payments that arrive at `load` percent of the rate that was measured a moment ago. */
async function loaded(
  { scale }: Bench,
  payers: Child<PayersAnswers>,
  { name, load, rate }: { name: string; load: number; rate: number },
): Promise<Float64Array> {
  const perSecond = (rate * load) / 100
  const times = await payers.ask('load', { payments: Math.ceil(perSecond * LOAD_S * scale), perSecond })
  note(`payment_rtt ${name} at ${perSecond.toFixed(0)}/s (${load} %): ${shownTimes(times)}`)
  return times
}

const shownTimes = (times: Float64Array): string =>
  `p50 ${quantile([...times], 0.5).toFixed(0)} us, p99 ${quantile([...times], 0.99).toFixed(0)} us`

function rttRowsOf(suffix: string, runs: readonly Float64Array[]): Measured[] {
  const row = (id: string, at: number): Measured =>
    measured(
      `${id}${suffix}`,
      'us',
      runs.map((times) => quantile([...times], at)),
    )
  return [row('payment_rtt_p50_us', 0.5), row('payment_rtt_p99_us', 0.99)]
}

/** Ticks per second between two processes, each a payment of its own session. */
export async function tickRows(bench: Bench): Promise<Measured[]> {
  return await withPayers(bench, { ...TICKS, price: TICK_PRICE }, async (ends) => {
    const { payers, provider } = ends
    const payments = Math.ceil(500_000 * bench.scale)
    const rates = await counted(bench, async (name) => {
      await cpuUs(ends, payments)
      const { ms, ticks, promises } = await payers.ask('pay', { payments, window: TICK_WINDOW })
      const cpu = await cpuUs(ends, payments)
      // two chunks that were paid together would be one message
      if (ticks + promises !== payments) throw new Error(`${payments} payments left as ${ticks} ticks and ${promises} promises`)
      demandSame('session', await payers.ask('paid'), await provider.ask('durable'))
      const rate = ticks / (ms / 1e3)
      note(`tick_e2e_per_s ${name}: ${rate.toFixed(0)}/s, ${ticks} ticks and ${promises} promises, ${cpu}`)
      return rate
    })
    const text = `${TICKS.payers} payers x ${TICKS.sessionsEach} sessions; all found on the provider's disk`
    return [measured('tick_e2e_per_s', '1/s', rates, { goal: 200_000, note: text })]
  })
}

/** One payment at a time between two processes. */
export async function rttRows(bench: Bench): Promise<Measured[]> {
  const payments = Math.ceil(1500 * bench.scale)
  // the reservation reaches for the whole benchmark: the time is from signing, not from reserving
  const chunksAhead = 2 * payments * (bench.runs + 1)
  return await withPayers(bench, { payers: 1, sessionsEach: 1, chunksAhead, pay: 'promise' }, async ({ payers }) => {
    const runs = await counted(bench, async (name) => {
      const times = await payers.ask('roundTrips', { payments })
      note(`payment_rtt ${name}: ${shownTimes(times)}`)
      return times
    })
    return rttRowsOf('', runs)
  })
}
