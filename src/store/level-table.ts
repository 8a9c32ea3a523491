import { maskedCrc32c, u32At, VarintReader } from './level-format.ts'

const FOOTER_BYTES = 48
/** type of the block, then its checksum */
const TRAILER_BYTES = 5
const MAGIC = [0x8b80_fb57, 0xdb47_7524] as const

/**
 * Whether every block of a table of LevelDB carries its checksum: records, indexes and filters.
 *
 * What a compressed index points to is not followed; ours are not compressed (@see openDatabase).
 */
export function isWholeTable(table: Uint8Array): boolean {
  const footer = table.subarray(-FOOTER_BYTES)
  if (footer.length < FOOTER_BYTES) return false
  if (u32At(footer, FOOTER_BYTES - 8) !== MAGIC[0] || u32At(footer, FOOTER_BYTES - 4) !== MAGIC[1]) return false
  try {
    const handles = new VarintReader(footer)
    // The index of the filters comes first, then that of the records.
    for (const index of [readBlock(table, handles), readBlock(table, handles)]) {
      for (const handle of index === undefined ? [] : handlesIn(index)) readBlock(table, new VarintReader(handle))
    }
    return true
  } catch (thrown) {
    if (thrown instanceof RangeError) return false
    throw thrown
  }
}

/** The block that a handle (offset, length) points to; undefined when it is compressed. @throws RangeError when it is damaged */
function readBlock(table: Uint8Array, handle: VarintReader): Uint8Array | undefined {
  const start = handle.varint()
  const end = start + handle.varint()
  if (end + TRAILER_BYTES > table.length) throw new RangeError('a block lies outside of its table')
  if (u32At(table, end + 1) !== maskedCrc32c(table.subarray(start, end + 1))) throw new RangeError('a block is damaged')
  return table[end] === 0 ? table.subarray(start, end) : undefined
}

/** The values of an index block. */
function* handlesIn(index: Uint8Array): Generator<Uint8Array> {
  // The entries end where the list of restart points begins; their number comes last.
  const restarts = u32At(index, index.length - 4)
  const entries = new VarintReader(index.subarray(0, index.length - 4 * (restarts + 1)))
  while (!entries.done) {
    entries.varint()
    const keyRest = entries.varint()
    const length = entries.varint()
    entries.bytes(keyRest)
    yield entries.bytes(length)
  }
}
