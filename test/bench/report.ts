/** Medians, spread, and the two forms in which they are printed. */
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'

/** One row of `--json`. */
export interface Row {
  readonly id: string
  /** the median of the runs */
  readonly value: number
  readonly unit: string
  readonly runs: number
}

/** A row with what the table shows besides. */
export interface Measured extends Row {
  readonly values: readonly number[]
  readonly goal?: number | undefined
  readonly note?: string
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The nearest-rank quantile, `at` from 0 to 1. */
export function quantile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? Number.NaN
}

export function measured(
  id: string,
  unit: string,
  values: readonly number[],
  more: { goal?: number | undefined; note?: string } = {},
): Measured {
  return { id, value: rounded(median(values)), unit, runs: values.length, values, ...more }
}

/** Three digits after the point below 10, none above. */
const rounded = (value: number): number => (value < 10 ? Math.round(value * 1000) / 1000 : Math.round(value))

/** The machine and the versions that the figures depend on, in one line. */
export function machine(): string {
  const { dependencies } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const of = (name: string): string => `${name.slice(name.lastIndexOf('/') + 1)} ${dependencies[name]}`
  const parts = [
    'libp2p',
    '@libp2p/tcp',
    '@chainsafe/libp2p-noise',
    '@chainsafe/libp2p-yamux',
    'level',
    'secp256k1',
    'ethers',
  ].map(of)
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  return `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}, ${memory}, ${type()} ${release()}, node ${process.version}, ${parts.join(', ')}`
}

export function table(rows: readonly Measured[]): string {
  const width = Math.max(...rows.map(({ id }) => id.length), 3)
  const lines = rows.map(({ id, value, unit, values, goal, note }) => {
    const spread = `${shown(Math.min(...values))} .. ${shown(Math.max(...values))}`
    const against = goal === undefined ? '' : `  goal >= ${shown(goal)}: ${value >= goal ? 'reached' : 'missed'}`
    return `${id.padEnd(width)} ${shown(value).padStart(9)} ${unit.padEnd(6)} ${spread.padEnd(20)}${against}${note === undefined ? '' : `  ${note}`}`.trimEnd()
  })
  return [`${'row'.padEnd(width)} ${'median'.padStart(9)} ${''.padEnd(6)} lowest .. highest`, ...lines].join('\n')
}

const shown = (value: number): string => rounded(value).toLocaleString('en', { maximumFractionDigits: 3 })
