/** The sums over all channels in which this node is paid, or over all in which it pays: a record for each token. */
import type { ChannelBooks } from '../core/books.ts'
import { type ByteReader, ByteWriter } from '../core/bytes.ts'
import { type Address, addressFromBytes, addressToBytes } from '../core/ids.ts'
import type { Store, StoreOp } from '../ports/store.ts'
import { type Table, table } from '../ports/table.ts'
import type { RecordCodec } from './record-codecs.ts'

const FIGURES = ['deposit', 'signed', 'settled', 'unsettled', 'free'] as const
/** a sum of amounts: 2^32 channels of the largest amount fit */
const SUM_BYTES = 16

interface Sum {
  /** undefined: the record that says that the sums are those of all channels */
  readonly token: Address | undefined
  readonly books: ChannelBooks
}

const nameBytes = (name: string): Uint8Array => new TextEncoder().encode(name)

const codec: RecordCodec<Sum> = {
  write(writer, { token, books }) {
    writer.bytes8(token === undefined ? new Uint8Array(0) : addressToBytes(token))
    for (const name of FIGURES) writer.bytes(sumBytes(books[name]), SUM_BYTES)
  },
  read(reader) {
    const token = reader.bytes8()
    const figures = FIGURES.map((name) => [name, readSum(reader)])
    return { token: token.length === 0 ? undefined : addressFromBytes(token), books: Object.fromEntries(figures) as ChannelBooks }
  },
}

export class BooksTable {
  readonly #table: Table<Address | undefined, Sum>
  readonly #prefix: Uint8Array

  /** @param name in which of the two this node's channels are summed up */
  constructor(store: Store, name: 'books-in' | 'books-out') {
    const prefix = nameBytes(`${name}:`)
    this.#prefix = prefix
    const key = (token: Address | undefined): Uint8Array =>
      token === undefined ? nameBytes(name) : Buffer.concat([prefix, addressToBytes(token)])
    this.#table = table(store, { space: 'counter', version: 1, key, ...codec })
  }

  /** Undefined when there are none that count yet. @throws STORE_* */
  async load(): Promise<Map<Address, ChannelBooks> | undefined> {
    if ((await this.#table.get(undefined)) === undefined) return undefined
    const books = new Map<Address, ChannelBooks>()
    const end = Buffer.concat([this.#prefix, new Uint8Array(21).fill(0xff)])
    for await (const { token, books: sums } of this.#table.list({ gte: this.#prefix, lt: end }))
      if (token !== undefined) books.set(token, sums)
    return books
  }

  ops(books: ReadonlyMap<Address, ChannelBooks>, tokens: Iterable<Address> = books.keys()): StoreOp[] {
    return [...tokens].flatMap((token) => {
      const sums = books.get(token)
      return sums === undefined ? [] : [this.#table.put(token, { token, books: sums })]
    })
  }

  /** From the commit of this on the sums are those of all channels. */
  complete(): StoreOp {
    const zero = Object.fromEntries(FIGURES.map((name) => [name, 0n])) as unknown as ChannelBooks
    return this.#table.put(undefined, { token: undefined, books: zero })
  }
}

function sumBytes(sum: bigint): Uint8Array {
  return new ByteWriter(SUM_BYTES)
    .u64(sum >> 64n)
    .u64(sum & 0xffff_ffff_ffff_ffffn)
    .finish()
}

function readSum(reader: ByteReader): bigint {
  return (reader.u64() << 64n) | reader.u64()
}
