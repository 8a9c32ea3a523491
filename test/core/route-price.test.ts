import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { TallyError } from '../../src/core/errors.ts'
import { meterOf } from '../../src/core/meter.ts'
import { due } from '../../src/core/price.ts'
import { formatPrice, type parsePrice } from '../../src/core/price-text.ts'
import { callsOf, parseRoutes } from '../../src/core/route-price.ts'

const usdc = { symbol: 'USDC', decimals: 6 } as Parameters<typeof parsePrice>[1]
const SHOP = parseRoutes(['POST /v1/*=0.002/call', 'GET /health=free', '/files/*.bin=0.0015/call', '*=0.0005/call'], usdc)

describe('prices by route', () => {
  test('are one price, of which a dearer call counts several', () => {
    assert.equal(formatPrice(SHOP.price, usdc), '0.0005 USDC/1 call'.replace('1 call', 'call'))
    assert.deepEqual(
      SHOP.routes.map(({ method, path, calls }) => [method, path, calls]),
      [
        ['POST', '/v1/*', 4n],
        ['GET', '/health', 0n],
        [undefined, '/files/*.bin', 3n],
        [undefined, '*', 1n],
      ],
    )
  })
  test('property: each call costs exactly what its route says, whatever the others cost', () => {
    const cost = fc.integer({ min: 1, max: 9_999 })
    const per = fc.constantFrom(1, 2, 3, 7, 1_000)
    fc.assert(
      fc.property(fc.array(fc.tuple(cost, per), { minLength: 1, maxLength: 5 }), (list) => {
        const { price, routes } = parseRoutes(
          list.map(([amount, count], i) => `/${i}=${amount} base/${count} call`),
          usdc,
        )
        list.forEach(([amount, count], i) => {
          const calls = routes[i]?.calls ?? 0n
          // so many that nothing is rounded
          assert.equal(due(price, meterOf({ calls: calls * BigInt(count) })), BigInt(amount))
        })
      }),
    )
  })
  test('the first route that matches holds; where none does there is no price', () => {
    assert.equal(callsOf(SHOP.routes, 'POST', '/v1/chat'), 4n)
    assert.equal(callsOf(SHOP.routes, 'GET', '/v1/chat'), 1n)
    assert.equal(callsOf(SHOP.routes, 'GET', '/health'), 0n)
    assert.equal(callsOf(SHOP.routes, 'GET', '/health/more'), 1n)
    assert.equal(callsOf(SHOP.routes, 'GET', '/files/a/b.bin'), 3n)
    assert.equal(callsOf(parseRoutes(['POST /v1/*=1/call'], usdc).routes, 'GET', '/v1/x'), undefined)
  })
  test('a dear route is not reached by another spelling of its path', () => {
    for (const path of ['/v1/chat?x=/health', '/v1/%63hat', '/%76%31/chat', '/health/../v1/chat', '/health/%2e%2e/v1/chat', '//v1//chat', '/v1/chat#/health', '/a/..%2fv1/chat', '/%2576%2531/chat', '/%ff/%'])
      assert.equal(callsOf(SHOP.routes, 'POST', path), 4n, path) // biome-ignore format: a list
  })
  test('any path of a stranger gives a count', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webPath()), (path) => {
        assert.notEqual(callsOf(SHOP.routes, 'GET', path), undefined)
      }),
    )
  })
  test('all free is free', () => {
    assert.deepEqual(parseRoutes(['*=free'], usdc).price.rates, [])
  })
  test('what is no price of a route is refused with a hint', () => {
    for (const [text, why] of [
      ['POST /v1/*', /equals sign/],
      ['v1=1/call', /equals sign/],
      ['/v1=', /equals sign/],
      ['/v1=1/MiB', /one rate per call/],
      ['/v1=1/call+1/MiB', /one rate per call/],
      ['/v1=1/call>5call', /one rate per call/],
      ['/v1=1', /slash/],
      [`/${'*'.repeat(9)}=1/call`, /8 stars/],
    ] as const)
      assert.throws(
        () => parseRoutes([text], usdc),
        (thrown: TallyError) => thrown.code === 'PRICE_INVALID' && why.test(thrown.message) && thrown.hint !== undefined,
        text,
      )
  })
})
