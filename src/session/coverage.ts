/** How many bytes budget and deposit of a session cover: it is asked for every run of bytes, and changes with the records only. */
import type { ChannelOut } from '../core/channel.ts'
import { rateOf } from '../core/price.ts'
import { type PayerSession, usableBytes } from '../core/session/payer.ts'

interface Asked {
  readonly session: PayerSession
  readonly channel: ChannelOut
  /** bytes that were sent and that the provider has not said to have taken */
  readonly flying: bigint
}

export class Coverage {
  /** the last answer, and of what it was worked out */
  #known: (Asked & { readonly bytes: bigint | undefined }) | undefined

  /** How many more may be handed to readers, those that they hold included; undefined = no limit. */
  usable({ session, channel, flying }: Asked): bigint | undefined {
    const known = this.#known
    if (known?.session === session && known.channel === channel && known.flying === flying) return known.bytes
    const bytes = usableBytes({ session, channel }, 'down', { up: flying })
    this.#known = { session, channel, flying, bytes }
    return bytes
  }

  /** How many of `bytes` may be sent while readers hold `handed`. */
  sendable(bytes: bigint, handed: bigint, { session, channel, flying }: Asked): bigint {
    const { terms } = session
    if (terms === undefined || rateOf(terms.price, 'up') === undefined) return bytes
    const usable = usableBytes({ session, channel }, 'up', { down: handed, up: flying })
    return usable === undefined || usable > bytes ? bytes : usable
  }
}
