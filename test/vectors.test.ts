import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeVectors, ROOT } from './vectors.ts'

for (const [path, text] of makeVectors()) {
  test(`${path} is what the generator makes`, () => {
    // compared as one boolean: the difference of two files of this size helps nobody
    assert.ok(readFileSync(join(ROOT, path), 'utf8') === text, 'the file is out of date: run npm run vectors')
  })
}
