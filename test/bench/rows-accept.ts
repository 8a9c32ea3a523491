/** Rows of one payee process alone: promise_accept_per_s, tick_accept_per_s. */
import { type Bench, counted } from './bench.ts'
import { start } from './child.ts'
import type { PayeeAnswers } from './payee-alone.ts'
import { note } from './place.ts'
import { type Measured, measured, median } from './report.ts'

const CHANNELS = 1000
const PROMISES_EACH = 40
const TICKS_EACH = 1000
/** payments of one channel that may be on their way */
const PROMISE_WINDOW = 8
const TICK_WINDOW = 128
const CHECKS = 4000

/** Signed promises verified and stored in one process, up to 8 of a channel on their way; beside it the signature check alone. */
export async function acceptRows(bench: Bench): Promise<Measured[]> {
  const payee = start<PayeeAnswers>('payee-alone.ts', bench.profile)
  try {
    await payee.ask('begin', { place: bench.place, channels: CHANNELS })
    const each = Math.ceil(PROMISES_EACH * bench.scale)
    const runs = await counted(bench, async (name) => {
      const { ms, payments, perSync, cpuUs } = await payee.ask('accept', { each, pay: 'promise', window: PROMISE_WINDOW })
      const rate = payments / (ms / 1e3)
      const checks = await payee.ask('checks', { count: CHECKS })
      note(
        `promise_accept_per_s ${name}: ${rate.toFixed(0)}/s, ${perSync.toFixed(0)} promises a sync, ${cpuUs.toFixed(1)} us of CPU each, ${checks.toFixed(0)} checks/s alone`,
      )
      return { rate, checks }
    })
    await payee.ask('reopen')
    const alone = median(runs.map(({ checks }) => checks))
    const rates = runs.map(({ rate }) => rate)
    const text = `${CHANNELS} channels; the signature check alone: ${alone.toFixed(0)}/s in one thread`
    return [measured('promise_accept_per_s', '1/s', rates, { goal: 15_000, note: text })]
  } finally {
    await payee.stop()
  }
}

/** Ticks verified and stored in one process, each a payment of its own. What was sent is looked for on the disk after every run. */
export async function acceptTickRows(bench: Bench): Promise<Measured[]> {
  const payee = start<PayeeAnswers>('payee-alone.ts', bench.profile)
  try {
    await payee.ask('begin', { place: { ...bench.place, dir: `${bench.place.dir}/ticks` }, channels: CHANNELS })
    const each = Math.ceil(TICKS_EACH * bench.scale)
    const runs = await counted(bench, async (name) => {
      const { ms, payments, promises, perSync, cpuUs } = await payee.ask('accept', { each, pay: 'tick', window: TICK_WINDOW })
      const ticks = payments - promises
      const rate = ticks / (ms / 1e3)
      note(
        `tick_accept_per_s ${name}: ${rate.toFixed(0)}/s, ${ticks} ticks and ${promises} promises, ${perSync.toFixed(0)} payments a sync, ${cpuUs.toFixed(1)} us of CPU each`,
      )
      return { rate, promises }
    })
    await payee.ask('forge')
    await payee.ask('reopen')
    const rates = runs.map(({ rate }) => rate)
    const promises = median(runs.map((run) => run.promises))
    const text = `${CHANNELS} channels; ${promises} promises a run beside them; all found on the disk`
    return [measured('tick_accept_per_s', '1/s', rates, { goal: 400_000, note: text })]
  } finally {
    await payee.stop()
  }
}
