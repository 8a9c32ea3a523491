/** `npm run check`: types, lint, import law, cycles, unused code, generated files. One line a step; the first failure's output in full. */
import { spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const steps: readonly (readonly [string, string, readonly string[]])[] = [
  ['types', 'tsc', ['--noEmit', '-p', '.']],
  // formatting, typed rules (floating promises), import law and cycles: biome.json
  ['lint, import law, cycles', join(root, 'node_modules/@biomejs/cli-linux-x64/biome'), ['check', '--error-on-warnings', '.']],
  ['unused code and packages', 'knip', []],
]

const env = { ...process.env, PATH: [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter) }
let failed = 0
for (const [name, command, args] of steps) {
  const started = performance.now()
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 26 })
  const ok = status === 0
  process.stdout.write(`${ok ? '✔' : '✖'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`)
  if (ok) continue
  failed++
  process.stdout.write(`${stdout ?? ''}${stderr ?? ''}${error === undefined ? '' : String(error)}\n`)
}
process.exitCode = failed === 0 ? 0 : 1
