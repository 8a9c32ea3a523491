/** Rows goodput_64k and goodput_1m: a paid stream against the same bytes unpaid, taking turns in the same two processes. */

import type { BuyerAnswers, Load } from './buyer.ts'
import type { Child } from './child.ts'
import { note } from './place.ts'
import { type Measured, measured, median } from './report.ts'

const MIB = 1 << 20

/** A paid and an unpaid fetch for each run, after one of each that does not count. @param megabytes of each fetch, in MiB */
export async function measureGoodput(
  buyer: Child<BuyerAnswers>,
  row: { id: string; service: string; piece: number; goal: number },
  runs: number,
  megabytes: number,
): Promise<Measured> {
  const load: Load = { service: row.service, total: megabytes * MIB, piece: row.piece }
  const rate = (ms: number): number => load.total / 1e6 / (ms / 1e3)
  const ratios: number[] = []
  const paidRates: number[] = []
  const plainRates: number[] = []
  for (let run = 0; run <= runs; run++) {
    // whichever goes first: a slow moment of the machine must not always meet the same one
    const [paid, plain] =
      run % 2 === 0 ? [await buyer.ask('paid', load), await buyer.ask('unpaid', load)] : await plainFirst(buyer, load)
    note(
      `${row.id} ${run === 0 ? 'warm-up' : `run ${run}`}: paid ${rate(paid.ms).toFixed(0)} MB/s (${paid.payments} payments), unpaid ${rate(plain).toFixed(0)} MB/s`,
    )
    if (run === 0) continue
    ratios.push(plain / paid.ms)
    paidRates.push(rate(paid.ms))
    plainRates.push(rate(plain))
  }
  const text = `${median(paidRates).toFixed(0)} MB/s paid, ${median(plainRates).toFixed(0)} MB/s unpaid`
  return measured(row.id, 'ratio', ratios, { goal: row.goal, note: text })
}

async function plainFirst(buyer: Child<BuyerAnswers>, load: Load) {
  const plain = await buyer.ask('unpaid', load)
  return [await buyer.ask('paid', load), plain] as const
}
