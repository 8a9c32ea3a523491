import assert from 'node:assert/strict'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'

const root = join(import.meta.dirname, '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
/** without comments and texts: what runs */
const code = (file: string): string =>
  read(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\/\/.*$/gm, '')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''")

describe('the architecture', () => {
  test('the core never waits, never looks at a clock, never throws dice', () => {
    for (const file of globSync('src/core/**/*.ts', { cwd: root })) {
      // loading the wasm of the hash is the one await
      if (file.endsWith('crypto/keccak.ts')) continue
      const found = code(file).match(
        /\bawait\b|\basync\b|Date\.now|new Date|Math\.random|performance\.|setTimeout|setInterval|process\.|\bfetch\(/,
      )
      assert.equal(found?.[0], undefined, file)
    }
  })

  test('money is never a float', () => {
    for (const file of globSync('{src,protocols}/**/*.ts', { cwd: root })) {
      assert.doesNotMatch(code(file), /parseFloat\(|Number\((amount|value|price|due|paid|total|signed)\)/, file)
    }
  })

  test('no source file is longer than one can hold in the head', () => {
    for (const file of globSync('{src,protocols}/**/*.ts', { cwd: root })) {
      const lines = read(file).split('\n').length
      assert.ok(lines <= 320, `${file} has ${lines} lines`)
    }
  })

  test('the top level holds what it should and nothing else', () => {
    const folders = readdirSync(root, { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && !entry.name.startsWith('.'),
    )
    const known = ['bin', 'dist', 'node_modules', 'protocols', 'src', 'test']
    assert.deepEqual(
      folders.map((entry) => entry.name).filter((name) => !known.includes(name)),
      [],
    )
  })
})
