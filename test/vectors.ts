/**
 * Writes the vectors of everything that is signed. They are made by ethers and by concatenation, not by our own code, and they are the
 * same in every run: a test proves that the files in the tree are what this makes.
 *
 * Run it with `npm run vectors`.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sessionVectors } from './protocols/session/vectors.ts'
import { httpVectors } from './services/http/vectors.ts'
import { channelCases, closingCases, lockCases, promiseCases, rowCases } from './vector-cases/ledger.ts'
import { depositCases, payoutCases } from './vector-cases/ledger-money.ts'
import { OFFER_RULES, offerCases } from './vector-cases/offer.ts'
import { DOMAIN } from './vector-cases/reference.ts'
import { RELAY_RULES, relayCases } from './vector-cases/relay.ts'
import { documentCases, receiptCases, termsCases } from './vector-cases/session.ts'

const KEYS =
  "Keys: the accounts of the mnemonic 'test test test test test test test test test test test junk', m/44'/60'/0'/0/i. " +
  'A case with `error` must fail with that code; if it has an `encoded`, whoever decodes and checks it must come to that code.'

/** Where the files lie. */
export const ROOT = join(import.meta.dirname, '..')

/** Every file that is generated: its path under ROOT, and its whole text. */
export function makeVectors(): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  const add = (path: string, comment: string, cases: readonly object[], more: object = {}): void => {
    files.set(path, `${JSON.stringify({ comment: `${comment} ${KEYS}`, domain: DOMAIN, ...more, cases }, null, 2)}\n`)
  }
  add(
    'protocols/ledger/vectors/channels.json',
    'Channel ids: keccak256(abi.encode(owner, signer, target, token)).',
    channelCases(),
  )
  add(
    'protocols/ledger/vectors/locks.json',
    'Lists of locks. encoded: 51 bytes each, as signed. shown: 53 bytes each, as the ledger reads them. hash: what a promise carries. ' +
      'value: what the shown steps are worth at the time 1,800,000,000.',
    lockCases(),
  )
  add(
    'protocols/ledger/vectors/promises.json',
    'Promises. encoded: as on the wire. An owner that is its own signer is not named (zero).',
    promiseCases(),
  )
  add(
    'protocols/ledger/vectors/rows.json',
    'Rows: promises as they are settled. encoded: the row. compact: the signature in 64 bytes. No promise pays by a row with `error`.',
    rowCases(),
  )
  add('protocols/ledger/vectors/closings.json', 'Closings: signed by the target of the channel (account 3).', closingCases())
  add(
    'protocols/ledger/vectors/payouts.json',
    'Acceptances of a payout: signed by that payout (account 5) for the target (account 3).',
    payoutCases(),
  )
  add(
    'protocols/ledger/vectors/deposits.json',
    'Deposits. nonce: what an EIP-3009 authorization for this purpose must carry. depositAddress: where plain transfers for the account go.',
    depositCases(),
  )
  add('protocols/offer/vectors/offers.json', 'Signed offers. rules: what a receiver holds them against.', offerCases(), {
    rules: OFFER_RULES,
  })
  add(
    'protocols/session/vectors/terms.json',
    'Terms. The provider (account 3) and the signer (account 2) sign the same digest.',
    termsCases(),
  )
  add(
    'protocols/session/vectors/receipts.json',
    'Receipts. The provider (account 3) and the signer (account 2) sign the same digest.',
    receiptCases(),
  )
  add(
    'protocols/session/vectors/receipt-documents.json',
    'Receipts as self-contained documents. figures: what a check must come to.',
    documentCases(),
  )
  add(
    'protocols/relay/vectors/messages.json',
    'What relays are asked. encoded: the frame, without its length. rules: what a receiver holds requests against.',
    relayCases(),
    { rules: RELAY_RULES },
  )
  files.set('protocols/session/vectors/messages.json', `${JSON.stringify(sessionVectors(), null, 2)}\n`)
  files.set('protocols/http/vectors/heads.json', `${JSON.stringify(httpVectors(), null, 2)}\n`)
  return files
}

if (import.meta.main) for (const [path, text] of makeVectors()) writeFileSync(join(ROOT, path), text)
