/** The vectors of protocols/session that are signed: terms, receipts, receipt documents. */
import { concat, dataLength, dataSlice } from 'ethers'
import { forgeries } from './forgery.ts'
import { DELEGATED, OWN } from './ledger.ts'
import {
  account,
  channelIdOf,
  DOMAIN,
  encodeReceiptInput,
  encodeTermsInput,
  hashTyped,
  low,
  type Parties,
  type ReceiptInput,
  receiptValue,
  signHash,
  signTyped,
  type TermsInput,
  TOKEN,
  termsValue,
} from './reference.ts'

const [payer, provider, stranger] = [2, 3, 9].map(account) as [Wallet, Wallet, Wallet]
type Wallet = ReturnType<typeof account>

const MIB = 1_048_576
const OPENED = 1_800_000_000

function termsOf({ owner, signer, target, token }: Parties): TermsInput {
  return {
    session: '0x000102030405060708090a0b0c0d0e0f',
    owner,
    signer,
    provider: target,
    token,
    service: 'films',
    offerSequence: '1',
    price: { rates: [{ kind: 'down', amount: '10000', per: `${MIB}` }] },
    chunk: { kind: 'down', size: `${MIB}` },
    arrears: '0',
    patienceMs: 10_000,
    opened: OPENED,
    expiry: OPENED + 3600,
    content: '0x',
  }
}

const TERMS = termsOf(OWN)
const RICH_TERMS: TermsInput = {
  ...termsOf(DELEGATED),
  session: `0x${'ff'.repeat(16)}`,
  service: 'a'.repeat(64),
  offerSequence: `${2n ** 64n - 1n}`,
  price: {
    rates: [
      { kind: 'down', amount: '10000', per: `${MIB}` },
      { kind: 'ms', amount: '5', per: '3600000' },
      { kind: 'units', amount: '9', per: '10' },
    ],
    unitName: 'pages',
  },
  arrears: `${2n ** 96n - 1n}`,
  patienceMs: 2 ** 32 - 1,
  opened: 2 ** 40 - 1,
  expiry: 2 ** 40 - 1,
  content: `0x${'c7'.repeat(1024)}`,
}

export function termsCases(): object[] {
  const good = (comment: string, input: TermsInput, by: Wallet): object => ({
    comment,
    input,
    encoded: encodeTermsInput(input),
    ...signTyped('Terms', termsValue(input), by),
  })
  const bad = (comment: string, made: TermsInput, by = provider, domain = DOMAIN): object => {
    const { signature } = signTyped('Terms', termsValue(made), by, domain)
    const digest = hashTyped('Terms', termsValue(TERMS))
    return {
      comment,
      input: TERMS,
      encoded: encodeTermsInput(TERMS),
      digest,
      signature,
      signer: low(by.address),
      error: 'SIGNER_WRONG',
    }
  }
  const raw = (comment: string, encoded: string): object => ({ comment, encoded, error: 'MALFORMED' })
  const encoded = encodeTermsInput(TERMS)
  const mine = signTyped('Terms', termsValue(TERMS), provider)
  return [
    good('signed by the provider', TERMS, provider),
    good('countersigned by the consumer, whose owner is another key: every field at its limit', RICH_TERMS, payer),
    good(
      'calls and tokens, the first 10 calls free, tokens cheaper beyond a million',
      {
        ...TERMS,
        price: {
          rates: [
            { kind: 'calls', amount: '2000', per: '1', from: '10' },
            { kind: 'units', amount: '500000', per: '1000000' },
            { kind: 'units', amount: '250000', per: '1000000', from: '1000000' },
          ],
          unitName: 'token',
        },
        chunk: { kind: 'calls', size: '1' },
      },
      provider,
    ),
    good(
      'time and nothing else, with arrears',
      {
        ...TERMS,
        price: { rates: [{ kind: 'ms', amount: '1', per: '1000' }] },
        chunk: { kind: 'ms', size: '1000' },
        arrears: '12345',
      },
      provider,
    ),
    bad('signed by a stranger', TERMS, stranger),
    bad('made for another chain', TERMS, provider, { ...DOMAIN, chainId: 1 }),
    bad('made for another ledger', TERMS, provider, { ...DOMAIN, verifyingContract: TOKEN }),
    bad('another session', { ...TERMS, session: `0x${'11'.repeat(16)}` }),
    bad('another price', { ...TERMS, price: { rates: [{ kind: 'down', amount: '10001', per: `${MIB}` }] } }),
    bad('another chunk', { ...TERMS, chunk: { kind: 'down', size: '1' } }),
    bad('other arrears', { ...TERMS, arrears: '1' }),
    bad('another owner', { ...TERMS, owner: DELEGATED.owner }),
    bad('other content', { ...TERMS, content: '0x00' }),
    bad('another patience', { ...TERMS, patienceMs: 10_001 }),
    ...forgeries(mine.signature).map(({ comment, signature }) => ({
      comment,
      input: TERMS,
      encoded,
      digest: mine.digest,
      signature,
      signer: mine.signer,
      error: 'SIGNER_WRONG',
    })),
    raw('a service without a name', encodeTermsInput({ ...TERMS, service: '' })),
    raw('content of 1,025 bytes', encodeTermsInput({ ...TERMS, content: `0x${'00'.repeat(1025)}` })),
    raw('a chunk of zero', encodeTermsInput({ ...TERMS, chunk: { kind: 'down', size: '0' } })),
    raw('a kind of count that does not exist', encodeTermsInput(TERMS).replace('010000000000000000', '010500000000000000')),
    raw('cut off', dataSlice(encoded, 0, dataLength(encoded) - 1)),
    raw('a byte too many', concat([encoded, '0x00'])),
    raw('nothing at all', '0x'),
  ]
}

const meterOf = (counts: Partial<Record<string, string>>): Record<string, string> => ({
  down: '0',
  up: '0',
  ms: '0',
  calls: '0',
  units: '0',
  ...(counts as Record<string, string>),
})

const RECEIPT: ReceiptInput = {
  session: TERMS.session,
  terms: hashTyped('Terms', termsValue(TERMS)),
  channel: channelIdOf(OWN),
  total: '640000',
  amount: '1000000',
  meter: meterOf({ down: `${64 * MIB}` }),
  closed: OPENED + 30,
  reason: 0,
}
const MAX_COUNT = `${2n ** 64n - 1n}`

export function receiptCases(): object[] {
  const good = (comment: string, input: ReceiptInput, by: Wallet): object => ({
    comment,
    input,
    encoded: encodeReceiptInput(input),
    ...signTyped('Receipt', receiptValue(input), by),
  })
  const encoded = encodeReceiptInput(RECEIPT)
  const mine = signTyped('Receipt', receiptValue(RECEIPT), provider)
  const bad = (comment: string, change: Partial<ReceiptInput>, by = provider, domain = DOMAIN): object => {
    const { signature } = signTyped('Receipt', receiptValue({ ...RECEIPT, ...change }), by, domain)
    return { comment, input: RECEIPT, encoded, digest: mine.digest, signature, signer: low(by.address), error: 'SIGNER_WRONG' }
  }
  const raw = (comment: string, bytes: string): object => ({ comment, encoded: bytes, error: 'MALFORMED' })
  return [
    good('a completed session, signed by the provider', RECEIPT, provider),
    good('the same, countersigned by the consumer', RECEIPT, payer),
    good(
      'every field at its limit',
      {
        ...RECEIPT,
        total: `${2n ** 96n - 1n}`,
        amount: `${2n ** 96n - 1n}`,
        meter: { down: MAX_COUNT, up: MAX_COUNT, ms: MAX_COUNT, calls: MAX_COUNT, units: MAX_COUNT },
        closed: 2 ** 40 - 1,
        reason: 65_535,
      },
      provider,
    ),
    bad('signed by a stranger', {}, stranger),
    bad('made for another chain', {}, provider, { ...DOMAIN, chainId: 1 }),
    bad('made for another ledger', {}, provider, { ...DOMAIN, verifyingContract: TOKEN }),
    bad('another total', { total: '640001' }),
    bad('another promise', { amount: '1000001' }),
    bad('another meter', { meter: meterOf({ down: '1' }) }),
    bad('another reason', { reason: 205 }),
    bad('other terms', { terms: RECEIPT.channel }),
    ...forgeries(mine.signature).map(({ comment, signature }) => ({
      comment,
      input: RECEIPT,
      encoded,
      digest: mine.digest,
      signature,
      signer: mine.signer,
      error: 'SIGNER_WRONG',
    })),
    raw('cut off', dataSlice(encoded, 0, dataLength(encoded) - 1)),
    raw('a byte too many', concat([encoded, '0x00'])),
    raw('nothing at all', '0x'),
  ]
}

interface Made {
  readonly terms?: TermsInput
  readonly receipt?: Partial<ReceiptInput>
  readonly chainId?: number
  readonly provider?: Wallet
  readonly consumer?: Wallet | null
}

/** A document whose claims are consistent, but for what is given. */
function documentOf({
  terms = TERMS,
  receipt = {},
  chainId = DOMAIN.chainId,
  provider: by = provider,
  consumer = payer,
}: Made = {}): object {
  const parties = { owner: terms.owner, signer: terms.signer, target: terms.provider, token: terms.token }
  const full = {
    ...RECEIPT,
    session: terms.session,
    terms: hashTyped('Terms', termsValue(terms)),
    channel: channelIdOf(parties),
    ...receipt,
  }
  const digest = hashTyped('Receipt', receiptValue(full))
  return {
    format: 'tallystick-receipt/1',
    chainId: `${chainId}`,
    ledger: low(DOMAIN.verifyingContract),
    terms,
    receipt: full,
    providerSignature: signHash(digest, by),
    consumerSignature: consumer === null ? null : signHash(digest, consumer),
  }
}

export function documentCases(): object[] {
  const good = (comment: string, input: object, figures: object): object => ({ comment, input, figures })
  const bad = (comment: string, input: object, error = 'RECEIPT_WRONG'): object => ({ comment, input, error })
  const whole = documentOf() as { providerSignature: string; terms: object; receipt: object }
  const [twin] = forgeries(whole.providerSignature)
  const figures = { due: '640000', paid: '640000', owed: '0', prepaid: '0', countersigned: true }
  return [
    good('a completed session', documentOf(), figures),
    good('only the word of the provider', documentOf({ consumer: null }), { ...figures, countersigned: false }),
    good('a hot key signed for a cold owner', documentOf({ terms: termsOf(DELEGATED) }), figures),
    good('the consumer still owes', documentOf({ receipt: { total: '600000', reason: 205 } }), {
      ...figures,
      paid: '600000',
      owed: '40000',
    }),
    good('arrears were due too', documentOf({ terms: { ...TERMS, arrears: '5' } }), { ...figures, due: '640005', owed: '5' }),
    good('the consumer had prepaid', documentOf({ receipt: { total: '650000' } }), {
      ...figures,
      paid: '650000',
      prepaid: '10000',
    }),
    bad('not signed by the provider', documentOf({ provider: stranger })),
    bad('countersigned by a stranger', documentOf({ consumer: stranger })),
    bad('the two signatures changed places', documentOf({ provider: payer, consumer: provider })),
    bad('the signature is the twin with a high s', { ...whole, providerSignature: twin?.signature }),
    bad('another chain', documentOf({ chainId: 1 })),
    bad('other terms than the signed ones', { ...whole, terms: { ...TERMS, arrears: '1' } }),
    bad('the total was changed', { ...whole, receipt: { ...RECEIPT, total: '640001' } }),
    bad('the meter was changed', { ...whole, receipt: { ...RECEIPT, meter: meterOf({ down: `${63 * MIB}` }) } }),
    bad('of another session than its terms', documentOf({ receipt: { session: `0x${'11'.repeat(16)}` } })),
    bad('of another channel than its terms', documentOf({ receipt: { channel: channelIdOf(DELEGATED) } })),
    bad('it paid more than was ever promised', documentOf({ receipt: { amount: '639999' } })),
    bad(
      'more is due than any amount',
      documentOf({
        terms: { ...TERMS, price: { rates: [{ kind: 'down', amount: `${2n ** 96n - 1n}`, per: '1' }] } },
      }),
    ),
    bad('a field too many', { ...whole, note: 'paid' }, 'MALFORMED'),
    bad('a field too few', { ...whole, ledger: undefined }, 'MALFORMED'),
    bad('an amount as a number', { ...whole, receipt: { ...RECEIPT, total: 640_000 } }, 'MALFORMED'),
    bad('an amount with a leading zero', { ...whole, receipt: { ...RECEIPT, total: '0640000' } }, 'MALFORMED'),
    bad('an amount of 2^96', { ...whole, receipt: { ...RECEIPT, amount: `${2n ** 96n}` } }, 'MALFORMED'),
    bad('an address with capitals', { ...whole, ledger: DOMAIN.verifyingContract }, 'MALFORMED'),
    bad('a signature of 64 bytes', { ...whole, providerSignature: dataSlice(whole.providerSignature, 0, 64) }, 'MALFORMED'),
    bad('another format', { ...whole, format: 'tallystick-receipt/2' }, 'MALFORMED'),
    bad(
      'a kind of count that does not exist',
      { ...whole, terms: { ...TERMS, chunk: { kind: 'sideways', size: '1' } } },
      'MALFORMED',
    ),
  ]
}
