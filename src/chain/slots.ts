/** Slots of the ledger that were touched, and whether what is in them now is news. */
import type { Address, ChannelId } from '../core/ids.ts'
import type { ChainFact, ChannelCause } from '../ports/chain.ts'
import { parseTouch } from './ledger-logs.ts'
import { REORGANISED } from './log-follower.ts'

export type Slot =
  | { readonly type: 'balance'; readonly account: Address; readonly token: Address }
  | { type: 'channel'; id: ChannelId; causes: ChannelCause[]; parties?: Extract<ChainFact, { type: 'channel' }>['parties'] }

/** One slot for all touches of it, in the order of the first touch, with all causes in their order. */
export function grouped(touched: readonly string[]): Map<string, Slot> {
  const slots = new Map<string, Slot>()
  for (const touch of touched.map(parseTouch)) {
    if (touch.slot === 'balance') {
      slots.set(`${touch.account} ${touch.token}`, { type: 'balance', account: touch.account, token: touch.token })
      continue
    }
    const known = slots.get(touch.id)
    const slot = known?.type === 'channel' ? known : { type: 'channel' as const, id: touch.id, causes: [] }
    if (!slot.causes.includes(touch.cause)) slot.causes.push(touch.cause)
    if (touch.parties !== undefined) slot.parties = touch.parties
    slots.set(touch.id, slot)
  }
  return slots
}

export interface Told {
  readonly content: string
  readonly causes: readonly ChannelCause[]
}

/** What will be remembered of a fact that was told. */
export function toldOf(fact: ChainFact): Told {
  return { content: contentOf(fact), causes: causesOf(fact) }
}

/** After a reorganisation most slots are what they were, and some logs are read again: neither is news. */
export function isNews(fact: ChainFact, last: Told | undefined): boolean {
  if (last === undefined || last.content !== contentOf(fact)) return true
  return causesOf(fact).some((cause) => cause !== REORGANISED && cause !== 'watched' && !last.causes.includes(cause))
}

function causesOf(fact: ChainFact): readonly ChannelCause[] {
  return fact.type === 'channel' ? fact.causes : []
}

export function slotOf(fact: ChainFact): string {
  if (fact.type === 'channel') return fact.id
  return fact.type === 'balance' ? `${fact.account} ${fact.token}` : 'head'
}

/** What a fact says, without the block at which it was read. */
function contentOf(fact: ChainFact): string {
  if (fact.type === 'balance') return String(fact.amount)
  if (fact.type === 'head' || fact.facts === undefined) return 'none'
  const { deposit, settled, expiry, epoch } = fact.facts
  return `${deposit} ${settled} ${expiry} ${epoch}`
}
