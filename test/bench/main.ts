/** `npm run bench`: what this program does per second on this machine. @see README.md */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startDevnet } from '../../src/chain/devnet.ts'
import type { Bench } from './bench.ts'
import { GROUPS } from './groups.ts'
import { type Measured, machine, table } from './report.ts'

const names = Object.keys(GROUPS)
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true, default: names },
    dir: { type: 'string', default: tmpdir() },
    profile: { type: 'string' },
  },
})
const unknown = values.only.find((name) => !names.includes(name))
if (unknown !== undefined) {
  process.stderr.write(`there is no group ${unknown}; there are ${names.join(', ')}\n`)
  process.exit(2)
}

const dir = await mkdtemp(join(values.dir, 'tallystick-bench-'))
const devnet = await startDevnet()
try {
  const { rpcUrl, chainId, ledger, token } = devnet
  const bench: Bench = {
    place: { rpcUrl, chainId, ledger, token, dir },
    runs: Number(values.runs),
    scale: Number(values.scale),
    profile: values.profile,
  }
  if (!values.json) process.stdout.write(`${machine()}\n\n`)
  const rows: Measured[] = []
  for (const [name, measure] of Object.entries(GROUPS)) if (values.only.includes(name)) rows.push(...(await measure(bench)))
  if (values.json) {
    const plain = rows.map(({ id, value, unit, runs }) => ({ id, value, unit, runs }))
    process.stdout.write(`${JSON.stringify({ machine: machine(), rows: plain }, null, 2)}\n`)
  } else process.stdout.write(`${table(rows)}\n`)
} finally {
  await devnet.stop()
  await rm(dir, { recursive: true, force: true })
}
