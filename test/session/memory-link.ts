// The two ports of a session over queues in memory: ordered, cut at will, with back-pressure on the bytes.
import { TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import type { FromPayee, FromPayer } from '../../src/core/session/messages.ts'
import type { DataBytes, DataHeader, IncomingData, Link, OpenedData, PayeeLink, PayerLink } from '../../src/ports/link.ts'

export interface Peer {
  readonly address: Address
  readonly publicKey: Uint8Array
}

/** What one end says, until somebody reads it. */
class Mailbox<T> {
  #messages: T[] = []
  #wake: (() => void) | undefined
  #over = false

  put(message: T): void {
    if (this.#over) return
    this.#messages.push(message)
    this.#wake?.()
  }

  /** What was put before is still read. */
  end(): void {
    this.#over = true
    this.#wake?.()
  }

  /** What was put and not read is lost. */
  cut(): void {
    this.#messages = []
    this.end()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly T[]> {
    for (;;) {
      if (this.#messages.length > 0) yield this.#messages.splice(0)
      else if (this.#over) return
      else {
        const { promise, resolve } = Promise.withResolvers<void>()
        this.#wake = resolve
        await promise
      }
    }
  }
}

export interface ControlPair {
  readonly payer: PayerLink
  readonly payee: PayeeLink
  /** everything that was said, in order */
  readonly said: (FromPayer | FromPayee)[]
  /** both ends lose the connection; what is on its way is lost */
  cut(): void
}

/** A control stream between two peers. `pass` may hold a message back for good. */
export function controlPair(
  payer: Peer,
  payee: Peer,
  pass: (message: FromPayer | FromPayee) => boolean = () => true,
): ControlPair {
  const toPayee = new Mailbox<FromPayer>()
  const toPayer = new Mailbox<FromPayee>()
  const said: (FromPayer | FromPayee)[] = []
  const end = <Out, In>(peer: Peer, out: Mailbox<Out>, into: Mailbox<In>): Link<Out, In> => ({
    address: peer.address,
    publicKey: peer.publicKey,
    send(message) {
      if (!pass(message as FromPayer)) return
      said.push(message as FromPayer)
      out.put(message)
    },
    [Symbol.asyncIterator]: () => into[Symbol.asyncIterator](),
    async close() {
      out.end()
      into.end()
    },
    abort() {
      out.cut()
      into.cut()
    },
  })
  const cut = (): void => {
    toPayee.cut()
    toPayer.cut()
  }
  return { payer: end(payee, toPayee, toPayer), payee: end(payer, toPayer, toPayee), said, cut }
}

const HIGH_WATER = 64 * 1024

/** One direction of a data stream. */
class Pipe {
  #pieces: Uint8Array[] = []
  #bytes = 0
  #ended = false
  #error: Error | undefined
  #changed = Promise.withResolvers<void>()

  #tell(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#error !== undefined) throw this.#error
    this.#pieces.push(bytes.slice())
    this.#bytes += bytes.length
    this.#tell()
    while (this.#bytes > HIGH_WATER) {
      await this.#changed.promise
      if (this.#error !== undefined) throw this.#error
    }
  }

  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error
      const piece = this.#pieces.shift()
      if (piece !== undefined) {
        this.#bytes -= piece.length
        this.#tell()
        return piece
      }
      if (this.#ended) return undefined
      await this.#changed.promise
    }
  }

  end(): void {
    this.#ended = true
    this.#tell()
  }

  cut(error: Error): void {
    this.#error ??= error
    this.#tell()
  }
}

export class DataPair {
  readonly #down = new Pipe()
  readonly #up = new Pipe()

  end(side: 'payer' | 'payee'): DataBytes {
    const [out, into] = side === 'payer' ? [this.#up, this.#down] : [this.#down, this.#up]
    return {
      read: () => into.read(),
      write: (bytes) => out.write(bytes),
      closeWrite: async () => out.end(),
      abort: (error) => this.cut(error),
    }
  }

  cut(error: Error): void {
    const cut = error instanceof TallyError ? error : new TallyError('STREAM_CUT', { cause: error })
    this.#down.cut(cut)
    this.#up.cut(cut)
  }
}

/** Opens a data stream at a provider. */
export async function openData(
  payer: Peer,
  header: DataHeader,
  serve: (incoming: IncomingData) => Promise<void>,
  onOpen: (pair: DataPair) => void,
): Promise<OpenedData> {
  const answer = Promise.withResolvers<OpenedData>()
  const pair = new DataPair()
  onOpen(pair)
  void serve({
    address: payer.address,
    header,
    async accept({ free, info }) {
      answer.resolve({ free, info, bytes: pair.end('payer') })
      return pair.end('payee')
    },
    refuse: (error) => answer.reject(error),
  })
  return await answer.promise
}
