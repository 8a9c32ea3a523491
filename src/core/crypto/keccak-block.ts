/**
 * keccak-256 of exactly 32 bytes, the one hash that a tick costs: a small WebAssembly module that is put together when this file loads.
 * All 25 words of the permutation are locals, nothing is copied and nothing is allocated; a general hasher spends as long around the
 * permutation as in it.
 * @see https://keccak.team/files/Keccak-reference-3.0.pdf sections 1.2 (the permutation) and 4.3.1 (padding); test/core/keccak.test.ts
 */

/** Offsets of the rotations by lane x + 5y, and the constants of the 24 rounds. */
const ROTATIONS = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14]
const ROUNDS = 24

/** The constants come from a shift register of 8 bits, one output bit for each power of two (reference, section 1.2). */
function roundConstants(): bigint[] {
  let register = 1
  const constants: bigint[] = []
  for (let round = 0; round < ROUNDS; round++) {
    let constant = 0n
    for (let j = 0; j < 7; j++) {
      if ((register & 1) === 1) constant |= 1n << BigInt((1 << j) - 1)
      register = register & 0x80 ? ((register << 1) ^ 0x171) & 0xff : register << 1
    }
    constants.push(constant)
  }
  return constants
}

// what of WebAssembly is needed
const I32 = 0x7f
const I64 = 0x7e
const OP = {
  loop: 0x03,
  end: 0x0b,
  brIf: 0x0d,
  get: 0x20,
  set: 0x21,
  tee: 0x22,
  load64: 0x29,
  store64: 0x37,
  i32: 0x41,
  i64: 0x42,
}
const ARITHMETIC = { add32: 0x6a, less32: 0x49, and64: 0x83, xor64: 0x85, rotl64: 0x89 }
const EMPTY_BLOCK = 0x40

/** A number as WebAssembly writes it, signed or not: seven bits a byte (LEB128). */
function leb(value: bigint | number, isSigned: boolean): number[] {
  const bytes: number[] = []
  for (let left = BigInt(value); ; ) {
    const low = Number(left & 0x7fn)
    left >>= 7n
    const isLast = isSigned ? left === (low & 0x40 ? -1n : 0n) : left === 0n
    bytes.push(isLast ? low : low | 0x80)
    if (isLast) return bytes
  }
}
const unsigned = (value: number): number[] => leb(value, false)
const vector = (items: readonly number[][]): number[] => [...unsigned(items.length), ...items.flat()]
const section = (id: number, body: readonly number[]): number[] => [id, ...unsigned(body.length), ...body]

const get = (local: number): number[] => [OP.get, ...unsigned(local)]
const set = (local: number): number[] => [OP.set, ...unsigned(local)]
const i64 = (value: bigint): number[] => [OP.i64, ...leb(BigInt.asIntN(64, value), true)]
const xor = (...locals: number[]): number[] =>
  locals.flatMap((local, i) => (i === 0 ? get(local) : [...get(local), ARITHMETIC.xor64]))

/** where the round constants lie in memory; in front of them the words of a chain */
const CONSTANTS_AT = 1025 * 32

/** hash(from, to): the 32 bytes at `from` are hashed to `to`. */
function body(): number[] {
  const [from, to, round] = [0, 1, 2]
  const lane = (x: number, y: number): number => 3 + (x % 5) + 5 * (y % 5)
  const moved = (x: number, y: number): number => 28 + (x % 5) + 5 * (y % 5)
  const parity = (x: number): number => 53 + (x % 5)
  const load = (i: number): number[] => [...get(from), OP.load64, 3, ...unsigned(8 * i), ...set(lane(i, 0))]
  const code: number[] = [0, 1, 2, 3].flatMap(load)
  // the padding of a message of 32 bytes: 1 behind it, the last bit of the block of 136; the other lanes are zero as locals are
  code.push(...i64(1n), ...set(lane(4, 0)), ...i64(1n << 63n), ...set(lane(1, 3)))
  code.push(OP.loop, EMPTY_BLOCK)
  for (let x = 0; x < 5; x++) code.push(...xor(...[0, 1, 2, 3, 4].map((y) => lane(x, y))), ...set(parity(x)))
  for (let x = 0; x < 5; x++) {
    // theta: what is xored to column x goes into a lane that is free now
    const mixed = moved(x, 0)
    code.push(...get(parity(x + 4)), ...get(parity(x + 1)), ...i64(1n), ARITHMETIC.rotl64, ARITHMETIC.xor64, ...set(mixed))
    for (let y = 0; y < 5; y++) code.push(...xor(lane(x, y), mixed), ...set(lane(x, y)))
  }
  // rho and pi
  for (let x = 0; x < 5; x++)
    for (let y = 0; y < 5; y++)
      code.push(...get(lane(x, y)), ...i64(BigInt(ROTATIONS[x + 5 * y] ?? 0)), ARITHMETIC.rotl64, ...set(moved(y, 2 * x + 3 * y)))
  // chi
  for (let y = 0; y < 5; y++)
    for (let x = 0; x < 5; x++)
      code.push(...get(moved(x, y)), ...xor(moved(x + 1, y)), ...i64(-1n), ARITHMETIC.xor64, ...get(moved(x + 2, y)), ARITHMETIC.and64, ARITHMETIC.xor64, ...set(lane(x, y))) // biome-ignore format: one step
  // iota
  code.push(...get(round), OP.load64, 3, ...unsigned(CONSTANTS_AT), ...get(lane(0, 0)), ARITHMETIC.xor64, ...set(lane(0, 0)))
  const step = [OP.i32, 8, ARITHMETIC.add32, OP.tee, ...unsigned(round), OP.i32, ...leb(8 * ROUNDS, true), ARITHMETIC.less32]
  code.push(...get(round), ...step, OP.brIf, 0, OP.end)
  for (let i = 0; i < 4; i++) code.push(...get(to), ...get(lane(i, 0)), OP.store64, 3, ...unsigned(8 * i))
  const locals = vector([
    [1, I32],
    [...unsigned(55), I64],
  ])
  const whole = [...locals, ...code, OP.end]
  return [...unsigned(whole.length), ...whole]
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const text = (name: string): number[] => vector([...name].map((letter) => [letter.charCodeAt(0)]))
  const constants = new DataView(new ArrayBuffer(8 * ROUNDS))
  for (const [i, constant] of roundConstants().entries()) constants.setBigUint64(8 * i, constant, true)
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...vector([[I32], [I32]]), 0]])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, 1]])),
    ...section(7, vector([[...text('memory'), 2, 0], [...text('hash'), 0, 0]])),
    ...section(10, vector([body()])),
    ...section(11, vector([[0, OP.i32, ...leb(CONSTANTS_AT, true), OP.end, ...vector([...new Uint8Array(constants.buffer)].map((byte) => [byte]))]])),
  ]) // biome-ignore format: a section a line
}

interface Exports {
  readonly memory: WebAssembly.Memory
  readonly hash: (from: number, to: number) => void
}
const { memory, hash } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes())).exports as unknown as Exports
const bytes = new Uint8Array(memory.buffer)

/** Bytes of what is hashed, and of its hash. */
const SIZE = 32

/** The hash of the hash ... of 32 bytes, `times` times. 32 new bytes that nobody else holds. */
export function keccakTimes(word: Uint8Array, times: number): Uint8Array {
  bytes.set(word)
  for (let i = 0; i < times; i++) hash(0, 0)
  return bytes.slice(0, SIZE)
}

/** Whether 32 bytes, hashed so many times, are these. */
export function keccakLeads(word: Uint8Array, times: number, to: Uint8Array): boolean {
  bytes.set(word)
  for (let i = 0; i < times; i++) hash(0, 0)
  for (let i = 0; i < SIZE; i++) if (bytes[i] !== to[i]) return false
  return true
}

/** 32 bytes and all their hashes, the last one first: `steps` + 1 times 32 bytes, the given ones at the end. At most 1,024 steps. */
export function keccakChain(seed: Uint8Array, steps: number): Uint8Array {
  bytes.set(seed, SIZE * steps)
  for (let at = SIZE * steps; at > 0; at -= SIZE) hash(at, at - SIZE)
  return bytes.slice(0, SIZE * (steps + 1))
}
