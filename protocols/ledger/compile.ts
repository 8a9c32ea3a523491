/**
 * `npm run contracts`: compiles the contracts with the pinned solc and writes what others build on to `generated/`.
 *
 * The result is a function of the sources, solc and the settings below: no paths, no dates, no metadata hash. A test compiles
 * again and compares, so a checked-in artefact is always what its source says.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Solc {
  version(): string
  compile(input: string, callbacks: { import(path: string): { contents: string } | { error: string } }): string
}

interface SolcOutput {
  readonly errors?: readonly { severity: string; formattedMessage: string; sourceLocation?: { file: string } }[]
  readonly contracts: Readonly<
    Record<string, Readonly<Record<string, { abi: unknown[]; evm: { bytecode: { object: string } } }>>>
  >
}

const require = createRequire(import.meta.url)
const here = dirname(fileURLToPath(import.meta.url))

/** Where the artefacts are kept. */
export const GENERATED = join(here, 'generated')

/** What decides the bytecode besides the sources and solc itself. */
export const SETTINGS = {
  viaIR: true,
  optimizer: { enabled: true, runs: 1_000_000 },
  evmVersion: 'cancun',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
} as const

const FORWARDER = '@openzeppelin/contracts/metatx/ERC2771Forwarder.sol'
const PUBLISHED = new Set(['TallyLedger', 'DepositBox', 'ServiceRegistry', 'ERC2771Forwarder', 'TestToken'])

/** Paths of imports are those of the sources: `@openzeppelin/...` or below `contracts/`. */
function readSource(path: string): string {
  return readFileSync(path.startsWith('@') ? require.resolve(path) : join(here, path), 'utf8')
}

function rootSources(): string[] {
  const own = readdirSync(join(here, 'contracts'), { recursive: true, encoding: 'utf8' })
  return [...own.filter((file) => file.endsWith('.sol')).map((file) => join('contracts', file)), FORWARDER].sort()
}

function runSolc(solc: Solc): SolcOutput {
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(rootSources().map((path) => [path, { content: readSource(path) }])),
    settings: { ...SETTINGS, outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
  }
  const output = JSON.parse(
    solc.compile(JSON.stringify(input), { import: (path) => ({ contents: readSource(path) }) }),
  ) as SolcOutput
  // a warning in our own sources is an error; what the library warns about is not ours to change
  const failures = (output.errors ?? []).filter(
    (error) => error.severity === 'error' || !error.sourceLocation?.file.startsWith('@'),
  )
  if (failures.length > 0) throw new Error(failures.map((error) => error.formattedMessage).join('\n'))
  return output
}

/**
 * Compiles everything below `contracts/` and OpenZeppelin's forwarder. Takes several seconds.
 *
 * @returns the text of each artefact by its path below {@link GENERATED}: the published contracts at the top, those for tests in `test/`.
 * @throws Error with solc's own text, also for a warning.
 */
export function compileArtefacts(): Map<string, string> {
  const solc = require('solc') as Solc
  const artefacts = new Map<string, string>()
  for (const [source, contracts] of Object.entries(runSolc(solc).contracts)) {
    if (source !== FORWARDER && !source.startsWith('contracts')) continue
    for (const [contractName, { abi, evm }] of Object.entries(contracts)) {
      const published = PUBLISHED.has(contractName)
      if (evm.bytecode.object === '' || !(published || source.startsWith(join('contracts', 'test')))) continue
      const artefact = { contractName, compiler: solc.version(), settings: SETTINGS, abi, bytecode: `0x${evm.bytecode.object}` }
      artefacts.set(
        published ? `${contractName}.json` : join('test', `${contractName}.json`),
        `${JSON.stringify(artefact, null, 2)}\n`,
      )
    }
  }
  return artefacts
}

if (import.meta.main) {
  for (const [path, text] of compileArtefacts()) {
    const file = join(GENERATED, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    process.stdout.write(`${path}: ${(JSON.parse(text).bytecode.length - 2) / 2} bytes\n`)
  }
}
