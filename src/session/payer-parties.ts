/** Who is meant by a wish. */
import type { ChannelParties } from '../core/ids.ts'
import type { Wish } from '../core/session/payer-terms.ts'

/** The channel that pays for what is wished. */
export const partiesOf = (wish: Wish): ChannelParties => ({
  owner: wish.owner,
  signer: wish.signer,
  target: wish.provider,
  token: wish.token,
})
