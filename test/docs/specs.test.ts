// What the specifications say is what the code does, wherever a machine can compare the two.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, test } from 'node:test'
import { DATA_PROTOCOL } from '../../protocols/data/protocol.ts'
import { OFFER_PROTOCOL } from '../../protocols/offer/protocol.ts'
import { RELAY_PROTOCOL } from '../../protocols/relay/protocol.ts'
import { MAX_SESSION_FRAME_BYTES, MESSAGES, RATES, SESSION_PROTOCOL } from '../../protocols/session/protocol.ts'
import { ERRORS } from '../../src/core/errors.ts'
import { MAX_OFFER_BYTES } from '../../src/core/offer.ts'
import { RECEIPT_BYTES } from '../../src/core/receipt.ts'
import { MAX_TERMS_BYTES } from '../../src/core/terms.ts'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const theirs = (path: string): boolean => /(^|\/)(node_modules|dist|\.git)\//.test(path)
const files = (pattern: string): string[] =>
  globSync(pattern, { cwd: root, exclude: theirs })
    .filter((path) => !theirs(path))
    .sort()
const pages = files('**/*.md')
const number = (text: string | undefined): number => Number(text?.replaceAll(',', ''))

/** The cells of every row of every table of a page, without the rules under the headings. */
function rowsOf(page: string): string[][] {
  const lines = read(page)
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s|:-]+\|$/.test(line))
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

/** As GitHub makes the anchor of a heading. */
function anchorsOf(page: string): string[] {
  const headings = page.match(/^#+ .*$/gm) ?? []
  return headings.map((line) =>
    line
      .replace(/^#+ /, '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

describe('the pages', () => {
  for (const page of pages) {
    test(`every relative link of ${page} leads somewhere`, () => {
      const text = read(page).replace(/```[\s\S]*?```/g, '')
      for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue
        const [path = '', anchor] = target.split('#')
        const file = path === '' ? join(root, page) : join(root, dirname(page), path)
        assert.ok(existsSync(file), target)
        if (anchor !== undefined) assert.ok(anchorsOf(readFileSync(file, 'utf8')).includes(anchor), target)
      }
    })
  }

  test('every page that a comment points to is there', () => {
    for (const file of files('{src,protocols,test}/**/*.{ts,sol}')) {
      for (const [, page = ''] of read(file).matchAll(/@see ((?:[\w-]+\/)*[A-Z]+\.md)/g)) {
        const places = [join(root, page), join(root, dirname(file), page)]
        assert.ok(places.some(existsSync), `${file} points to ${page}`)
      }
    }
  })

  test('every rule that a comment names by its label is in the page that it points to', () => {
    for (const file of files('{src,protocols}/**/*.ts')) {
      for (const [, page = '', labels = ''] of read(file).matchAll(/@see ((?:[\w-]+\/)+SPEC\.md) ((?:[A-Z]\d+(?:, )?)+)/g)) {
        for (const label of labels.match(/[A-Z]\d+/g) ?? [])
          assert.ok(read(page).includes(`**${label}**`), `${file} names ${label} of ${page}`)
      }
    }
  })
})

describe('the error numbers', () => {
  test('the table holds every number that may travel, and says of each what the code says', () => {
    const said = rowsOf('protocols/ERRORS.md').filter(([first]) => /^\d+$/.test(first ?? ''))
    const known = Object.entries(ERRORS).flatMap(([code, kind]) =>
      'wire' in kind ? [[String(kind.wire), code, kind.who, kind.retry ? 'yes' : 'no', kind.text]] : [],
    )
    assert.deepEqual(
      said,
      known.sort(([a], [b]) => Number(a) - Number(b)),
    )
  })

  test('no number is used twice, and each is in its range', () => {
    const known = Object.entries(ERRORS).flatMap(([code, kind]) => ('wire' in kind ? [{ code, wire: kind.wire as number }] : []))
    assert.equal(new Set(known.map(({ wire }) => wire)).size, known.length)
    for (const { code, wire } of known) assert.ok(wire >= 1 && wire < 700, code)
  })

  test('every code that a specification names is one', () => {
    for (const page of files('protocols/**/*.md').filter((path) => !path.startsWith('protocols/ledger'))) {
      for (const [word] of read(page).matchAll(/\b[A-Z]{2,}(?:_[A-Z]+)+\b|\b(?:MALFORMED|BUSY|BANNED|UNSUPPORTED|INTERNAL)\b/g)) {
        assert.ok(word in ERRORS, `${page}: ${word}`)
      }
    }
  })
})

describe('the protocols', () => {
  test('a page has the id of its protocol as its title', () => {
    const dht = /DHT_PROTOCOL = '([^']+)'/.exec(read('src/discovery/dht.ts'))?.[1]
    assert.ok(read('protocols/session/SPEC.md').startsWith(`# \`${SESSION_PROTOCOL}\`\n`))
    assert.ok(read('protocols/data/SPEC.md').startsWith(`# \`${DATA_PROTOCOL}\`\n`))
    assert.ok(read('protocols/offer/SPEC.md').startsWith(`# \`${OFFER_PROTOCOL}\`\n`))
    assert.ok(read('protocols/relay/SPEC.md').startsWith(`# \`${RELAY_PROTOCOL}\`\n`))
    assert.ok(dht !== undefined && read('protocols/offer/SPEC.md').includes(`\`${dht}\``))
  })

  test('the pages name no protocol that the code does not speak', () => {
    const spoken = new Set(
      files('{src,protocols}/**/*.ts').flatMap((file) => read(file).match(/\/tallystick\/[a-z]+\/\d+\.\d+\.\d+/g) ?? []),
    )
    for (const page of files('protocols/**/*.md')) {
      for (const [id] of read(page).matchAll(/\/tallystick\/[a-z]+\/\d+\.\d+\.\d+/g)) assert.ok(spoken.has(id), `${page}: ${id}`)
    }
  })

  test('the table of messages is the one of the codec', () => {
    const by = { payer: 'P', payee: 'Y', both: 'both' } as const
    const said = rowsOf('protocols/session/SPEC.md').filter((row) => row.length === 6 && /^\d+$/.test(row[0] ?? ''))
    assert.deepEqual(
      said.map(([type, name, sender, , maxBytes]) => [Number(type), name, sender, number(maxBytes)]),
      Object.entries(MESSAGES).map(([name, kind]) => [kind.type, name, by[kind.by], kind.maxBytes]),
    )
  })

  test('sizes and rates of the session are those of the code', () => {
    const page = read('protocols/session/SPEC.md')
    const rates = /hello (\d+)\/s, release (\d+)\/s, all others together ([\d,]+)\/s/.exec(page)?.slice(1).map(number)
    assert.deepEqual(rates, [RATES.hello.perSecond, RATES.release.perSecond, RATES.others.perSecond])
    for (const rate of Object.values(RATES)) assert.equal(rate.burst, rate.perSecond)
    assert.equal(number(/A frame is at most ([\d,]+) bytes/.exec(page)?.[1]), MAX_SESSION_FRAME_BYTES)
    assert.equal(number(/a receipt has (\d+) bytes/.exec(page)?.[1]), RECEIPT_BYTES)
    assert.equal(number(/terms at most ([\d,]+)\./.exec(page)?.[1]), MAX_TERMS_BYTES)
    assert.equal(
      number(/All of it together has at most ([\d,]+) bytes/.exec(read('protocols/offer/SPEC.md'))?.[1]),
      MAX_OFFER_BYTES,
    )
  })

  test('the table of states holds the states of both ends, and no others', () => {
    const statusesIn = (file: string, type: string): string[] =>
      [...(new RegExp(`type ${type} =([^\\n]+)`).exec(read(file))?.[1] ?? '').matchAll(/'(\w+)'/g)].map(
        ([, status = '']) => status,
      )
    const payer = statusesIn('src/core/session/payer-state.ts', 'PayerStatus')
    const payee = statusesIn('src/core/session/payee-state.ts', 'PayeeStatus')
    const rows = rowsOf('protocols/session/SPEC.md')
    const said = rows.slice(rows.findIndex(([first]) => first === 'state') + 1).filter((row) => row.length === 5)
    const saidOf = (end: string): string[] =>
      said.filter(([, whose]) => whose === end || whose === 'both').map(([state = '']) => state)
    assert.deepEqual(saidOf('payer').sort(), payer.sort())
    assert.deepEqual(saidOf('payee').sort(), payee.sort())
  })
})

describe('what is signed', () => {
  const TYPE = /\b([A-Z][A-Za-z0-9]+)\((?:(?:address|bytes\d*|uint\d+|string) \w+,?)+\)/g
  /** without the seams of a text that is longer than a line */
  const textOf = (file: string): string => read(file).replace(/'\s*\+\s*'/g, '')
  const typesIn = (pattern: string, of: (text: string) => Iterable<RegExpMatchArray>): Map<string, string> => {
    const found = new Map<string, string>()
    for (const file of files(pattern)) {
      for (const [type, name = ''] of of(textOf(file))) {
        assert.ok((found.get(name) ?? type) === type, `${relative('.', file)} says ${type}`)
        found.set(name, type)
      }
    }
    return found
  }
  const quoted = (open: string, close: string) => (text: string) =>
    [...text.matchAll(TYPE)].filter((match) => text[match.index - 1] === open && text[match.index + match[0].length] === close)

  test('the types in the pages are the ones that are hashed, in the node and in the contract', () => {
    const pages = typesIn('protocols/**/SPEC.md', quoted('`', '`'))
    const code = typesIn('src/core/**/*.ts', quoted("'", "'"))
    const contract = typesIn('protocols/ledger/contracts/**/*.sol', (text) =>
      [...text.matchAll(/keccak256\("([^"]+)"\)/g)].flatMap(([, type = '']) => [...type.matchAll(TYPE)]),
    )
    for (const [name, type] of code) assert.equal(pages.get(name), type)
    for (const [name, type] of contract) assert.equal(pages.get(name), type)
    for (const name of pages.keys()) assert.ok(code.has(name) || contract.has(name), `${name} is hashed nowhere`)
    assert.deepEqual([...code.keys()].sort(), ['Close', 'EIP712Domain', 'ForwardRequest', 'Offer', 'Promise', 'Receipt', 'Terms'])
    assert.deepEqual([...contract.keys()].sort(), ['Close', 'Payout', 'Promise'])
  })
})
