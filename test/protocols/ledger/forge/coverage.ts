/**
 * `node test/protocols/ledger/forge/coverage.ts`: how much of the contracts the fuzz tests and a short campaign reach.
 *
 * Counted are lines and branches of `protocols/ledger/contracts` without its `test` folder. Lines inside assembly blocks are not: forge
 * sees no statements there. Fails below 95 percent of either.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { forge, ROOT } from './forge.ts'

const LEAST = 95
const CONTRACTS = 'protocols/ledger/contracts/'
const folder = join(ROOT, 'node_modules/.cache/forge/coverage')
const report = join(folder, 'lcov.info')

interface Count {
  hit: number
  all: number
}

/** The numbers of the lines that lie inside assembly blocks. */
function assemblyLines(source: string): Set<number> {
  const inside = new Set<number>()
  let depth = 0
  for (const [i, line] of source.split('\n').entries()) {
    const code = line.replace(/\/\/.*/, '')
    const starts = depth === 0 && /\bassembly\b/.test(code)
    if (depth > 0 || starts) {
      inside.add(i + 1)
      depth += code.split('{').length - code.split('}').length
    }
  }
  return inside
}

/** Lines and branches of one file of the report: `DA:line,hits` and `BRDA:line,block,branch,hits`. */
function countFile(section: string, skipped: ReadonlySet<number>): { lines: Count; branches: Count } {
  const lines = { hit: 0, all: 0 }
  const branches = { hit: 0, all: 0 }
  for (const [, kind, rest = ''] of section.matchAll(/^(DA|BRDA):(.*)$/gm)) {
    const fields = rest.split(',')
    if (skipped.has(Number(fields[0]))) continue
    const count = kind === 'DA' ? lines : branches
    const hits = fields[kind === 'DA' ? 1 : 3]
    count.all++
    if (hits !== '0' && hits !== '-') count.hit++
  }
  return { lines, branches }
}

const percent = ({ hit, all }: Count): number => (all === 0 ? 100 : (100 * hit) / all)
const show = (count: Count): string => `${percent(count).toFixed(1)} % (${count.hit}/${count.all})`

mkdirSync(folder, { recursive: true })
const answer = forge(['coverage', '--ir-minimum', '--report', 'lcov', '--report-file', report], {
  FOUNDRY_OUT: join(folder, 'out'),
  FOUNDRY_CACHE_PATH: join(folder, 'cache'),
  FOUNDRY_FUZZ_RUNS: '200',
  FOUNDRY_INVARIANT_RUNS: '4',
})
if (answer.status !== 0) throw new Error(answer.stdout + answer.stderr)

const total = { lines: { hit: 0, all: 0 }, branches: { hit: 0, all: 0 } }
process.stdout.write('| contract | lines | branches |\n| --- | --- | --- |\n')
for (const section of readFileSync(report, 'utf8').split('end_of_record')) {
  const path = /^SF:(.*)$/m.exec(section)?.[1] ?? ''
  if (!path.startsWith(CONTRACTS) || path.startsWith(`${CONTRACTS}test/`)) continue
  const counted = countFile(section, assemblyLines(readFileSync(join(ROOT, path), 'utf8')))
  for (const kind of ['lines', 'branches'] as const) {
    total[kind].hit += counted[kind].hit
    total[kind].all += counted[kind].all
  }
  process.stdout.write(`| ${path.slice(CONTRACTS.length)} | ${show(counted.lines)} | ${show(counted.branches)} |\n`)
}
process.stdout.write(`| all | ${show(total.lines)} | ${show(total.branches)} |\n`)
// a report without lines would be 100 percent of nothing
const enough = total.lines.all > 0 && percent(total.lines) >= LEAST && percent(total.branches) >= LEAST
process.stdout.write(enough ? '' : `less than ${LEAST} percent\n`)
process.exitCode = enough ? 0 : 1
