import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { type Grant, grantDigest, verifyGrant } from '../../../src/core/accountant/grant.ts'
import { amount } from '../../../src/core/amount.ts'
import { fromHex, toHex } from '../../../src/core/bytes.ts'
import { type Address, parseHash32, seconds } from '../../../src/core/ids.ts'

interface Case {
  readonly comment: string
  readonly input: Readonly<Record<'consumer' | 'owner' | 'signer' | 'provider' | 'token', Address>> & {
    readonly anchor: string
    readonly unit: string
    readonly steps: number
    readonly expiry: number
  }
  readonly digest: string
  readonly signature: string
  readonly error?: string
}

const file = JSON.parse(readFileSync(new URL('../../../protocols/clearing/vectors/grants.json', import.meta.url), 'utf8')) as {
  readonly domain: { readonly chainId: number; readonly verifyingContract: string }
  readonly cases: readonly Case[]
}
const domain = { chainId: BigInt(file.domain.chainId), ledger: file.domain.verifyingContract.toLowerCase() as Address }

function grantOf({ consumer, owner, signer, provider, token, anchor, unit, steps, expiry }: Case['input']): Grant {
  const parties = { owner, signer, target: provider, token }
  return { consumer, parties, anchor: parseHash32(anchor), unit: amount(BigInt(unit)), steps, expiry: seconds(expiry) }
}

describe('a grant', () => {
  for (const { comment, input, digest, signature, error } of file.cases) {
    test(`${error === undefined ? 'is what the vector says' : 'is refused'}: ${comment}`, () => {
      const grant = grantOf(input)
      assert.equal(toHex(grantDigest(domain, grant)), digest)
      assert.equal(verifyGrant(domain, grant, fromHex(signature)), error === undefined)
    })
  }
})
