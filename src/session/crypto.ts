/** The signing and checking that the rules of one session need, bound to its channel, its peer and this node's key. */
import { randomBytes } from 'node:crypto'
import { equalBytes } from '../core/bytes.ts'
import { recoverAddress, verify } from '../core/crypto/secp256k1.ts'
import type { Domain } from '../core/eip712.ts'
import type { WordChain } from '../core/head.ts'
import { SALT_BYTES } from '../core/head.ts'
import { type ChannelParties, channelId, type Hash32 } from '../core/ids.ts'
import { preparePromises, type SignedPromise } from '../core/promise.ts'
import { type Receipt, receiptDigest, signReceipt } from '../core/receipt.ts'
import type { PayeeContext } from '../core/session/payee.ts'
import type { PayerContext } from '../core/session/payer.ts'
import { signTerms, type Terms, termsDigest } from '../core/terms.ts'
import type { SignatureCheck } from './check-pool.ts'
import type { Self } from './components.ts'

type PayeeChecks = Pick<PayeeContext, 'verifyPromise' | 'verifyTerms' | 'verifyReceipt' | 'signReceipt'>
export interface PayeeCrypto extends PayeeChecks {
  /** The check of a promise, to be made elsewhere: once it was, `verifyPromise` finds its answer. `key`: the payer's, of its connection. */
  readonly checkAhead: (promise: SignedPromise, key: Uint8Array) => SignatureCheck
  readonly termsDigest: Hash32
  readonly termsSignature: Uint8Array
}
export type PayerCrypto = Pick<
  PayerContext,
  | 'digestTerms'
  | 'verifyTerms'
  | 'signTerms'
  | 'verifyPromise'
  | 'signPromise'
  | 'newSalt'
  | 'chain'
  | 'verifyReceipt'
  | 'signReceipt'
>

/**
 * The payer is known by its connection: its key is checked against, not recovered. Without a key (a session loaded from the disk) it
 * is recovered.
 */
export function payeeCrypto(
  domain: Domain,
  self: Self,
  parties: ChannelParties,
  payerKey: Uint8Array | undefined,
  terms: Terms,
): PayeeCrypto {
  const promises = preparePromises(domain, parties)
  const ahead = new WeakMap<SignedPromise, SignatureCheck>()
  const digest = termsDigest(domain, terms)
  const bySigner = (hash: Uint8Array, signature: Uint8Array): boolean =>
    payerKey === undefined ? recoverAddress(hash, signature) === parties.signer : verify(hash, signature, payerKey)
  return {
    termsDigest: digest.hex,
    termsSignature: self.sign(digest.bytes),
    checkAhead: (promise, publicKey) => {
      const check = {
        digest: promises.digest(promise.amount, promise.locks),
        signature: promise.signature,
        publicKey,
        isGood: undefined,
      }
      ahead.set(promise, check)
      return check
    },
    verifyPromise: (promise) => ahead.get(promise)?.isGood ?? promises.verify(promise),
    verifyTerms: (signature) => bySigner(digest.bytes, signature),
    verifyReceipt: (receipt, signature) => bySigner(receiptDigest(domain, receipt), signature),
    signReceipt: (receipt) => signReceipt(domain, receipt, self.sign),
  }
}

/** The provider is known by its connection: terms and receipts must carry its key's signature. */
export function payerCrypto(domain: Domain, self: Self, parties: ChannelParties, payeeKey: Uint8Array): PayerCrypto {
  const promises = preparePromises(domain, parties)
  return {
    digestTerms: (terms: Terms) => termsDigest(domain, terms).hex,
    verifyTerms: (terms, signature) => verify(termsDigest(domain, terms).bytes, signature, payeeKey),
    signTerms: (terms) => signTerms(domain, terms, self.sign),
    verifyPromise: promises.verify,
    signPromise: (amount, locks) => promises.sign(amount, locks, self.sign),
    newSalt: () => randomBytes(SALT_BYTES),
    chain: chainsOf(self, domain, parties),
    verifyReceipt: (receipt: Receipt, signature) => verify(receiptDigest(domain, receipt), signature, payeeKey),
    signReceipt: (receipt) => signReceipt(domain, receipt, self.sign),
  }
}

/** The chains of a channel; the last one is kept, because every tick asks for it. */
function chainsOf({ chains }: Self, domain: Domain, parties: ChannelParties): PayerCrypto['chain'] {
  const id = channelId(parties)
  let last: { readonly salt: Uint8Array; readonly chain: WordChain } | undefined
  return (salt, steps) => {
    if (last === undefined || last.chain.steps !== steps || !equalBytes(last.salt, salt))
      last = { salt, chain: chains(domain, id, salt, steps) }
    return last.chain
  }
}
