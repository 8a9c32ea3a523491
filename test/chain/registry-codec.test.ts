import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hexlify, toUtf8Bytes } from 'ethers'
import fc from 'fast-check'
import { registryInterface } from '../../src/chain/abi.ts'
import { decodePublished, encodeService, hashOfService } from '../../src/chain/registry-codec.ts'
import type { Hash32 } from '../../src/core/ids.ts'
import { priceOf } from '../../src/core/price.ts'
import { newSigner, units } from './support/fixture.ts'
import { newSalt, newService } from './support/registry.ts'

describe('the codec of the registry', () => {
  test('every descriptor that keeps the rules comes out of its log as it went in, under the same hash', () => {
    const text = (max: number) => fc.string({ minLength: 1, maxLength: max, unit: fc.constantFrom(...'az09._-') })
    const amount = (max: bigint) => fc.bigInt({ min: 1n, max })
    const u96 = 2n ** 96n - 1n
    const specification = fc.record({ uri: text(256), hash: fc.uint8Array({ minLength: 32, maxLength: 32 }) })
    const descriptor = fc.record({
      name: text(64),
      kind: text(32),
      address: text(256),
      rate: fc.record({ amount: amount(2n ** 40n), per: amount(2n ** 64n - 1n) }),
      size: amount(2n ** 40n),
      minReservation: fc.bigInt({ min: 2n ** 80n, max: u96 }),
      minTimeToExpiry: fc.integer({ min: 1, max: 0xffff_ffff }),
      inputs: specification,
      outputs: specification,
    })
    fc.assert(
      fc.property(descriptor, ({ rate, size, inputs, outputs, ...of }) => {
        const hashed = ({ uri, hash }: typeof inputs) => ({ uri, hash: hexlify(hash.fill(1, 0, 1)) as Hash32 })
        const given = newService(newSigner().address, {
          ...of,
          price: priceOf([{ kind: 'ms', amount: units(rate.amount), per: rate.per }]),
          chunk: { kind: 'ms', size },
          minReservation: units(of.minReservation),
          inputs: hashed(inputs),
          outputs: hashed(outputs),
        })
        const zero = hexlify(new Uint8Array(32))
        const values = [newSalt(), zero, zero, newSigner().address, 7, encodeService(given)]
        const published = decodePublished(registryInterface.encodeEventLog('Published', values))
        assert.deepEqual(published?.service(), given)
        assert.deepEqual([published?.version, published?.serviceHash], [7, hashOfService(given)])
      }),
      { numRuns: 200 },
    )
  })

  test('a log that is no log of the registry says nothing', () => {
    const text = hexlify(toUtf8Bytes('nonsense'))
    for (const log of [undefined, null, 7, {}, { topics: [], data: '0x' }, { topics: [text], data: text }])
      assert.equal(decodePublished(log), undefined)
    const broken = registryInterface.encodeEventLog('Unregistered', [newSalt(), newSigner().address, 1])
    assert.equal(decodePublished(broken), undefined)
  })
})
