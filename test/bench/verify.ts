/** A process of the benchmark: checks signatures and nothing else, in one thread. */
import { answer } from './child.ts'
import { type Check, OTHERS, OURS } from './verifiers.ts'

const made = new Map<string, Check>()

const answers = {
  /** Checks one after the other for `ms` milliseconds; answers how many a second. */
  async checks({ id, ms }: { id: string; ms: number }): Promise<number> {
    const check = await checkOf(id)
    const begin = performance.now()
    let count = 0
    let took = 0
    while (took < ms) {
      const good = check(count)
      // one that answers at once is not made to wait
      if (!(typeof good === 'boolean' ? good : await good)) throw new Error(`${id} refused its own payment`)
      count += 1
      took = performance.now() - begin
    }
    return count / (took / 1e3)
  },
}
export type VerifyAnswers = typeof answers

async function checkOf(id: string): Promise<Check> {
  const known = made.get(id)
  if (known !== undefined) return known
  const verifier = [OURS, ...OTHERS].find((one) => one.id === id)
  if (verifier === undefined) throw new Error(`nobody is called ${id}`)
  const check = await verifier.make()
  made.set(id, check)
  return check
}

answer(answers)
