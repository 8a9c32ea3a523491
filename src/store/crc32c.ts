import { createCRC32 } from 'hash-wasm'

// Compiled when the module loads, as keccak is. LevelDB's checksum has the Castagnoli polynomial, which zlib does not offer; a table in
// JavaScript is four times slower, and a node checks its whole database before it opens it.
const hasher = await createCRC32(0x82f6_3b78)

/** CRC-32C of these bytes. */
export function crc32c(bytes: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = hasher.init().update(bytes).digest('binary')
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}
