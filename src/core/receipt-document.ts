/**
 * A receipt as one self-contained JSON text: whoever has it can check it offline, without a node, a chain or the other end.
 * @see protocols/session/SPEC.md section Terms, receipt
 */
import { type Amount, addAmounts } from './amount.ts'
import { fromHex, toHex } from './bytes.ts'
import { SIGNATURE_BYTES } from './crypto/secp256k1.ts'
import type { Domain } from './eip712.ts'
import { asTallyError, TallyError } from './errors.ts'
import { type Address, channelId, isAddress, parseChannelId, parseHash32, parseSessionId, type Seconds } from './ids.ts'
import { METER_KINDS, type Meter, type MeterKind } from './meter.ts'
import { type Chunk, due, type Price, type Rate } from './price.ts'
import { decodeReceipt, encodeReceipt, isReceiptSignedBy, type Receipt } from './receipt.ts'
import { decodeTerms, encodeTerms, type Terms, termsChannel, termsDigest } from './terms.ts'

export interface ReceiptDocument {
  readonly domain: Domain
  readonly terms: Terms
  readonly receipt: Receipt
  readonly providerSignature: Uint8Array
  /** undefined: the consumer has not countersigned, so the receipt is only the provider's word */
  readonly consumerSignature: Uint8Array | undefined
}

/** What a good receipt says, recomputed from its terms and meter. Amounts in base units. */
export interface ReceiptFigures {
  /** what the meter costs at the price of the terms, plus the arrears */
  readonly due: Amount
  readonly paid: Amount
  /** due and not paid: still owed when the session closed */
  readonly owed: Amount
  /** paid and not used: what the consumer had prepaid when the session closed */
  readonly prepaid: Amount
  readonly countersigned: boolean
}

/** Written first in every document: which form this is. */
const RECEIPT_FORMAT = 'tallystick-receipt/1'
/** The longest document, in characters. */
export const MAX_DOCUMENT_LENGTH = 16_384

const priceJson = ({ rates, unitName }: Price): object => ({
  rates: rates.map(({ kind, amount, per, from }) => ({
    kind,
    amount: `${amount}`,
    per: `${per}`,
    ...(from !== undefined && { from: `${from}` }),
  })),
  ...(unitName === undefined ? {} : { unitName }),
})

/** The document as plain data for JSON: amounts and counts as decimal strings, bytes as hex. `parseReceiptDocument` reads it back. */
export function receiptDocumentJson({ domain, terms, receipt, providerSignature, consumerSignature }: ReceiptDocument): object {
  return {
    format: RECEIPT_FORMAT,
    chainId: `${domain.chainId}`,
    ledger: domain.ledger,
    terms: {
      ...terms,
      offerSequence: `${terms.offerSequence}`,
      price: priceJson(terms.price),
      chunk: { kind: terms.chunk.kind, size: `${terms.chunk.size}` },
      arrears: `${terms.arrears}`,
      content: toHex(terms.content),
    },
    receipt: {
      ...receipt,
      total: `${receipt.total}`,
      amount: `${receipt.amount}`,
      meter: Object.fromEntries(METER_KINDS.map((kind) => [kind, `${receipt.meter[kind]}`])),
    },
    providerSignature: toHex(providerSignature),
    consumerSignature: consumerSignature === undefined ? null : toHex(consumerSignature),
  }
}

function malformed(message: string, cause?: unknown): TallyError {
  return new TallyError('MALFORMED', { message, hint: 'Get the receipt again from the node that wrote it.', cause })
}

type Fields = Readonly<Record<string, unknown>>

/** The object with exactly these fields. */
function fieldsOf(value: unknown, where: string, names: readonly string[], optional: readonly string[] = []): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(`${where} is not an object`)
  const fields = value as Fields
  const missing = names.find((name) => !Object.hasOwn(fields, name))
  if (missing !== undefined) throw malformed(`${where} has no ${missing}`)
  if (Object.keys(fields).some((name) => !names.includes(name) && !optional.includes(name))) {
    throw malformed(`${where} has a field that does not belong there`)
  }
  return fields
}

function text(value: unknown, where: string): string {
  if (typeof value === 'string') return value
  throw malformed(`${where} is not a text`)
}

/** A number as it stands in JSON; its range is checked by the codec of terms and receipt. */
function figure(value: unknown, where: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  throw malformed(`${where} is not a whole number`)
}

/** A decimal without leading zeros; its range is checked by the codec of terms and receipt. */
function decimal(value: unknown, where: string): bigint {
  if (typeof value === 'string' && /^(?:0|[1-9][0-9]{0,77})$/.test(value)) return BigInt(value)
  throw malformed(`${where} is not a decimal number as text`)
}

function address(value: unknown, where: string): Address {
  const given = text(value, where)
  if (isAddress(given)) return given
  throw malformed(`${where} is not an address in lower case`)
}

function rateOf(value: unknown): Rate {
  const rate = fieldsOf(value, 'a rate', ['kind', 'amount', 'per'], ['from'])
  const from = rate.from === undefined ? undefined : decimal(rate.from, 'what a rate holds from')
  return {
    kind: rate.kind as MeterKind,
    amount: decimal(rate.amount, 'the amount of a rate') as Amount,
    per: decimal(rate.per, 'per'),
    ...(from !== undefined && { from }),
  }
}

function priceOfJson(value: unknown): Price {
  const { rates, unitName } = fieldsOf(value, 'the price', ['rates'], ['unitName'])
  if (!Array.isArray(rates)) throw malformed('the rates of the price are not a list')
  const list = rates.map(rateOf)
  return unitName === undefined ? { rates: list } : { rates: list, unitName: text(unitName, 'the unit') }
}

const TERMS_FIELDS = [
  'session', 'owner', 'signer', 'provider', 'token', 'service', 'offerSequence', 'price', 'chunk', 'arrears', 'patienceMs', 'opened',
  'expiry', 'content',
] // biome-ignore format: a list

function termsOf(value: unknown): Terms {
  const t = fieldsOf(value, 'terms', TERMS_FIELDS)
  const chunk = fieldsOf(t.chunk, 'the chunk', ['kind', 'size'])
  const terms: Terms = {
    session: parseSessionId(text(t.session, 'the session')),
    owner: address(t.owner, 'the owner'),
    signer: address(t.signer, 'the signer'),
    provider: address(t.provider, 'the provider'),
    token: address(t.token, 'the token'),
    service: text(t.service, 'the service'),
    offerSequence: decimal(t.offerSequence, 'the sequence of the offer'),
    price: priceOfJson(t.price),
    chunk: { kind: chunk.kind, size: decimal(chunk.size, 'the size of the chunk') } as Chunk,
    arrears: decimal(t.arrears, 'arrears') as Amount,
    patienceMs: figure(t.patienceMs, 'the patience'),
    opened: figure(t.opened, 'the opening') as Seconds,
    expiry: figure(t.expiry, 'the expiry') as Seconds,
    content: fromHex(text(t.content, 'the content')),
  }
  // what the codec cannot carry is not terms: every range and order is checked there, once
  return decodeTerms(encodeTerms(terms))
}

function receiptOf(value: unknown): Receipt {
  const r = fieldsOf(value, 'receipt', ['session', 'terms', 'channel', 'total', 'amount', 'meter', 'closed', 'reason'])
  const counts = fieldsOf(r.meter, 'the meter', METER_KINDS)
  const receipt: Receipt = {
    session: parseSessionId(text(r.session, 'the session')),
    terms: parseHash32(text(r.terms, 'the terms digest')),
    channel: parseChannelId(text(r.channel, 'the channel')),
    total: decimal(r.total, 'the total') as Amount,
    amount: decimal(r.amount, 'the amount') as Amount,
    meter: Object.fromEntries(METER_KINDS.map((kind) => [kind, decimal(counts[kind], `the ${kind} count`)])) as unknown as Meter,
    closed: figure(r.closed, 'the close') as Seconds,
    reason: figure(r.reason, 'the reason'),
  }
  return decodeReceipt(encodeReceipt(receipt))
}

/**
 * The document behind a JSON text from anywhere. Nothing is believed yet: see `verifyReceipt`.
 *
 * @throws TallyError MALFORMED for what is too long, is no JSON, has a field too many or too few, or a value out of its range
 */
export function parseReceiptDocument(json: string): ReceiptDocument {
  if (json.length > MAX_DOCUMENT_LENGTH)
    throw malformed(`a receipt has at most ${MAX_DOCUMENT_LENGTH} characters, this text ${json.length}`)
  let data: unknown
  try {
    data = JSON.parse(json)
  } catch (cause) {
    throw malformed('the receipt is not JSON', cause)
  }
  const names = ['format', 'chainId', 'ledger', 'terms', 'receipt', 'providerSignature', 'consumerSignature']
  const fields = fieldsOf(data, 'the document', names)
  if (fields.format !== RECEIPT_FORMAT) throw malformed(`the format of the receipt is not ${RECEIPT_FORMAT}`)
  const chainId = decimal(fields.chainId, 'the chain id')
  if (chainId >> 256n !== 0n) throw malformed('the chain id does not fit 256 bits')
  const { consumerSignature: consumer } = fields
  return {
    domain: { chainId, ledger: address(fields.ledger, 'the ledger') },
    terms: termsOf(fields.terms),
    receipt: receiptOf(fields.receipt),
    providerSignature: fromHex(text(fields.providerSignature, 'the signature of the provider'), SIGNATURE_BYTES),
    consumerSignature: consumer === null ? undefined : fromHex(text(consumer, 'the signature of the consumer'), SIGNATURE_BYTES),
  }
}

function wrong(message: string, cause?: unknown): TallyError {
  return new TallyError('RECEIPT_WRONG', { message, cause })
}

/**
 * Recomputes everything that a receipt claims: its terms' digest, its channel, what is due, and who signed.
 *
 * A total above due is no lie: a consumer that prepays and stops in the middle of a chunk has paid for more than it used. The figures
 * say by how much.
 *
 * @throws TallyError RECEIPT_WRONG with the first claim that does not hold
 */
export function verifyReceipt({ domain, terms, receipt, providerSignature, consumerSignature }: ReceiptDocument): ReceiptFigures {
  if (receipt.session !== terms.session) throw wrong('the receipt is of another session than the terms')
  if (receipt.terms !== termsDigest(domain, terms).hex)
    throw wrong('the receipt is for other terms, or for another chain or ledger')
  if (receipt.channel !== channelId(termsChannel(terms)))
    throw wrong('the receipt names another channel than the one of its parties')
  if (receipt.total > receipt.amount) throw wrong('the session cannot have paid more than was ever promised on its channel')
  if (!isReceiptSignedBy(domain, receipt, providerSignature, terms.provider))
    throw wrong('the receipt is not signed by the provider')
  if (consumerSignature !== undefined && !isReceiptSignedBy(domain, receipt, consumerSignature, terms.signer)) {
    throw wrong("the countersignature is not by the consumer's signer")
  }
  const asked = dueOf(terms, receipt)
  const paid = receipt.total
  return {
    due: asked,
    paid,
    owed: (asked > paid ? asked - paid : 0n) as Amount,
    prepaid: (paid > asked ? paid - asked : 0n) as Amount,
    countersigned: consumerSignature !== undefined,
  }
}

function dueOf({ price, arrears }: Terms, { meter }: Receipt): Amount {
  try {
    return addAmounts(due(price, meter), arrears)
  } catch (thrown) {
    throw wrong('what is due is more than any amount', asTallyError(thrown))
  }
}
