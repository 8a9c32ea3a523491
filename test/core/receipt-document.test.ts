import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { TallyError } from '../../src/core/errors.ts'
import { MAX_DOCUMENT_LENGTH, parseReceiptDocument, receiptDocumentJson, verifyReceipt } from '../../src/core/receipt-document.ts'
import { anyReceipt, anyTerms } from '../vector-cases/arbitrary.ts'
import { type Case, given, readVectors, receiptOf, termsOf } from '../vector-cases/read.ts'

interface Figures {
  readonly due: string
  readonly paid: string
  readonly owed: string
  readonly prepaid: string
  readonly countersigned: boolean
}

const { domain, valid, mustFail } = readVectors<Case<object, { figures?: Figures }>>('session/vectors/receipt-documents')
const first = given(valid[0]).input

for (const { comment, input, figures } of valid) {
  test(`vector: ${comment}`, () => {
    const document = parseReceiptDocument(JSON.stringify(input))
    const { due, paid, owed, prepaid, countersigned } = verifyReceipt(document)
    assert.deepEqual({ due: `${due}`, paid: `${paid}`, owed: `${owed}`, prepaid: `${prepaid}`, countersigned }, figures)
    assert.deepEqual(JSON.parse(JSON.stringify(receiptDocumentJson(document))), input)
  })
}

for (const { comment, input, error } of mustFail) {
  test(`must fail: ${comment}`, () => {
    assert.throws(() => verifyReceipt(parseReceiptDocument(JSON.stringify(input))), { code: error })
  })
}

test('any document is written and read back without loss', () => {
  const anySignature = fc.uint8Array({ minLength: 65, maxLength: 65 })
  fc.assert(
    fc.property(anyTerms, anyReceipt, anySignature, fc.option(anySignature), (terms, receipt, providerSignature, consumer) => {
      const document = {
        domain,
        terms: termsOf(terms),
        receipt: receiptOf(receipt),
        providerSignature,
        consumerSignature: consumer ?? undefined,
      }
      const json = JSON.stringify(receiptDocumentJson(document), null, 2)
      assert.ok(json.length <= MAX_DOCUMENT_LENGTH)
      assert.deepEqual(parseReceiptDocument(json), document)
    }),
  )
})

describe('a hostile text', () => {
  const refuses = (text: string): void => {
    try {
      verifyReceipt(parseReceiptDocument(text))
    } catch (thrown) {
      assert.ok(thrown instanceof TallyError && ['MALFORMED', 'RECEIPT_WRONG'].includes(thrown.code), String(thrown))
      return
    }
    assert.fail('it was accepted')
  }

  test('that is no document is refused as malformed', () => {
    const texts = ['', 'null', '[]', '{}', '"text"', '{"format":', 'x'.repeat(MAX_DOCUMENT_LENGTH + 1), '{"__proto__":{}}']
    for (const text of texts) assert.throws(() => parseReceiptDocument(text), { code: 'MALFORMED' }, text.slice(0, 20))
  })

  test('made of any JSON is refused', () => {
    fc.assert(fc.property(fc.json(), refuses))
  })

  test('made of a good document with one value replaced is refused, or is the same document', () => {
    type Tree = Record<string, unknown>
    const paths: (readonly string[])[] = []
    const collect = (node: unknown, path: readonly string[]): void => {
      if (path.length > 0) paths.push(path)
      if (typeof node === 'object' && node !== null)
        for (const [name, value] of Object.entries(node)) collect(value, [...path, name])
    }
    collect(first, [])
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
        const copy = structuredClone(first) as Tree
        let node = copy
        for (const name of path.slice(0, -1)) node = node[name] as Tree
        const last = given(path.at(-1))
        // the receipt without the countersignature is a good one too
        fc.pre(JSON.stringify(node[last]) !== JSON.stringify(value) && !(last === 'consumerSignature' && value === null))
        node[last] = value
        refuses(JSON.stringify(copy))
      }),
      { numRuns: 500 },
    )
  })
})
