import { AbiCoder, Interface } from 'ethers'
import ledger from '../../protocols/ledger/generated/TallyLedger.json' with { type: 'json' }
import token from '../../protocols/ledger/generated/TestToken.json' with { type: 'json' }
import { asTallyError, TallyError } from '../core/errors.ts'

/** The RPC answered, and its answer is an error object. Never leaves the chain layer. */
export class RpcRefusal extends Error {
  readonly rpcCode: number
  /** Revert data as hex, when the answer carries any. */
  readonly data: string | undefined

  constructor(method: string, rpcCode: number, message: string, data: string | undefined) {
    super(`${method}: ${message}`)
    this.name = 'RpcRefusal'
    this.rpcCode = rpcCode
    this.data = data
  }
}

/** The RPC answered with an HTTP status that says no (for a range of logs: too many blocks). Never leaves the chain layer. */
export class HttpRefusal extends Error {
  readonly status: number

  constructor(method: string, status: number) {
    super(`${method}: HTTP status ${status}`)
    this.name = 'HttpRefusal'
    this.status = status
  }
}

/** What ethers threw, as RpcRefusal, HttpRefusal, or a plain Error whose text holds no secret of the URL. */
export function fromEthers(method: string, thrown: unknown): Error {
  const error = thrown as {
    code?: unknown
    shortMessage?: unknown
    message?: unknown
    error?: unknown
    info?: Record<string, unknown>
  }
  const answer = [error?.info?.error, error?.error].find(isRpcError)
  if (answer !== undefined) {
    return new RpcRefusal(method, Number(answer.code ?? 0), boundedText(answer.message, 300), revertData(answer))
  }
  const status = /^(\d{3})/.exec(String(error?.info?.responseStatus ?? ''))?.[1]
  if (status !== undefined) return new HttpRefusal(method, Number(status))
  return new Error(boundedText(error?.shortMessage ?? error?.message ?? 'unknown failure', 300))
}

interface RpcErrorObject {
  readonly code?: unknown
  readonly message: string
  readonly data?: unknown
}

function isRpcError(value: unknown): value is RpcErrorObject {
  return (
    typeof value === 'object' &&
    value !== null &&
    'message' in value &&
    typeof value.message === 'string' &&
    !(value instanceof Error)
  )
}

/** RPCs nest the revert data at different depths; the first hex string under a `data` key is it. */
function revertData(answer: unknown, depth = 4): string | undefined {
  if (typeof answer !== 'object' || answer === null || depth === 0) return undefined
  const data = 'data' in answer ? answer.data : undefined
  if (typeof data === 'string') return /0x[0-9a-f]*/i.exec(data)?.[0]
  return revertData(data, depth - 1)
}

const knownErrors = new Interface([...ledger.abi, ...token.abi].filter((item) => item.type === 'error'))

export interface RevertReason {
  /** Name of the custom error, 'Error', 'Panic', or 'unknown'. */
  readonly name: string
  /** The whole reason on one line, bounded. */
  readonly text: string
}

/** Says in words why a contract reverted: a custom error of the ledger or of an OpenZeppelin token, a text, a panic. */
export function decodeRevert(data: string | undefined): RevertReason {
  if (data === undefined || data === '0x') return { name: 'unknown', text: 'the contract gives no reason' }
  try {
    if (data.startsWith('0x08c379a0')) {
      const [text] = AbiCoder.defaultAbiCoder().decode(['string'], `0x${data.slice(10)}`)
      return { name: 'Error', text: boundedText(text, 200) }
    }
    if (data.startsWith('0x4e487b71')) return { name: 'Panic', text: `the contract panics with code 0x${data.slice(-2)}` }
    const parsed = knownErrors.parseError(data)
    if (parsed === null) return { name: 'unknown', text: `unknown error ${boundedText(data.slice(0, 10), 10)}` }
    const named = parsed.fragment.inputs.map((input, i) => `${input.name} ${String(parsed.args[i])}`)
    return { name: parsed.name, text: boundedText(named.length > 0 ? `${parsed.name} (${named.join(', ')})` : parsed.name, 300) }
  } catch {
    return { name: 'unknown', text: 'the contract gives a reason that cannot be read' }
  }
}

/** The next step for the reverts that a person can do something about. */
const revertHints: Readonly<Record<string, string>> = {
  ExpiryOutOfRange: 'choose an expiry in the future, not before the present one and at most two years ahead',
  ChannelNotLive: 'the reservation has expired; its owner can open it again',
  ChannelNotOpen: 'nothing is reserved in this channel; open it first',
  NotExpired: 'wait for the expiry, or ask the other side to close together',
  DeadlinePassed: 'ask the other side for a fresh signature',
  InvalidSignature: 'ask the other side for a fresh signature; one for another epoch, amount or deadline is not good',
  UnknownChannel: 'check owner, signer, target and token, and that the channel was opened on this chain',
  NothingToSettle: 'everything that this promise is worth has been settled already',
  InsufficientBalance: 'deposit first, or use tokens from the wallet',
}

/** TX_REVERTED with the contract's own reason. */
export function revertedError(summary: string, data: string | undefined, fields: Record<string, string> = {}): TallyError {
  const reason = decodeRevert(data)
  const hint = revertHints[reason.name]
  return new TallyError('TX_REVERTED', {
    message: `the chain refuses to ${summary}: ${reason.text}`,
    ...(hint === undefined ? {} : { hint }),
    fields: { reason: reason.name, ...fields },
  })
}

/** Printable text of at most `max` characters: contracts and RPCs may say anything, also terminal codes. */
export function boundedText(value: unknown, max: number): string {
  const clean = String(value)
    .slice(0, max * 4)
    .replace(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
  return [...clean].slice(0, max).join('')
}

/** Whatever was thrown, as an error for people; `name` is the RPC without secrets. */
export function unreachable(name: string, thrown: unknown): TallyError {
  if (thrown instanceof TallyError) return asTallyError(thrown)
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  return new TallyError('CHAIN_UNREACHABLE', {
    message: `the chain RPC at ${name} does not answer as it should: ${boundedText(reason, 200)}`,
    hint: 'check that the RPC address is right and that its node is running and in sync',
    fields: { rpc: name },
    cause: thrown,
  })
}
