/**
 * The words of a payer's chain: each hashes to the one before it, the first one to the anchor (PayWord, Rivest and Shamir 1996).
 *
 * They are derived from the payer's key, the ledger, the channel and a random salt, so that a lost disk loses no chain, and a disk that was
 * rolled back never signs an anchor twice.
 * @see protocols/session/SPEC.md section Ticks
 */
import { hkdfSync } from 'node:crypto'
import { keccakChain } from '../core/crypto/keccak-block.ts'
import type { Domain } from '../core/eip712.ts'
import { TallyError } from '../core/errors.ts'
import type { WordChain } from '../core/head.ts'
import { addressToBytes, type ChannelId, channelIdToBytes, hash32FromBytes } from '../core/ids.ts'
import { MAX_STEPS, WORD_BYTES } from '../core/lock.ts'

const CONTEXT = new TextEncoder().encode('tallystick chain 1')

/** The chains of one key. */
export type WordChains = (domain: Domain, channel: ChannelId, salt: Uint8Array, steps: number) => WordChain

export function wordChainsOf(key: Uint8Array): WordChains {
  return (domain, channel, salt, steps) => wordChain(key, domain, channel, salt, steps)
}

/** The chain of `steps` words, 1 to 1,024, behind this salt. 32 bytes of memory a word. @throws TallyError LOCKS_REFUSED for other steps */
function wordChain(key: Uint8Array, domain: Domain, channel: ChannelId, salt: Uint8Array, steps: number): WordChain {
  if (!Number.isInteger(steps) || steps < 1 || steps > MAX_STEPS)
    throw new TallyError('LOCKS_REFUSED', { message: `a chain of ${steps} steps`, fields: { steps } })
  const numbers = new Uint8Array(10)
  new DataView(numbers.buffer).setBigUint64(0, domain.chainId)
  // chains of one salt and other lengths share no word
  new DataView(numbers.buffer).setUint16(8, steps)
  const info = Buffer.concat([CONTEXT, numbers, addressToBytes(domain.ledger), channelIdToBytes(channel)])
  const words = keccakChain(new Uint8Array(hkdfSync('sha256', key, salt, info, WORD_BYTES)), steps)
  return {
    anchor: hash32FromBytes(words.subarray(0, WORD_BYTES)),
    steps,
    word(k) {
      if (!(k >= 0 && k <= steps)) throw new RangeError(`a chain of ${steps} steps has no word ${k}`)
      return words.subarray(k * WORD_BYTES, (k + 1) * WORD_BYTES)
    },
  }
}
