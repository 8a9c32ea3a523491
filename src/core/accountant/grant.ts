/**
 * What the payer of the last hop signs when a link stands: the consumer shows it to the provider in place of a channel.
 * @see protocols/clearing/SPEC.md section 6
 */
import type { Amount } from '../amount.ts'
import { recoverAddress, type Sign } from '../crypto/secp256k1.ts'
import { addressWord, type Domain, fixedWord, structDigest, typeHash, uintWord } from '../eip712.ts'
import { type Address, type ChannelParties, type Hash32, hash32ToBytes, type Seconds } from '../ids.ts'

export interface Grant {
  /** who reveals the words: the peer that may show this */
  readonly consumer: Address
  /** the channel of the last hop; its target is the provider */
  readonly parties: ChannelParties
  readonly anchor: Hash32
  /** base units that the provider gets for each step */
  readonly unit: Amount
  readonly steps: number
  readonly expiry: Seconds
}

const GRANT_TYPE = typeHash(
  'Grant(address consumer,address owner,address signer,address provider,address token,bytes32 anchor,uint96 unit,uint16 steps,uint40 expiry)',
)

/** What is signed, 32 bytes. @throws TallyError MALFORMED for a field out of its range */
export function grantDigest(domain: Domain, { consumer, parties, anchor, unit, steps, expiry }: Grant): Uint8Array {
  return structDigest(domain, GRANT_TYPE, [
    addressWord(consumer),
    addressWord(parties.owner),
    addressWord(parties.signer),
    addressWord(parties.target),
    addressWord(parties.token),
    fixedWord(hash32ToBytes(anchor)),
    uintWord(unit, 96),
    uintWord(steps, 16),
    uintWord(expiry, 40),
  ])
}

/** The signature of the payer of the last hop, 65 bytes. @throws TallyError as `grantDigest` */
export function signGrant(domain: Domain, grant: Grant, sign: Sign): Uint8Array {
  return sign(grantDigest(domain, grant))
}

/** Whether this is the canonical signature of the channel's signer on it. @throws TallyError as `grantDigest` */
export function verifyGrant(domain: Domain, grant: Grant, signature: Uint8Array): boolean {
  return recoverAddress(grantDigest(domain, grant), signature) === grant.parties.signer
}
