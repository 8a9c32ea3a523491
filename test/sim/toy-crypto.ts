// Signatures that cost nothing: who and what, in 65 bytes. The rules only ask whether one is right.
import type { Amount } from '../../src/core/amount.ts'
import { equalBytes } from '../../src/core/bytes.ts'
import type { Address, Hash32, SessionId } from '../../src/core/ids.ts'
import type { SignedPromise } from '../../src/core/promise.ts'
import type { Receipt } from '../../src/core/receipt.ts'
import { encodeTerms, type Terms } from '../../src/core/terms.ts'

export const toyAddress = (n: number): Address => `0x${n.toString(16).padStart(40, '0')}` as Address
export const toySession = (n: number): SessionId => `0x${n.toString(16).padStart(32, '0')}` as SessionId

function fold(text: string): bigint {
  let hash = 0xcbf29ce484222325n
  for (let i = 0; i < text.length; i++) hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n)
  return hash
}

export function toySign(by: Address, what: string): Uint8Array {
  const bytes = new Uint8Array(65)
  bytes.set(Buffer.from(by.slice(2), 'hex'))
  new DataView(bytes.buffer).setBigUint64(20, fold(what))
  bytes[64] = 27
  return bytes
}

const toyVerify = (by: Address, what: string, signature: Uint8Array): boolean => equalBytes(toySign(by, what), signature)

const wordsOf = (terms: Terms): string => Buffer.from(encodeTerms(terms)).toString('hex')
const saysOf = (receipt: Receipt): string =>
  [
    receipt.session,
    receipt.terms,
    receipt.channel,
    receipt.total,
    receipt.amount,
    receipt.meter.down,
    receipt.meter.ms,
    receipt.closed,
    receipt.reason,
  ].join()

export const toyDigest = (terms: Terms): Hash32 => `0x${fold(wordsOf(terms)).toString(16).padStart(64, '0')}` as Hash32
export const toyTermsSignature = (terms: Terms): Uint8Array => toySign(terms.provider, wordsOf(terms))

export const toyPromise = (signer: Address, target: Address, amount: Amount): SignedPromise => ({
  amount,
  locks: [],
  signature: toySign(signer, `promise ${target} ${amount}`),
})
const isPromise = (signer: Address, target: Address) => (promise: SignedPromise) =>
  toyVerify(signer, `promise ${target} ${promise.amount}`, promise.signature)

/** What a payee's rules ask of signatures. */
export const toyPayee = (self: Address, payer: Address, terms: Terms) => ({
  verifyPromise: isPromise(payer, self),
  verifyTerms: (signature: Uint8Array) => toyVerify(payer, wordsOf(terms), signature),
  verifyReceipt: (receipt: Receipt, signature: Uint8Array) => toyVerify(payer, saysOf(receipt), signature),
  signReceipt: (receipt: Receipt) => toySign(self, saysOf(receipt)),
})

/** What a payer's rules ask of signatures. */
export const toyPayer = (self: Address, payee: Address) => ({
  digestTerms: toyDigest,
  verifyTerms: (terms: Terms, signature: Uint8Array) => toyVerify(payee, wordsOf(terms), signature),
  signTerms: (terms: Terms) => toySign(self, wordsOf(terms)),
  verifyPromise: isPromise(self, payee),
  signPromise: (amount: Amount) => toyPromise(self, payee, amount),
  verifyReceipt: (receipt: Receipt, signature: Uint8Array) => toyVerify(payee, saysOf(receipt), signature),
  signReceipt: (receipt: Receipt) => toySign(self, saysOf(receipt)),
})
