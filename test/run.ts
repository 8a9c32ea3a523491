/**
 * `npm test`: every *.test.ts, in a few processes. Files of one process share it (each would else load libp2p and ethers anew); the
 * groups run one after the other, because a payment test on a starved machine tests the machine.
 *
 *   npm test                      everything
 *   npm test -- core store       only these groups
 *   npm test -- path/to/x.test.ts
 */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  core: ['test/core/**/*.test.ts', 'test/ports/*.test.ts', 'test/*.test.ts', 'test/sim/*.test.ts'],
  store: ['test/store/*.test.ts', 'test/session/*.test.ts', 'test/services/**/*.test.ts'],
  protocols: [
    'test/protocols/{framing,session,data,offer,relay}/**/*.test.ts',
    'test/protocols/*.test.ts',
    'test/support/*.test.ts',
  ],
  ledger: ['test/protocols/ledger/*.test.ts'],
  forge: ['test/protocols/ledger/forge/*.test.ts'],
  chain: ['test/{chain,relay}/*.test.ts'],
  node: ['test/{node,discovery,settlement,examples}/*.test.ts'],
  cli: ['test/{api,cli,bench,docs}/*.test.ts'],
  e2e: ['test/e2e/*.test.ts'],
}

const wanted = process.argv.slice(2)
const named = wanted.filter((name) => name in GROUPS)
const files = wanted.filter((name) => name.endsWith('.test.ts'))
const unknown = wanted.filter((name) => !(name in GROUPS) && !name.endsWith('.test.ts'))
if (unknown.length > 0) {
  process.stderr.write(`no such group: ${unknown.join(', ')}; there are ${Object.keys(GROUPS).join(', ')}\n`)
  process.exit(2)
}
const runs: [string, string[]][] = files.length > 0 ? [['files', files]] : []
for (const name of named.length > 0 ? named : files.length > 0 ? [] : Object.keys(GROUPS)) {
  const found = (GROUPS[name] ?? []).flatMap((pattern) => globSync(pattern, { cwd: root })).sort()
  if (found.length > 0) runs.push([name, found])
}

const env = {
  ...process.env,
  PATH: [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter),
  NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/compile'),
}
let failed = 0
for (const [name, list] of runs) {
  const started = performance.now()
  process.stdout.write(`\n== ${name}: ${list.length} files\n`)
  const { status } = spawnSync(
    process.execPath,
    ['--test', '--test-isolation=none', '--test-reporter=dot', '--disable-warning=ExperimentalWarning', ...list],
    { cwd: root, env, stdio: 'inherit' },
  )
  process.stdout.write(
    `== ${name}: ${status === 0 ? 'passed' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(1)} s\n`,
  )
  if (status !== 0) failed++
}
process.stdout.write(`${runs.length - failed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1
