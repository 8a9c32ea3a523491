/**
 * `npm run test:long`: what takes too long for every push. One line a step; hours on two cores.
 *
 *   npm run test:long                    everything
 *   npm run test:long -- mutants         only the steps whose name has this word
 */
import { spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { forgeTest, readRules } from './protocols/ledger/forge/forge.ts'

const root = join(import.meta.dirname, '..')
const forgeFolder = 'test/protocols/ledger/forge'
const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): boolean {
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: path, ...env },
  })
  return status === 0
}

/** The campaign of CI with other seeds, twenty times as long. */
function campaign(): boolean {
  const seed = `0x${Date.now().toString(16)}`
  process.stdout.write(`seed ${seed}\n`)
  const results = forgeTest([], { FOUNDRY_PROFILE: 'long', FOUNDRY_FUZZ_SEED: seed })
  for (const { suite, name, passed, runs, calls, reason, counterexample } of results) {
    process.stdout.write(
      `${passed ? '✔' : '✖'} ${suite} ${name}: ${calls === 0 ? `${runs} runs` : `${calls} calls`} ${reason} ${counterexample}\n`,
    )
  }
  const calls = results.find(({ name }) => name.startsWith('invariant_'))?.calls ?? 0
  process.stdout.write(`${readRules().length} rules over ${calls} calls\n`)
  return calls >= 1_000_000 && results.every(({ passed }) => passed)
}

const steps: readonly (readonly [string, () => boolean])[] = [
  ['coverage of the contracts', () => run([`${forgeFolder}/coverage.ts`])],
  ['mutants of the contracts', () => run([`${forgeFolder}/mutants.ts`])],
  [
    'differential test of the ledger',
    () =>
      run(['test/run.ts', 'test/protocols/ledger/differential.test.ts'], {
        DIFFERENTIAL_RUNS: '400',
        DIFFERENTIAL_SEED: String(Date.now() % 2 ** 31),
      }),
  ],
  [
    'a DHT of 50 nodes that all look for their neighbours',
    () => run(['test/run.ts', 'test/discovery/crowd.test.ts'], { TALLYSTICK_TEST_CROWD: 'whole' }),
  ],
  ['campaign of a million calls', campaign],
]

const word = process.argv[2] ?? ''
let failed = 0
for (const [name, step] of steps.filter(([name]) => name.includes(word))) {
  const started = performance.now()
  process.stdout.write(`\n== ${name}\n`)
  const ok = step()
  process.stdout.write(`== ${name}: ${ok ? 'passed' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(0)} s\n`)
  if (!ok) failed++
}
process.exitCode = failed === 0 ? 0 : 1
