/**
 * Every failure that a person or a program can meet has one stable code here. Match on `code`, never on text.
 *
 * `wire` is the registered number that may be sent to a peer (absent: this failure never leaves the node, and a peer is told
 * INTERNAL). `who` says who must act, `retry` whether doing the same again can help, `exit` is the exit code of the CLI
 * (0 ok, 1 other, 2 usage, 3 node or RPC unreachable, 4 auth, 5 not found, 6 no offer within the price, 7 budget reached,
 * 8 insufficient funds, 9 payment refused or disputed, 10 dry run, 11 partly delivered, 75 try again).
 */
export type Actor = 'user' | 'operator' | 'peer' | 'nobody'

interface ErrorKind {
  readonly wire?: number
  readonly who: Actor
  readonly retry: boolean
  readonly exit: number
  readonly text: string
}

const kinds = {
  // 1-99: the wire itself
  INTERNAL: { wire: 1, who: 'operator', retry: true, exit: 1, text: 'something went wrong inside the node' },
  FRAME_TOO_LARGE: { wire: 2, who: 'peer', retry: false, exit: 9, text: 'a frame is larger than the protocol allows' },
  MALFORMED: { wire: 3, who: 'peer', retry: false, exit: 9, text: 'bytes do not decode as the specification says' },
  WRONG_STATE: { wire: 4, who: 'peer', retry: false, exit: 9, text: 'a message arrived in a state that does not allow it' },
  RATE_EXCEEDED: { wire: 5, who: 'peer', retry: true, exit: 75, text: 'too many messages in too short a time' },
  UNSUPPORTED: {
    wire: 6,
    who: 'peer',
    retry: false,
    exit: 9,
    text: 'the peer asks for something that this version does not know',
  },
  BUSY: { wire: 7, who: 'nobody', retry: true, exit: 75, text: 'the node is at its limit of sessions' },
  BANNED: { wire: 8, who: 'peer', retry: false, exit: 9, text: 'this peer is refused' },
  STREAM_CUT: { who: 'nobody', retry: true, exit: 75, text: 'the connection was cut' },
  PEER_UNREACHABLE: { who: 'nobody', retry: true, exit: 3, text: 'the peer does not answer' },
  ABORTED: { wire: 9, who: 'user', retry: true, exit: 1, text: 'the call was aborted' },
  PEER_REFUSED: { who: 'peer', retry: false, exit: 9, text: 'the peer refused' },
} as const satisfies Record<string, ErrorKind>

/** The registry. Ranges: 1-99 wire, 100-199 promises and channels, 200-299 sessions, 300-399 services, 400-499 offers, 600-699 relays. */
export const ERRORS = {
  ...kinds,
  // 100-199: promises and channels
  CHANNEL_UNKNOWN: { wire: 100, who: 'peer', retry: true, exit: 5, text: 'the ledger knows no such channel' },
  SIGNER_WRONG: { wire: 101, who: 'peer', retry: false, exit: 9, text: 'the signature is not by the signer of the channel' },
  AMOUNT_TOO_LOW: { wire: 102, who: 'peer', retry: false, exit: 9, text: 'the promise is worth less than the one before it' },
  AMOUNT_OVER_DEPOSIT: { wire: 103, who: 'peer', retry: true, exit: 8, text: 'the promise exceeds the deposit of the channel' },
  CHANNEL_EXPIRED: {
    wire: 104,
    who: 'peer',
    retry: true,
    exit: 9,
    text: 'the reservation has expired or is too close to its expiry',
  },
  RISE_MISMATCH: {
    wire: 105,
    who: 'peer',
    retry: false,
    exit: 9,
    text: 'the rise of the promise is not the rise of its session',
  },
  LOCKS_REFUSED: { wire: 106, who: 'peer', retry: false, exit: 9, text: 'the locks of the promise are not acceptable' },
  HEAD_DISAGREES: {
    wire: 107,
    who: 'peer',
    retry: false,
    exit: 9,
    text: 'the two ends do not agree on the last promise of the channel',
  },
  CHANNEL_FROZEN: { wire: 108, who: 'peer', retry: true, exit: 75, text: 'the channel is being closed on the ledger' },
  CHANNEL_IN_USE: { wire: 109, who: 'peer', retry: true, exit: 75, text: 'a session or a lock still uses the channel' },
  RESERVATION_TOO_SMALL: {
    wire: 110,
    who: 'peer',
    retry: true,
    exit: 8,
    text: 'the reservation is below what the offer demands',
  },
  WORD_WRONG: { wire: 111, who: 'peer', retry: false, exit: 9, text: 'the word is not the next of its chain' },
  // 200-299: sessions
  SESSION_UNKNOWN: { wire: 200, who: 'peer', retry: true, exit: 75, text: 'no such session' },
  TERMS_REFUSED: { wire: 201, who: 'user', retry: false, exit: 6, text: 'the terms are not what the offer says' },
  PRICE_TOO_HIGH: { wire: 202, who: 'user', retry: false, exit: 6, text: 'the price is above the maximum that was set' },
  RISK_TOO_HIGH: { wire: 203, who: 'user', retry: false, exit: 6, text: 'one chunk costs more than the limit at risk' },
  BUDGET_REACHED: { wire: 204, who: 'user', retry: true, exit: 7, text: 'the budget is used up' },
  PATIENCE_OVER: { wire: 205, who: 'peer', retry: true, exit: 9, text: 'no payment came in time' },
  DEBT_UNPAID: { wire: 206, who: 'peer', retry: true, exit: 9, text: 'an earlier delivery is still owed' },
  DEBT_DISPUTED: { wire: 207, who: 'user', retry: false, exit: 9, text: 'the peer claims a debt that this node does not know' },
  METER_DISAGREES: { wire: 208, who: 'peer', retry: false, exit: 9, text: 'the two meters differ by more than the tolerance' },
  RECEIPT_WRONG: { wire: 209, who: 'peer', retry: false, exit: 9, text: 'the receipt does not say what happened' },
  SHUTTING_DOWN: { wire: 210, who: 'nobody', retry: true, exit: 75, text: 'the node is shutting down' },
  CHARGE_REFUSED: { wire: 211, who: 'peer', retry: false, exit: 9, text: 'the provider charges more than was allowed' },
  // 300-399: services
  SERVICE_UNKNOWN: { wire: 300, who: 'user', retry: false, exit: 5, text: 'the provider does not sell this service' },
  NOT_FOUND: { wire: 301, who: 'user', retry: false, exit: 5, text: 'the provider has no such thing' },
  REQUEST_INVALID: { wire: 302, who: 'user', retry: false, exit: 2, text: 'the service does not understand the request' },
  CONTENT_CHANGED: { wire: 303, who: 'user', retry: true, exit: 75, text: 'the content changed since the session began' },
  CONTENT_WRONG: {
    wire: 304,
    who: 'peer',
    retry: false,
    exit: 9,
    text: 'the bytes that came are not the ones that were promised',
  },
  SERVICE_FAILED: { wire: 305, who: 'peer', retry: true, exit: 9, text: 'the service failed at the provider' },
  // 400-499: offers
  OFFER_INVALID: { wire: 400, who: 'peer', retry: false, exit: 9, text: 'the offer is not valid' },
  OFFER_EXPIRED: { wire: 401, who: 'peer', retry: true, exit: 6, text: 'the offer has expired' },
  OFFER_FOREIGN: {
    wire: 402,
    who: 'user',
    retry: false,
    exit: 6,
    text: 'the offer is for another chain, ledger or token than this node uses',
  },
  OFFER_NOT_FOUND: { who: 'user', retry: true, exit: 6, text: 'no offer was found' },
  // 600-699: relays
  RELAY_FEE_LOW: { wire: 600, who: 'user', retry: true, exit: 6, text: 'the fee is below what the relay asks for' },
  RELAY_CALL_REFUSED: { wire: 601, who: 'user', retry: false, exit: 9, text: 'this is no call that the relay hands in' },
  RELAY_DEADLINE: { wire: 602, who: 'user', retry: true, exit: 75, text: 'the deadline of the request is too near or too far' },
  RELAY_NONCE: { wire: 603, who: 'user', retry: true, exit: 75, text: 'the number of the request is not the next of its signer' },
  RELAY_WOULD_FAIL: { wire: 604, who: 'user', retry: false, exit: 9, text: 'the chain would refuse the request' },
  RELAY_SIGNER_BUSY: { wire: 605, who: 'nobody', retry: true, exit: 75, text: 'another request of this signer is under way' },
  RELAY_SIGNER_BARRED: {
    wire: 606,
    who: 'user',
    retry: true,
    exit: 75,
    text: 'a request of this signer has failed on the chain',
  },
  RELAY_SIGNATURE: { wire: 607, who: 'user', retry: false, exit: 9, text: 'the request is not signed by its sender' },
  RELAY_UNKNOWN: { wire: 608, who: 'user', retry: true, exit: 5, text: 'the relay knows no such request' },
  RELAY_NONE: { who: 'user', retry: true, exit: 8, text: 'no relay hands this in for the fee that was allowed' },
  RELAY_EXPIRED: { who: 'nobody', retry: true, exit: 75, text: 'no relay has handed the request in before its deadline' },
  // not for the wire: disk
  STORE_LOCKED: { who: 'operator', retry: true, exit: 75, text: 'another process uses this home folder' },
  STORE_CORRUPT: { who: 'operator', retry: false, exit: 1, text: 'the database is damaged' },
  STORE_EMPTIED: { who: 'operator', retry: false, exit: 1, text: 'the database was emptied or belongs to another node' },
  STORE_NEWER: { who: 'operator', retry: false, exit: 1, text: 'the database was written by a newer version' },
  STORE_FAILED: { who: 'operator', retry: true, exit: 1, text: 'the disk does not take or give the data' },
  STORE_CLOSED: { who: 'nobody', retry: true, exit: 1, text: 'the database is closed' },
  // not for the wire: chain
  CHAIN_UNREACHABLE: { who: 'operator', retry: true, exit: 3, text: 'the chain RPC does not answer' },
  CHAIN_WRONG: { who: 'operator', retry: false, exit: 3, text: 'the RPC is of another chain than the configuration says' },
  CONTRACT_MISSING: { who: 'operator', retry: false, exit: 3, text: 'there is no ledger contract at the configured address' },
  TX_REVERTED: { who: 'user', retry: false, exit: 9, text: 'the chain refused the transaction' },
  TX_UNKNOWN: { who: 'nobody', retry: true, exit: 75, text: 'it is not known yet whether the transaction went through' },
  TX_REPLACED: { who: 'user', retry: true, exit: 75, text: 'another transaction of this account took the place of this one' },
  FUNDS_LOW: { who: 'user', retry: true, exit: 8, text: 'there is not enough of the token' },
  GAS_LOW: { who: 'user', retry: true, exit: 8, text: 'there is not enough of the gas coin' },
  DEVNET_FAILED: { who: 'operator', retry: true, exit: 3, text: 'the local chain did not start' },
  // not for the wire: the user's side
  USAGE: { who: 'user', retry: false, exit: 2, text: 'the command is not understood' },
  ADDRESS_INVALID: { who: 'user', retry: false, exit: 2, text: 'this is not an address' },
  AMOUNT_INVALID: { who: 'user', retry: false, exit: 2, text: 'this is not an amount' },
  PRICE_INVALID: { who: 'user', retry: false, exit: 2, text: 'this is not a price' },
  CONFIG_INVALID: { who: 'operator', retry: false, exit: 2, text: 'the configuration is not valid' },
  CONFIRMATION_NEEDED: { who: 'user', retry: false, exit: 2, text: 'this moves money and needs a confirmation' },
  HOME_MISSING: { who: 'user', retry: false, exit: 2, text: 'there is no node in this home folder' },
  HOME_EXISTS: { who: 'user', retry: false, exit: 2, text: 'there is a node in this home folder already' },
  PASSWORD_WRONG: { who: 'user', retry: false, exit: 4, text: 'the password does not open the key' },
  KEY_INVALID: { who: 'user', retry: false, exit: 4, text: 'this is not a usable key' },
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

/** What a sentence needs to be useful: the figures, addresses and names of this one case. */
export type ErrorFields = Readonly<Record<string, string | number | bigint | boolean | undefined>>

/**
 * The only error that Tallystick throws on purpose.
 *
 * `message` is one sentence for a person; `hint` is the next step; `fields` are the figures behind the sentence.
 */
export class TallyError extends Error {
  readonly code: ErrorCode
  readonly fields: ErrorFields
  readonly hint: string | undefined

  constructor(code: ErrorCode, init: { message?: string; hint?: string; fields?: ErrorFields; cause?: unknown } = {}) {
    super(init.message ?? ERRORS[code].text, init.cause === undefined ? undefined : { cause: init.cause })
    this.name = 'TallyError'
    this.code = code
    this.fields = init.fields ?? {}
    this.hint = init.hint
  }

  get kind(): ErrorKind {
    return ERRORS[this.code]
  }

  /** The number a peer may see; an internal failure is told as INTERNAL, without text. */
  get wire(): number {
    return this.kind.wire ?? ERRORS.INTERNAL.wire
  }
}

const byWire = new Map<number, ErrorCode>()
for (const [code, kind] of Object.entries(ERRORS)) if ('wire' in kind) byWire.set(kind.wire, code as ErrorCode)

/** The code behind a number from the wire; undefined for a number that this version does not know. */
export function codeOfWire(wire: number): ErrorCode | undefined {
  return byWire.get(wire)
}

/** Any thrown thing as a TallyError; what is not one already becomes INTERNAL with its cause kept. */
export function asTallyError(thrown: unknown): TallyError {
  if (thrown instanceof TallyError) return thrown
  return new TallyError('INTERNAL', { cause: thrown })
}
