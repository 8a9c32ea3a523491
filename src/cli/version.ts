import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The version in package.json, which is two folders up in the source and three in a build. */
export function ownVersion(): string {
  for (const up of ['../..', '../../..']) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(import.meta.dirname, up, 'package.json'), 'utf8')) as {
        name: unknown
        version: unknown
      }
      if (name === 'tallystick') return String(version)
    } catch {
      // not there: one folder further up
    }
  }
  return 'unknown'
}
