import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { decodeFromPayee, decodeFromPayer, encodeMessage } from '../../../protocols/session/codec.ts'
import { MESSAGES } from '../../../protocols/session/protocol.ts'
import { fromHex, toHex } from '../../../src/core/bytes.ts'
import { type BrokenCase, plain, sessionVectors, type ValidCase, type Vectors } from './vectors.ts'

const file = new URL('../../../protocols/session/vectors/messages.json', import.meta.url)
const vectors: Vectors<ValidCase | BrokenCase> = JSON.parse(readFileSync(file, 'utf8'))
const decoders = { payer: decodeFromPayer, payee: decodeFromPayee } as const

describe('vectors of the control stream', () => {
  test('are what their generator makes (npm run vectors)', () => {
    assert.deepEqual(vectors, JSON.parse(JSON.stringify(sessionVectors())))
  })

  test('hold every message, and a broken case for every rule of decoding', () => {
    const types = new Set(vectors.cases.flatMap((one) => ('message' in one ? [(one.message as { type: string }).type] : [])))
    assert.deepEqual([...types].sort(), Object.keys(MESSAGES).sort())
    const errors = new Set(vectors.cases.flatMap((one) => ('error' in one ? [one.error] : [])))
    assert.deepEqual([...errors].sort(), [
      'FRAME_TOO_LARGE',
      'LOCKS_REFUSED',
      'MALFORMED',
      'UNSUPPORTED',
      'WRONG_STATE',
      'ignored',
    ])
  })

  for (const one of vectors.cases) {
    if ('message' in one) {
      test(`${one.by}: ${one.comment}`, () => {
        const message = decoders[one.by](fromHex(one.encoded))
        assert.ok(message !== undefined)
        assert.deepEqual(plain(message), one.message)
        assert.equal(toHex(encodeMessage(message)), one.encoded)
      })
    } else if (one.error === 'ignored') {
      test(`ignores ${one.comment}`, () => {
        assert.equal(decoders[one.by](fromHex(one.encoded)), undefined)
      })
    } else {
      const { error } = one
      test(`refuses ${one.comment}`, () => {
        assert.throws(() => decoders[one.by](fromHex(one.encoded)), { code: error })
      })
    }
  }
})
