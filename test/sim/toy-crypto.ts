// Signatures that cost nothing: who and what, in 65 bytes. The rules only ask whether one is right.
import type { Amount } from '../../src/core/amount.ts'
import { equalBytes } from '../../src/core/bytes.ts'
import type { WordChain } from '../../src/core/head.ts'
import type { Address, ChannelId, Hash32, SessionId } from '../../src/core/ids.ts'
import type { Lock } from '../../src/core/lock.ts'
import type { SignedPromise } from '../../src/core/promise.ts'
import type { Receipt } from '../../src/core/receipt.ts'
import { encodeTerms, type Terms } from '../../src/core/terms.ts'
import { wordChainsOf } from '../../src/session/word-chain.ts'

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

const saysPromise = (target: Address, amount: Amount, locks: readonly Lock[]): string =>
  `promise ${target} ${amount} ${locks.map(({ anchor, unit, steps, expiry }) => [anchor, unit, steps, expiry]).join()}`
export const toyPromise = (signer: Address, target: Address, amount: Amount, locks: readonly Lock[] = []): SignedPromise => ({
  amount,
  locks,
  signature: toySign(signer, saysPromise(target, amount, locks)),
})
const isPromise = (signer: Address, target: Address) => (promise: SignedPromise) =>
  toyVerify(signer, saysPromise(target, promise.amount, promise.locks), promise.signature)

let salts = 0
const chains = new Map<string, WordChain>()
const TOY_DOMAIN = { chainId: 1n, ledger: toyAddress(0x1e) }
/** Real words: a chain is checked by hashing, and there is nothing to pretend. */
export function toyChain(self: Address, payee: Address, salt: Uint8Array, steps: number): WordChain {
  const name = `${self}${payee}${Buffer.from(salt).toString('hex')}${steps}`
  const channel = `0x${payee.slice(2).padStart(64, '0')}` as ChannelId
  const made = (): WordChain =>
    wordChainsOf(Buffer.from(self.slice(2).padStart(64, '0'), 'hex'))(TOY_DOMAIN, channel, salt, steps)
  const chain = chains.get(name) ?? made()
  if (chains.size > 1_000) chains.clear()
  chains.set(name, chain)
  return chain
}
function toySalt(): Uint8Array {
  const salt = new Uint8Array(32)
  new DataView(salt.buffer).setUint32(0, ++salts)
  return salt
}

/** What a payee's rules ask of signatures. */
export const toyPayee = (self: Address, payer: Address, terms: Terms) => ({
  verifyPromise: isPromise(payer, self),
  isAnchorUsed: (_: Hash32) => false,
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
  signPromise: (amount: Amount, locks: readonly Lock[]) => toyPromise(self, payee, amount, locks),
  newSalt: toySalt,
  chain: (salt: Uint8Array, steps: number) => toyChain(self, payee, salt, steps),
  verifyReceipt: (receipt: Receipt, signature: Uint8Array) => toyVerify(payee, saysOf(receipt), signature),
  signReceipt: (receipt: Receipt) => toySign(self, saysOf(receipt)),
})
