#!/usr/bin/env node
/**
 * The pinned npm package `solc` as the command that forge expects, so that nothing is downloaded and both compile alike.
 *
 * It answers `--version` and `--standard-json` (from stdin), and nothing else.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

interface Solc {
  version(): string
  compile(input: string): string
}

const solc = createRequire(import.meta.url)('solc') as Solc
const args = process.argv.slice(2)

if (args.includes('--version')) {
  // forge reads a line of the native compiler's shape
  process.stdout.write(
    `solc, the solidity compiler commandline interface\nVersion: ${solc.version().replace('.clang', '.g++')}\n`,
  )
} else if (args.includes('--standard-json')) {
  process.stdout.write(solc.compile(readFileSync(0, 'utf8')))
} else {
  process.stderr.write('this solc knows --version and --standard-json only\n')
  process.exitCode = 1
}
