import assert from 'node:assert/strict'
import { ERRORS, type ErrorCode, TallyError } from '../../src/core/errors.ts'
import type { TallyNode } from '../../src/node/node.ts'
import { failure, type TestNetwork } from '../support/network.ts'

/** The call fails with this code, and says so in one clear sentence that is not that of another code. Returns the error. */
export async function refuses(code: ErrorCode, call: () => Promise<unknown>): Promise<TallyError> {
  const error = await failure(call)
  assert.equal(error.code, code, error.message)
  isClear(error)
  return error
}

/** One line, no bare internals, and not the sentence of any other code. */
export function isClear(error: TallyError): void {
  assert.ok(error.message.length > 10, `${error.code}: too short: ${error.message}`)
  assert.doesNotMatch(error.message, /\n|\[object|undefined|^Error/, `${error.code}: ${error.message}`)
  for (const [other, { text }] of Object.entries(ERRORS)) if (other !== error.code) assert.notEqual(error.message, text)
}

/** A number that came over the wire, as the sentence that a person would get. */
export function isFault(code: ErrorCode | undefined, expected: ErrorCode): void {
  assert.equal(code, expected)
  isClear(new TallyError(expected))
}

/** Nothing was promised to this provider, and nothing settled. */
export async function earnedNothing(net: TestNetwork, provider: TallyNode): Promise<void> {
  const { signed, settled } = provider.money.sums.earned
  assert.deepEqual([signed, settled], [0n, 0n])
  assert.equal(await provider.chain.ledgerBalance(net.dev.token, provider.address), 0n)
}

/** Nothing was signed by this consumer. */
export function paidNothing(consumer: TallyNode): void {
  const { signed, settled } = consumer.money.sums.spent
  assert.deepEqual([signed, settled], [0n, 0n])
}
