/** How forge is called: the optional package of this project, its configuration beside this file, nothing downloaded. */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../../../..')
const PACKAGE = '@foundry-rs/forge-linux-amd64'

/** Why there is no forge here, or undefined when there is one. */
export function whyNoForge(): string | undefined {
  try {
    forgeBinary()
    return undefined
  } catch {
    return `the optional package ${PACKAGE} is not installed on ${process.platform}-${process.arch}`
  }
}

/** Whether the package exists for this machine, so that its absence is a fault. */
export const FORGE_EXPECTED: boolean = process.platform === 'linux' && process.arch === 'x64'

function forgeBinary(): string {
  return createRequire(import.meta.url).resolve(`${PACKAGE}/bin/forge`)
}

export interface Answer {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs forge in `root` with the configuration that lies there, and waits. Failures of earlier runs are forgotten first. */
export function forge(args: readonly string[], env: Readonly<Record<string, string>> = {}, root: string = ROOT): Answer {
  rmSync(join(root, 'node_modules/.cache/forge/failures'), { recursive: true, force: true })
  const { status, stdout, stderr, error } = spawnSync(forgeBinary(), [...args, '--root', root], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: {
      ...process.env,
      // the compiler is a script of ours and finds its node there
      PATH: [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter),
      FOUNDRY_CONFIG: join(root, 'test/protocols/ledger/forge/foundry.toml'),
      ...env,
    },
  })
  if (error !== undefined) throw error
  return { status, stdout, stderr }
}

export interface TestResult {
  readonly suite: string
  readonly name: string
  readonly passed: boolean
  /** why it failed, and with what */
  readonly reason: string
  readonly counterexample: string
  readonly runs: number
  /** calls of a campaign; 0 for other tests */
  readonly calls: number
  readonly reverts: number
}

interface ForgeResult {
  readonly status: string
  readonly reason: string | null
  readonly counterexample: unknown
  readonly kind: Readonly<Record<string, { readonly runs?: number; readonly calls?: number; readonly reverts?: number }>>
}

/** Runs `forge test` and answers what became of each test. @throws Error with forge's own text when it did not come to a result */
export function forgeTest(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}, root?: string): TestResult[] {
  const { stdout, stderr } = forge(['test', '--json', ...args], env, root)
  // events of a running campaign stand on lines of their own before the result
  const line = stdout.split('\n').findLast((text) => text.startsWith('{') && text.includes('"test_results"'))
  if (line === undefined) throw new Error(`forge gave no result:\n${stdout.slice(-10_000)}${stderr.slice(-10_000)}`)
  const suites = JSON.parse(line) as Record<string, { test_results: Record<string, ForgeResult> }>
  return Object.entries(suites).flatMap(([suite, { test_results }]) =>
    Object.entries(test_results).map(([name, { status, reason, counterexample, kind }]) => {
      const { runs = 1, calls = 0, reverts = 0 } = Object.values(kind)[0] ?? {}
      const passed = status === 'Success'
      return {
        suite: suite.split('/').at(-1) ?? suite,
        name,
        passed,
        reason: passed ? '' : nameRule(reason ?? 'failed'),
        counterexample: passed ? '' : JSON.stringify(counterexample),
        runs,
        calls,
        reverts,
      }
    }),
  )
}

/** The names of the invariants, in their order. */
export function readRules(): string[] {
  return readEnum('Rules.sol', 'Rule')
}

/** The names in an enum of the Solidity beside this file. */
export function readEnum(file: string, name: string): string[] {
  const source = readFileSync(join(import.meta.dirname, file), 'utf8').replaceAll(/\/\/.*/g, '')
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(source)?.[1] ?? ''
  return body
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

/** forge prints enums as numbers. */
function nameRule(reason: string): string {
  return reason
    .replace(/(Broken|NeverJudged)\((\d+)\)/, (_, error: string, i: string) => `${error}(${readRules()[Number(i)]})`)
    .replace(/NeverDone\((\d+)\)/, (_, i: string) => `NeverDone(${readEnum('MoneyActions.sol', 'Action')[Number(i)]})`)
}
