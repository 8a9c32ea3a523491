import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ByteReader, ByteWriter, compareBytes, equalBytes, fromHex, toHex } from '../../src/core/bytes.ts'
import { TallyError } from '../../src/core/errors.ts'

const malformed = { name: 'TallyError', code: 'MALFORMED' }
const bytes = (maxLength = 40) => fc.uint8Array({ maxLength })
// fast-check's plain strings hold half surrogates now and then, which have no UTF-8
const text = fc.string({ unit: 'binary', maxLength: 30 }).filter((value) => value.isWellFormed())

/** One field of a message: how it is written, how it is read, and which values it takes. */
type Step = { readonly write: (writer: ByteWriter) => unknown; readonly check: (reader: ByteReader) => void }

const number = (max: number, name: 'u8' | 'u16' | 'u24' | 'u32' | 'u40') =>
  fc
    .oneof(
      fc.constantFrom(0, 1, max),
      fc.maxSafeNat().map((value) => value % (max + 1)),
    )
    .map((value): Step => ({ write: (writer) => writer[name](value), check: (reader) => assert.equal(reader[name](), value) }))
const big = (bits: bigint, name: 'u64' | 'u96') =>
  fc
    .oneof(fc.constantFrom(0n, 1n, (1n << 64n) - 1n, (1n << bits) - 1n), fc.bigInt({ min: 0n, max: (1n << bits) - 1n }))
    .map((value): Step => ({ write: (writer) => writer[name](value), check: (reader) => assert.equal(reader[name](), value) }))
const run = (name: 'bytes8' | 'bytes16' | 'bytes32') =>
  bytes().map(
    (value): Step => ({
      write: (writer) => writer[name](value, 40),
      check: (reader) => assert.deepEqual(reader[name](40), value),
    }),
  )
const string = (name: 'str8' | 'str16') =>
  text.map(
    (value): Step => ({ write: (writer) => writer[name](value, 120), check: (reader) => assert.equal(reader[name](120), value) }),
  )
const fixed = bytes().map(
  (value): Step => ({
    write: (writer) => writer.bytes(value, value.length),
    check: (reader) => assert.deepEqual(reader.bytes(value.length), value),
  }),
)
const step = fc.oneof(
  number(0xff, 'u8'),
  number(0xffff, 'u16'),
  number(0xff_ffff, 'u24'),
  number(0xffff_ffff, 'u32'),
  number(0xff_ffff_ffff, 'u40'),
  big(64n, 'u64'),
  big(96n, 'u96'),
  run('bytes8'),
  run('bytes16'),
  run('bytes32'),
  string('str8'),
  string('str16'),
  fixed,
)

describe('byte writer and reader', () => {
  test('what was written in any order of fields is read back, whatever the first capacity', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.nat(64), (steps, capacity) => {
        const writer = new ByteWriter(capacity)
        for (const { write } of steps) write(writer)
        const length = writer.length
        const message = writer.finish()
        assert.equal(message.length, length)
        const reader = new ByteReader(message)
        for (const { check } of steps) check(reader)
        assert.equal(reader.position, length)
        reader.end()
      }),
    )
  })

  test('a message that is cut anywhere is refused', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), fc.nat(), (steps, cut) => {
        const writer = new ByteWriter()
        for (const { write } of steps) write(writer)
        const message = writer.finish()
        fc.pre(message.length > 0)
        const reader = new ByteReader(message.subarray(0, cut % message.length))
        assert.throws(() => {
          for (const { check } of steps) check(reader)
        }, malformed)
      }),
    )
  })

  test('numbers are big-endian', () => {
    const message = new ByteWriter()
      .u8(1)
      .u16(0x0203)
      .u24(0x040506)
      .u32(0x0708090a)
      .u40(0x0b0c0d0e0f)
      .u64(0x1011121314151617n)
      .finish()
    assert.equal(toHex(message), '0x0102030405060708090a0b0c0d0e0f1011121314151617')
    assert.equal(toHex(new ByteWriter().u96(0x0102030405060708090a0b0cn).finish()), '0x0102030405060708090a0b0c')
  })

  test('a writer refuses a number that its field cannot hold', () => {
    for (const [name, bits] of Object.entries({ u8: 8, u16: 16, u24: 24, u32: 32, u40: 40 })) {
      for (const value of [-1, 2 ** bits, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        const writer = new ByteWriter()
        assert.throws(() => writer[name as 'u8'](value), malformed, `${name} ${value}`)
        assert.equal(writer.length, 0)
      }
    }
    for (const value of [-1n, 1n << 64n]) assert.throws(() => new ByteWriter().u64(value), malformed)
    for (const value of [-1n, 1n << 96n]) assert.throws(() => new ByteWriter().u96(value), malformed)
  })

  test('a writer refuses bytes above the cap, above the length field, or of another fixed length', () => {
    assert.throws(() => new ByteWriter().bytes8(new Uint8Array(5), 4), malformed)
    assert.throws(() => new ByteWriter().bytes8(new Uint8Array(256), 1000), malformed)
    assert.throws(() => new ByteWriter().bytes16(new Uint8Array(65_536), 100_000), malformed)
    assert.throws(() => new ByteWriter().bytes32(new Uint8Array(5), 4), malformed)
    assert.throws(() => new ByteWriter().str8('ééé', 5), malformed)
    assert.throws(() => new ByteWriter().bytes(new Uint8Array(19), 20), malformed)
  })

  test('a writer refuses half a surrogate pair, which has no UTF-8', () => {
    assert.throws(() => new ByteWriter().str8('a\ud800'), malformed)
    assert.throws(() => new ByteWriter().str16('\udc00b', 10), malformed)
  })

  test('a fixed writer fills its buffer and refuses to go beyond it', () => {
    const buffer = new Uint8Array(5)
    const writer = new ByteWriter(buffer).u32(7)
    assert.throws(() => writer.u16(1), malformed)
    assert.equal(writer.u8(9).finish(), buffer)
    assert.deepEqual([...buffer], [0, 0, 0, 7, 9])
    assert.throws(() => writer.u8(1), malformed)
  })

  test('a writer keeps nothing of what it gave away', () => {
    const writer = new ByteWriter(4)
    const first = writer.u32(1).finish()
    const second = writer.u32(2).finish()
    assert.deepEqual([...first], [0, 0, 0, 1])
    assert.deepEqual([...second], [0, 0, 0, 2])
  })

  test('a reader refuses a length above the cap before it looks at the bytes', () => {
    assert.throws(() => new ByteReader(Uint8Array.of(5, 1, 2, 3, 4, 5)).bytes8(4), malformed)
    assert.throws(() => new ByteReader(Uint8Array.of(0, 5, 1, 2, 3, 4, 5)).bytes16(4), malformed)
    assert.throws(() => new ByteReader(Uint8Array.of(255, 255, 255, 255)).bytes32(2 ** 32), malformed)
    assert.throws(() => new ByteReader(Uint8Array.of(2, 65, 66)).str8(1), malformed)
  })

  test('a reader refuses UTF-8 that is not valid, and keeps a byte order mark as a character', () => {
    const bad = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xf4, 0x90, 0x80, 0x80]]
    for (const data of bad) assert.throws(() => new ByteReader(Uint8Array.of(data.length, ...data)).str8(), malformed)
    assert.equal(new ByteReader(Uint8Array.of(4, 0xef, 0xbb, 0xbf, 0x61)).str8(), '\ufeffa')
  })

  test('a reader refuses trailing bytes', () => {
    const reader = new ByteReader(Uint8Array.of(1, 2))
    reader.u8()
    assert.equal(reader.remaining, 1)
    assert.throws(() => reader.end(), malformed)
    reader.u8()
    reader.end()
  })

  test('bytes that were read are a copy, a view is not', () => {
    const source = Buffer.from([1, 2, 3, 4])
    const copy = new ByteReader(source).bytes(4)
    const view = new ByteReader(source).view(4)
    source[0] = 9
    assert.equal(copy[0], 1)
    assert.equal(view[0], 9)
    assert.equal(copy.constructor, Uint8Array)
  })

  test('random bytes read as anything throw nothing but TallyError', () => {
    const reads: ((reader: ByteReader) => unknown)[] = [
      (reader) => reader.u8(),
      (reader) => reader.u16(),
      (reader) => reader.u24(),
      (reader) => reader.u32(),
      (reader) => reader.u40(),
      (reader) => reader.u64(),
      (reader) => reader.u96(),
      (reader) => reader.bytes(7),
      (reader) => reader.bytes8(9),
      (reader) => reader.bytes16(300),
      (reader) => reader.bytes32(2 ** 31),
      (reader) => reader.str8(),
      (reader) => reader.str16(1000),
      (reader) => reader.end(),
    ]
    fc.assert(
      fc.property(bytes(60), fc.array(fc.constantFrom(...reads), { maxLength: 10 }), (source, plan) => {
        const reader = new ByteReader(source)
        try {
          for (const read of plan) read(reader)
        } catch (error) {
          assert.ok(error instanceof TallyError)
          assert.equal(error.code, 'MALFORMED')
        }
      }),
    )
  })
})

describe('byte strings', () => {
  test('equal means every byte and the length', () => {
    fc.assert(fc.property(bytes(), bytes(), (a, b) => equalBytes(a, b) === (toHex(a) === toHex(b)) && equalBytes(a, a.slice())))
  })

  test('the order is that of the hex text, a prefix first', () => {
    fc.assert(
      fc.property(bytes(4), bytes(4), (a, b) => {
        const [x, y] = [toHex(a), toHex(b)]
        assert.equal(compareBytes(a, b), x < y ? -1 : x > y ? 1 : 0)
      }),
    )
  })

  test('hex of either case gives back the bytes', () => {
    fc.assert(
      fc.property(bytes(), (value) => {
        const hex = toHex(value)
        assert.deepEqual(fromHex(hex, value.length), value)
        assert.deepEqual(fromHex(`0x${hex.slice(2).toUpperCase()}`), value)
      }),
    )
  })

  test('refuses hex that is odd, unprefixed, of another length, or not hex', () => {
    for (const bad of [
      '',
      '0',
      '0x0',
      '0X00',
      '00',
      '0xgg',
      '0x0g',
      '0x 0',
      '0x00\n',
      '0x0é',
      '0x٠٠',
      ' 0x00',
      '0x-1',
      '0x\u{1f600}',
    ]) {
      assert.throws(() => fromHex(bad), malformed, bad)
    }
    assert.throws(() => fromHex('0x0000', 3), malformed)
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), (value) => {
        if (/^(?:[0-9a-fA-F]{2})*$/.test(value)) assert.equal(fromHex(`0x${value}`).length, value.length / 2)
        else assert.throws(() => fromHex(`0x${value}`), malformed)
      }),
    )
  })
})
