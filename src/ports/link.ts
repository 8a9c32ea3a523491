/** The two sorts of connection that a session needs, without the transport behind them. */
import type { TallyError } from '../core/errors.ts'
import type { Address, SessionId } from '../core/ids.ts'
import type { FromPayee, FromPayer } from '../core/session/messages.ts'

/**
 * The control stream of a payer and a payee. The peer's key was proven by the handshake of the connection. Iterating yields decoded
 * messages in order, in batches; it ends when the stream ends, for whatever reason. `send` never blocks and never throws: a stream that
 * is over swallows it, and iteration ends.
 */
export interface Link<Out, In> {
  /** the Ethereum address of the peer's key */
  readonly address: Address
  /** the peer's secp256k1 public key, compressed, 33 bytes */
  readonly publicKey: Uint8Array
  send(message: Out): void
  [Symbol.asyncIterator](): AsyncIterator<readonly In[]>
  close(): Promise<void>
  abort(error: TallyError): void
}
export type PayerLink = Link<FromPayer, FromPayee>
export type PayeeLink = Link<FromPayee, FromPayer>

export interface DataHeader {
  readonly session: SessionId
  readonly stream: number
  readonly request: Uint8Array
}

/** The raw bytes of a data stream, after its header. @see protocols/data/SPEC.md */
export interface DataBytes {
  /** the next run of bytes, never empty; undefined at a clean end. @throws TallyError STREAM_CUT, ABORTED */
  read(options?: { signal?: AbortSignal }): Promise<Uint8Array | undefined>
  /** resolves when more may be written. @throws TallyError STREAM_CUT, ABORTED */
  write(bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<void>
  /** resolves when the peer has room for all of it; one that reads slowly is waited for, `timeoutMs` @default 5,000 */
  closeWrite(options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<void>
  abort(error: Error): void
}

/** A data stream that a consumer opened; it is answered once, with `accept` or `refuse`. */
export interface IncomingData {
  readonly address: Address
  readonly header: DataHeader
  accept(answer: { free: boolean; info: Uint8Array }): Promise<DataBytes>
  refuse(error: TallyError): void
}

export interface OpenedData {
  readonly info: Uint8Array
  readonly free: boolean
  readonly bytes: DataBytes
}
