/** Rows verify_vs_*: how many of our promise checks fit into one of somebody else's, in the same thread of the same run. */
import { type Bench, counted } from './bench.ts'
import { type Child, start } from './child.ts'
import { INSTALL_COMMAND, versionOf } from './peers.ts'
import { note } from './place.ts'
import { type Measured, measured, median } from './report.ts'
import { isThere, OTHERS, OURS } from './verifiers.ts'
import type { VerifyAnswers } from './verify.ts'

/** rounds in one run, in which all take turns */
const ROUNDS = 5
const ROUND_MS = 300
const GOALS: Readonly<Record<string, number>> = { ethers: 20, mppx: 40 }

export async function verifyRows(bench: Bench): Promise<Measured[]> {
  const others = OTHERS.filter(isThere)
  const absent = OTHERS.filter((one) => !isThere(one)).map(({ id }) => `verify_vs_${id}`)
  if (absent.length > 0) note(`left out: ${absent.join(', ')}; to measure them too: ${INSTALL_COMMAND}`)
  const thread = start<VerifyAnswers>('verify.ts', bench.profile)
  try {
    const ids = [OURS.id, ...others.map(({ id }) => id)]
    const runs = await counted(bench, async (name) => {
      const rates = await measureRun(thread, ids, ROUND_MS * bench.scale)
      note(`verify ${name}: ${[...rates].map(([id, rate]) => `${id} ${rate.toFixed(0)}/s`).join(', ')}`)
      return rates
    })
    const typical = (id: string): number => median(runs.map((rates) => rates.get(id) ?? Number.NaN))
    return others.map(({ id, needs }) => {
      const ratios = runs.map((rates) => (rates.get(OURS.id) ?? Number.NaN) / (rates.get(id) ?? Number.NaN))
      const version = needs === undefined ? '' : ` ${versionOf(needs)}`
      const text = `${typical(OURS.id).toFixed(0)}/s ours, ${typical(id).toFixed(0)}/s ${id}${version}`
      return measured(`verify_vs_${id}`, 'ratio', ratios, { goal: GOALS[id], note: text })
    })
  } finally {
    await thread.stop()
  }
}

/** The median rate of each over the rounds of one run. */
async function measureRun(thread: Child<VerifyAnswers>, ids: readonly string[], ms: number): Promise<Map<string, number>> {
  const rounds = new Map<string, number[]>(ids.map((id) => [id, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const id of ids) rounds.get(id)?.push(await thread.ask('checks', { id, ms }))
  }
  return new Map([...rounds].map(([id, rates]) => [id, median(rates)]))
}
