/** Rows goodput_64k and goodput_1m: a paid stream against the same bytes unpaid, taking turns in the same two processes. */
import type { Busy } from './busy.ts'
import type { BuyerAnswers, Load } from './buyer.ts'
import type { Child } from './child.ts'
import { note } from './place.ts'
import type { ProviderAnswers } from './provider.ts'
import { type Measured, measured, median } from './report.ts'

const MIB = 1 << 20
/** turns in one run: a slow moment of the machine must not always meet the same one of the two */
const TURNS = 4

interface Init {
  readonly id: string
  readonly service: string
  /** bytes of one write, and of the chunk that one payment is for */
  readonly piece: number
  readonly goal: number | undefined
  readonly runs: number
  /** MiB of each paid and each unpaid fetch of a turn */
  readonly megabytes: number
}

/** What several turns of one sort came to. */
class Sum {
  ms = 0
  payments = 0
  /** processor time of provider and buyer */
  readonly cpuMs = [0, 0]

  add(ms: number, payments: number, busy: readonly Busy[]): void {
    this.ms += ms
    this.payments += payments
    for (const [at, { cpuMs }] of busy.entries()) this.cpuMs[at] = (this.cpuMs[at] ?? 0) + cpuMs
  }

  /** as the progress line shows it: CPU is the provider's and the buyer's, in cores */
  text(bytes: number): string {
    const cores = this.cpuMs.map((cpuMs) => (cpuMs / this.ms).toFixed(2)).join(' + ')
    const perMib = (this.cpuMs.reduce((a, b) => a + b, 0) / (bytes / MIB)).toFixed(2)
    return `${(bytes / 1e3 / this.ms).toFixed(0)} MB/s (${cores} cores, ${perMib} ms of CPU per MiB)`
  }
}

/** Runs of `TURNS` paid and unpaid fetches, after a run that does not count. The ratio of a run is that of its sums. */
export async function measureGoodput(
  provider: Child<ProviderAnswers>,
  buyer: Child<BuyerAnswers>,
  init: Init,
): Promise<Measured> {
  const load: Load = { service: init.service, total: init.megabytes * MIB, piece: init.piece }
  const rate = (sum: Sum): number => (load.total * TURNS) / 1e6 / (sum.ms / 1e3)
  const ratios: number[] = []
  const paidRates: number[] = []
  const plainRates: number[] = []
  let payments = 0
  for (let run = 0; run <= init.runs; run++) {
    const [paid, plain] = [new Sum(), new Sum()]
    const busy = async (): Promise<readonly Busy[]> => [await provider.ask('busy'), await buyer.ask('busy')]
    for (let turn = 0; turn < TURNS; turn++) {
      await busy()
      const bought = await buyer.ask('paid', load)
      paid.add(bought.ms, bought.payments, await busy())
      plain.add(await buyer.ask('unpaid', load), 0, await busy())
    }
    const bytes = load.total * TURNS
    note(
      `${init.id} ${run === 0 ? 'warm-up' : `run ${run}`}: paid ${paid.text(bytes)}, ${paid.payments} payments; unpaid ${plain.text(bytes)}`,
    )
    if (run === 0) continue
    ratios.push(plain.ms / paid.ms)
    payments += paid.payments
    paidRates.push(rate(paid))
    plainRates.push(rate(plain))
  }
  const chunks = (load.total / init.piece) * TURNS * init.runs
  const rates = `${median(paidRates).toFixed(0)} MB/s paid, ${median(plainRates).toFixed(0)} unpaid, ${(payments / chunks).toFixed(2)} payments a chunk`
  return measured(init.id, 'ratio', ratios, { goal: init.goal, note: rates })
}
