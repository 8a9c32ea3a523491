/**
 * Proves that the proof can fail: each of the mutations breaks the contract in one place, and the campaign, or a fuzz test, must notice.
 *
 *   node test/protocols/ledger/forge/mutants.ts          all, and a table
 *   node test/protocols/ledger/forge/mutants.ts epoch    those whose name has this word
 */
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { forgeTest, ROOT, type TestResult } from './forge.ts'
import { MUTANTS, type Mutant } from './mutations.ts'

const CONTRACTS = 'protocols/ledger/contracts'
const FORGE = 'test/protocols/ledger/forge'
// of this process alone: two runs in one copy would each meet the mutants of the other
const workplace = join(ROOT, `node_modules/.cache/forge/mutants-${process.pid}`)
process.on('exit', () => rmSync(workplace, { recursive: true, force: true }))
const env = {
  // node takes no TypeScript from below node_modules, so the compiler is called where it really lies
  FOUNDRY_SOLC: join(ROOT, FORGE, 'solc.ts'),
  FOUNDRY_OUT: 'out',
  FOUNDRY_CACHE_PATH: 'cache',
  FOUNDRY_TEST_FAILURES_FILE: 'failures/tests',
  FOUNDRY_FUZZ_FAILURE_PERSIST_DIR: 'failures',
  FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR: 'failures',
  FOUNDRY_INVARIANT_RUNS: '12',
  FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT: '1',
}

/** A copy of the contracts and the proof, in which things may be broken. */
function prepare(): void {
  mkdirSync(workplace, { recursive: true })
  for (const folder of [CONTRACTS, FORGE]) cpSync(join(ROOT, folder), join(workplace, folder), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(workplace, 'node_modules'))
}

/** Puts the mutant into the copy and answers how to take it out again. @throws Error when the source has moved on */
function insert({ name, file, from, to }: Mutant): () => void {
  const path = join(workplace, CONTRACTS, `${file}.sol`)
  const source = readFileSync(path, 'utf8')
  if (source.split(from).length !== 2) throw new Error(`${name}: ${file}.sol does not hold exactly once: ${from}`)
  writeFileSync(
    path,
    source.replace(from, () => to),
  )
  return () => writeFileSync(path, source)
}

function describeFailures(results: readonly TestResult[]): string {
  return results.map(({ name, reason }) => (name.startsWith('invariant_') ? reason : name.split('(')[0])).join(', ')
}

/** What notices the mutant: the campaign, or else the fuzz tests; undefined when nothing does. */
function hunt(mutant: Mutant): string | undefined {
  const restore = insert(mutant)
  // what made another mutant fail is no evidence here
  rmSync(join(workplace, 'failures'), { recursive: true, force: true })
  try {
    for (const which of [
      ['--match-test', 'invariant_'],
      ['--no-match-test', 'invariant_'],
    ]) {
      const failures = forgeTest(which, env, workplace).filter(({ passed }) => !passed)
      if (failures.length > 0) return describeFailures(failures)
    }
    return undefined
  } finally {
    restore()
  }
}

const word = process.argv[2] ?? ''
prepare()
if (forgeTest([], { ...env, FOUNDRY_INVARIANT_RUNS: '4' }, workplace).some(({ passed }) => !passed))
  throw new Error('the proof fails without a mutant')
let survivors = 0
process.stdout.write('| mutant | noticed by |\n| --- | --- |\n')
for (const mutant of MUTANTS.filter(({ name }) => name.includes(word))) {
  const by = hunt(mutant)
  if (by === undefined) survivors++
  process.stdout.write(`| ${mutant.name} | ${by ?? '**nothing**'} |\n`)
}
process.stdout.write(`${survivors} survivors\n`)
process.exitCode = survivors === 0 ? 0 : 1
