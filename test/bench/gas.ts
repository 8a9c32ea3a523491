/**
 * `npm run bench:gas`: what each call of the ledger costs on a real chain, as the receipts say: whole transactions, with the 21,000
 * that every one of them pays, their calldata, their log, and the movement of tokens or balances. gas-chain.ts says in which state.
 *
 * `--json` prints the rows alone, `--update` writes them to gas-snapshot.json, which a test holds all later figures against.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { measureGas } from './gas-rows.ts'
import { SNAPSHOT, toSnapshot } from './gas-snapshot.ts'

const rows = await measureGas((id) => void process.stderr.write(`measured ${id}\n`))
const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`
if (process.argv.includes('--update')) writeFileSync(SNAPSHOT, toSnapshot(rows))
if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ machine, rows }, null, 2)}\n`)
else
  for (const { id, value, unit } of rows)
    process.stdout.write(`${id.padEnd(18)} ${value.toLocaleString('en', { minimumFractionDigits: 1 }).padStart(10)} ${unit}\n`)
