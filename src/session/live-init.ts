/** What a live session of a payer is made of, and what it needs of its desk. */
import type { Amount } from '../core/amount.ts'
import type { ChannelOut } from '../core/channel.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { PayerContext, PayerInput, PayerSession } from '../core/session/payer.ts'
import type { LiveSession } from './live-session.ts'
import type { ProviderLine } from './payer-line.ts'
import type { PayerFile } from './payer-shelf.ts'

interface Desk {
  run(live: LiveSession, input: PayerInput): void
  channelOf(live: LiveSession): ChannelOut
  exhausted(live: LiveSession): ErrorCode
  awaits(live: LiveSession): boolean
}

export interface LiveInit {
  readonly file: PayerFile
  readonly line: ProviderLine
  readonly desk: Desk
  readonly ticks: PayerContext['ticks']
  /** `taken`: what is free and will be paid for what has come, base units */
  readonly onPaid?: ((session: PayerSession, taken?: Amount) => void) | undefined
}
