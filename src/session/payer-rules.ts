/** What the rules of a paying session ask for beside its records: keys, chains, the time, and what goes on beside it. */
import type { ChannelId } from '../core/ids.ts'
import type { PayerContext, PayerSession } from '../core/session/payer.ts'
import type { PayerDeskComponents } from './components.ts'
import { type PayerCrypto, payerCrypto } from './crypto.ts'
import type { LiveSession } from './live-session.ts'
import { channelIn } from './payer-book.ts'
import type { PayerRoster } from './payer-roster.ts'

type Time = 'nowMs' | 'nowS'

/** Made once for a session: a step is made for every piece, and only the time differs from step to step. */
export interface PayerRules {
  readonly crypto: PayerCrypto
  readonly context: Omit<PayerContext, Time> & { -readonly [T in Time]: PayerContext[T] }
}

interface RulesInit {
  readonly components: PayerDeskComponents
  readonly roster: PayerRoster
  /** whether chunks that become due shortly after each other are paid by one promise */
  readonly joins: boolean
  /** whether more of a channel's deposit is on its way */
  readonly isComing: (id: ChannelId) => boolean
}

export class RulesOfSessions {
  readonly #init: RulesInit

  constructor(init: RulesInit) {
    this.#init = init
  }

  /** For one step; the next one changes the time in it. */
  of(live: LiveSession): PayerContext {
    const { clock } = this.#init.components
    live.rules ??= this.#make(live)
    const { context } = live.rules
    context.nowMs = clock.nowMs()
    context.nowS = clock.nowS()
    return context
  }

  #make(live: LiveSession): PayerRules {
    const { components, roster, joins, isComing } = this.#init
    const { clock } = components
    const crypto = this.#crypto(live)
    // as recorded: asking a session for its newest figures makes a step of its own, and this one has read the channel already
    const beside = (): PayerSession[] => roster.beside(live).map(({ recorded }) => recorded)
    const context = {
      ...crypto, nowMs: clock.nowMs(), nowS: clock.nowS(), joins, ticks: live.ticks,
      isComing: () => isComing(live.file.id),
      moving: () => beside().some(({ status }) => status === 'starting' || status === 'live' || status === 'closing'),
      alone: () => !beside().some(({ terms }) => terms !== undefined) && live.file.cut.size === 0,
    } // biome-ignore format: a record
    return { crypto, context }
  }

  /** Sessions of one channel reveal the words of one chain in turn: they share it. */
  #crypto(live: LiveSession): PayerCrypto {
    const { components, roster } = this.#init
    const known = roster.beside(live).find((one) => one.line === live.line && one.rules !== undefined)
    const { domain, self } = components
    return known?.rules?.crypto ?? payerCrypto(domain, self, channelIn(live.file).parties, live.line.link.publicKey)
  }
}
