/** What every group of rows is given. */
import type { Place } from './place.ts'
import type { Measured } from './report.ts'

export interface Bench {
  readonly place: Place
  /** runs that count; one more goes before them */
  readonly runs: number
  /** how long each run lasts: 1 = as long as usual */
  readonly scale: number
  /** where processes leave CPU profiles */
  readonly profile: string | undefined
}

/** Measures the rows of one group. */
export type Measure = (bench: Bench) => Promise<Measured[]>

/** Runs one that does not count and then `runs` that do; the results of those. */
export async function counted<T>({ runs }: Bench, run: (name: string) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let at = 0; at <= runs; at++) {
    const result = await run(at === 0 ? 'warm-up' : `run ${at}`)
    if (at > 0) results.push(result)
  }
  return results
}
