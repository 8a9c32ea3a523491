/** `npm run bench`: what this program does per second on this machine. @see README.md */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startDevnet } from '../../src/chain/devnet.ts'
import type { BuyerAnswers } from './buyer.ts'
import { start } from './child.ts'
import { measureGoodput } from './goodput.ts'
import type { PayeeAnswers } from './payee-alone.ts'
import type { PayersAnswers, PayersInit } from './payers.ts'
import { note, type Place } from './place.ts'
import type { ProviderAnswers } from './provider.ts'
import { type Measured, machine, measured, quantile, table } from './report.ts'
import { channelRows } from './rows-channels.ts'

const KIB = 1024
const CHANNELS = 1000
const PAYERS = 4
const SESSIONS_EACH = 32
/** 0.05 tokens at risk, the default, in chunks of 64 KiB at 0.01 tokens per MiB */
const CHUNKS_AHEAD = 80
/** chunks of a paid stream; `payEach`: a promise for each of them, whatever the credit allows */
const GOODPUT = {
  goodput_64k: { piece: 64 * KIB, goal: 0.8, payEach: false, pay: 'promise' },
  goodput_64k_each: { piece: 64 * KIB, goal: undefined, payEach: true, pay: 'promise' },
  goodput_tick_64k: { piece: 64 * KIB, goal: 0.97, payEach: true, pay: 'tick' },
  goodput_1m: { piece: KIB * KIB, goal: 0.95, payEach: false, pay: 'promise' },
  goodput_1m_each: { piece: KIB * KIB, goal: undefined, payEach: true, pay: 'promise' },
} as const
type Goodput = keyof typeof GOODPUT
const GROUPS = [
  'accept',
  'payments',
  'rtt',
  'goodput_64k',
  'goodput_64k_each',
  'goodput_tick_64k',
  'goodput_1m',
  'goodput_1m_each',
  'channels',
] as const
type Group = (typeof GROUPS)[number]

interface Bench {
  readonly place: Place
  readonly runs: number
  /** 1 = as long as usual */
  readonly scale: number
  readonly profile: string | undefined
}

/** Signed promises verified and stored in one process. */
async function acceptRow({ place, runs, scale, profile }: Bench): Promise<Measured[]> {
  const payee = start<PayeeAnswers>('payee-alone.ts', profile)
  try {
    await payee.ask('begin', { place, channels: CHANNELS })
    const each = Math.ceil(40 * scale)
    const rates: number[] = []
    for (let run = 0; run <= runs; run++) {
      const { ms, perSync } = await payee.ask('accept', { each })
      const rate = (CHANNELS * each) / (ms / 1e3)
      note(
        `promise_accept_per_s ${run === 0 ? 'warm-up' : `run ${run}`}: ${rate.toFixed(0)}/s, ${perSync.toFixed(0)} promises a sync`,
      )
      if (run > 0) rates.push(rate)
    }
    return [measured('promise_accept_per_s', '1/s', rates, { note: `${CHANNELS} channels` })]
  } finally {
    await payee.stop()
  }
}

async function withPayers<T>(
  bench: Bench,
  init: Pick<PayersInit, 'payers' | 'sessionsEach' | 'chunksAhead'>,
  use: (payers: ReturnType<typeof start<PayersAnswers>>) => Promise<T>,
): Promise<T> {
  const place = { ...bench.place, dir: await mkdtemp(join(bench.place.dir, 'pay-')) }
  const provider = start<ProviderAnswers>('provider.ts', bench.profile)
  const payers = start<PayersAnswers>('payers.ts', bench.profile)
  try {
    const { address } = await provider.ask('begin', place)
    const offer = await provider.ask('sell', { name: 'pay', chunk: 64 * KIB })
    await payers.ask('begin', { place, provider: address, offer, ...init })
    return await use(payers)
  } finally {
    await payers.stop()
    await provider.stop()
  }
}

/** Payments per second between two processes. */
async function paymentsRow(bench: Bench): Promise<Measured[]> {
  const { runs, scale } = bench
  return await withPayers(bench, { payers: PAYERS, sessionsEach: SESSIONS_EACH, chunksAhead: CHUNKS_AHEAD }, async (payers) => {
    const payments = Math.ceil(30_000 * scale)
    const rates: number[] = []
    for (let run = 0; run <= runs; run++) {
      const rate = payments / ((await payers.ask('pay', { payments })) / 1e3)
      note(`promise_e2e_per_s ${run === 0 ? 'warm-up' : `run ${run}`}: ${rate.toFixed(0)}/s`)
      if (run > 0) rates.push(rate)
    }
    return [measured('promise_e2e_per_s', '1/s', rates, { note: `${PAYERS} payers x ${SESSIONS_EACH} sessions` })]
  })
}

/** One payment at a time between two processes. */
async function rttRows(bench: Bench): Promise<Measured[]> {
  const { runs, scale } = bench
  const payments = Math.ceil(1500 * scale)
  // the reservation reaches for the whole benchmark: the time is from signing, not from reserving
  return await withPayers(bench, { payers: 1, sessionsEach: 1, chunksAhead: 2 * payments * (runs + 1) }, async (payers) => {
    const p50: number[] = []
    const p99: number[] = []
    for (let run = 0; run <= runs; run++) {
      const times = [...(await payers.ask('roundTrips', { payments }))]
      note(
        `payment_rtt ${run === 0 ? 'warm-up' : `run ${run}`}: p50 ${quantile(times, 0.5).toFixed(0)} us, p99 ${quantile(times, 0.99).toFixed(0)} us`,
      )
      if (run === 0) continue
      p50.push(quantile(times, 0.5))
      p99.push(quantile(times, 0.99))
    }
    return [measured('payment_rtt_p50_us', 'us', p50), measured('payment_rtt_p99_us', 'us', p99)]
  })
}

async function goodputRow(bench: Bench, group: Goodput): Promise<Measured[]> {
  const place = { ...bench.place, dir: await mkdtemp(join(bench.place.dir, 'buy-')) }
  const { piece, goal, payEach, pay } = GOODPUT[group]
  const provider = start<ProviderAnswers>('provider.ts', bench.profile)
  const buyer = start<BuyerAnswers>('buyer.ts', bench.profile)
  try {
    const addresses = await provider.ask('begin', place)
    await provider.ask('sell', { name: group, chunk: piece })
    await buyer.ask('begin', { place, provider: addresses, payEach, pay })
    const megabytes = Math.ceil(128 * bench.scale)
    return [await measureGoodput(provider, buyer, { id: group, service: group, piece, goal, runs: bench.runs, megabytes })]
  } finally {
    await buyer.stop()
    await provider.stop()
  }
}

const MEASURES: Readonly<Record<Group, (bench: Bench) => Promise<Measured[]>>> = {
  accept: acceptRow,
  payments: paymentsRow,
  goodput_64k: (bench) => goodputRow(bench, 'goodput_64k'),
  goodput_64k_each: (bench) => goodputRow(bench, 'goodput_64k_each'),
  goodput_tick_64k: (bench) => goodputRow(bench, 'goodput_tick_64k'),
  goodput_1m: (bench) => goodputRow(bench, 'goodput_1m'),
  goodput_1m_each: (bench) => goodputRow(bench, 'goodput_1m_each'),
  rtt: rttRows,
  channels: channelRows,
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true, default: [...GROUPS] },
    dir: { type: 'string', default: tmpdir() },
    profile: { type: 'string' },
  },
})

const dir = await mkdtemp(join(values.dir, 'tallystick-bench-'))
const devnet = await startDevnet()
try {
  const { rpcUrl, chainId, ledger, token } = devnet
  const bench: Bench = {
    place: { rpcUrl, chainId, ledger, token, dir },
    runs: Number(values.runs),
    scale: Number(values.scale),
    profile: values.profile,
  }
  if (!values.json) process.stdout.write(`${machine()}\n\n`)
  const rows: Measured[] = []
  for (const group of GROUPS) if (values.only.includes(group)) rows.push(...(await MEASURES[group](bench)))
  if (values.json) {
    const plain = rows.map(({ id, value, unit, runs }) => ({ id, value, unit, runs }))
    process.stdout.write(`${JSON.stringify({ machine: machine(), rows: plain }, null, 2)}\n`)
  } else process.stdout.write(`${table(rows)}\n`)
} finally {
  await devnet.stop()
  await rm(dir, { recursive: true, force: true })
}
