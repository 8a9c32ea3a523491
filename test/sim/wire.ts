// The connection of one payer and one payee: ordered queues, and a cut that loses what is in them.
import type { ErrorCode } from '../../src/core/errors.ts'
import type { SessionId } from '../../src/core/ids.ts'
import type { FromPayee, FromPayer } from '../../src/core/session/messages.ts'

export interface DataOpen {
  readonly session: SessionId
  readonly stream: number
  /** where in the content the stream begins */
  readonly from: number
}

/** Bytes of the payer on a stream. */
export interface UpPiece {
  readonly session: SessionId
  readonly stream: number
  readonly bytes: number
}

export interface DataPiece {
  readonly session: SessionId
  readonly stream: number
  readonly bytes: number
  /** the provider refused the stream */
  readonly refused?: ErrorCode
}

export class Wire {
  readonly toPayee: FromPayer[] = []
  readonly toPayer: FromPayee[] = []
  readonly opens: DataOpen[] = []
  readonly pieces: DataPiece[] = []
  readonly ups: UpPiece[] = []
  up = true

  get quiet(): boolean {
    return this.toPayee.length + this.toPayer.length + this.opens.length + this.pieces.length + this.ups.length === 0
  }

  /** Both ends learn of it in their own time; nothing that was on the way arrives. */
  cut(): void {
    this.up = false
    for (const queue of [this.toPayee, this.toPayer, this.opens, this.pieces, this.ups]) queue.length = 0
  }
}
