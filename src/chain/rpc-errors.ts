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
