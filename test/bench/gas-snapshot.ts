/** The checked-in gas figures. They are exact: keys, times and amounts are fixed, so another figure means another contract or compiler. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { GasRow } from './gas-rows.ts'

/** Where they lie. */
export const SNAPSHOT = join(import.meta.dirname, 'gas-snapshot.json')

/** The figures by the id of their row. */
export function readSnapshot(): Readonly<Record<string, number>> {
  return JSON.parse(readFileSync(SNAPSHOT, 'utf8'))
}

/** The text of the file. */
export function toSnapshot(rows: readonly GasRow[]): string {
  return `${JSON.stringify(Object.fromEntries(rows.map(({ id, value }) => [id, value])), null, 2)}\n`
}
