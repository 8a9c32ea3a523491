/**
 * Close: the target's agreement to end one epoch of a channel at a final amount.
 * @see protocols/ledger/SPEC.md
 */
import type { Amount } from './amount.ts'
import { recoverAddress, type Sign } from './crypto/secp256k1.ts'
import { type Domain, fixedWord, structDigest, typeHash, uintWord } from './eip712.ts'
import { type Address, type ChannelId, channelIdToBytes, type Seconds } from './ids.ts'

/** What TallyLedger.close checks the target's signature on. */
export interface Closing {
  readonly channel: ChannelId
  /** the final cumulative amount, base units */
  readonly amount: Amount
  /** the ledger takes it until then, inclusive */
  readonly deadline: Seconds
  /** how often the channel was closed or reclaimed before, 0 <= x < 2^24; with it the agreement cannot be used a second time */
  readonly epoch: number
}

const CLOSE_TYPE = typeHash('Close(bytes32 channel,uint96 amount,uint40 deadline,uint24 epoch)')

/** What the target signs, 32 bytes. @throws TallyError MALFORMED for a field out of its range */
export function closingDigest(domain: Domain, { channel, amount, deadline, epoch }: Closing): Uint8Array {
  return structDigest(domain, CLOSE_TYPE, [
    fixedWord(channelIdToBytes(channel)),
    uintWord(amount, 96),
    uintWord(deadline, 40),
    uintWord(epoch, 24),
  ])
}

/**
 * The target's signature, 65 bytes. Whoever gives it away accepts no promise on the channel until the deadline.
 *
 * @throws TallyError as `closingDigest`
 */
export function signClosing(domain: Domain, closing: Closing, sign: Sign): Uint8Array {
  return sign(closingDigest(domain, closing))
}

/** Whether this is the canonical signature of `target` on it. @throws TallyError as `closingDigest` */
export function verifyClosing(domain: Domain, closing: Closing, signature: Uint8Array, target: Address): boolean {
  return recoverAddress(closingDigest(domain, closing), signature) === target
}
