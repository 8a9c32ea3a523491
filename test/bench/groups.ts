/** Every group of rows, in the order in which they are measured. To add one: a line here, and its rows in README.md. */
import type { Measure } from './bench.ts'
import { acceptRows, acceptTickRows } from './rows-accept.ts'
import { channelRows } from './rows-channels.ts'
import { goodputRows } from './rows-goodput.ts'
import { httpRows } from './rows-http.ts'
import { paymentRows, rttRows, tickRows } from './rows-pay.ts'
import { verifyRows } from './rows-verify.ts'

export const GROUPS = {
  accept: acceptRows,
  accept_tick: acceptTickRows,
  payments: paymentRows,
  ticks: tickRows,
  rtt: rttRows,
  goodput_64k: (bench) => goodputRows(bench, 'goodput_64k'),
  goodput_64k_each: (bench) => goodputRows(bench, 'goodput_64k_each'),
  goodput_tick_64k: (bench) => goodputRows(bench, 'goodput_tick_64k'),
  goodput_tick_64k_rtt50: (bench) => goodputRows(bench, 'goodput_tick_64k_rtt50'),
  goodput_1m: (bench) => goodputRows(bench, 'goodput_1m'),
  goodput_1m_each: (bench) => goodputRows(bench, 'goodput_1m_each'),
  http: httpRows,
  verify: verifyRows,
  channels: channelRows,
} as const satisfies Readonly<Record<string, Measure>>
