import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { csvLine } from '../../src/core/csv.ts'

/** A reader as RFC 4180 has it, of one record. */
function readCsv(text: string): string[] {
  const cells = ['']
  let isQuoted = false
  for (let at = 0; at < text.length; at++) {
    const one = text[at] ?? ''
    const last = cells.length - 1
    if (isQuoted && one === '"' && text[at + 1] === '"') cells[last] = `${cells[last]}${text[++at]}`
    else if (one === '"') isQuoted = !isQuoted
    else if (one === ',' && !isQuoted) cells.push('')
    else cells[last] += one
  }
  return cells
}

test('commas, quotes and line breaks stay within their cell', () => {
  assert.equal(csvLine(['a', 'b,c', 'say "x"', 'two\nlines', 7, 8n]), 'a,"b,c","say ""x""","two\nlines",7,8')
})

test('a text that a spreadsheet would run is no formula any more', () => {
  assert.equal(csvLine(['=1+1', '+1', '-1', '@SUM(A1)', '\tx', 'a=b']), "'=1+1,'+1,'-1,'@SUM(A1),'\tx,a=b")
  assert.equal(csvLine(['=HYPERLINK("x","y")']), `"'=HYPERLINK(""x"",""y"")"`)
})

test('property: what is written is read back, with the mark in front of formulas; no cell begins one', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }), (texts) => {
      const read = readCsv(csvLine(texts))
      assert.deepEqual(
        read,
        texts.map((text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)),
      )
    }),
  )
})
