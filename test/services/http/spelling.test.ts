import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { carried, isPath } from '../../../src/services/http/head.ts'
import { costOf } from '../../../src/services/http/tariff.ts'

const tariff = {
  chargeFailures: false,
  calls: 1,
  routes: [
    { method: '*', path: '/free/*', calls: 0 },
    { method: '*', path: '/v1/*', calls: 1_000 },
  ],
}
const cost = (path: string): number => costOf(tariff, { method: 'GET', path }).calls

describe('the spelling of a path', () => {
  test('one that leaves its folder by any reading is refused', () => {
    for (const path of [
      '/free/..%2fv1/chat',
      '/free/..;/v1/chat',
      '/free/%252e%252e/v1/chat',
      '/free/..%5cv1%5cchat',
      '/..%2fadmin',
      '/a/..;x=1/b',
      '/./a',
      '/a;/../b',
    ])
      assert.equal(isPath(path), false, path)
    for (const path of ['/', '/a.b/..c', '/a%20b', '/v1;x=1/chat', '/@scope%2fname', '/a?x=../..', '/100%', '/...'])
      assert.equal(isPath(path), true, path)
  })
  test('a dear route costs the same however it is spelled', () => {
    for (const path of [
      '/v1/chat',
      '/V1/chat',
      '//v1/chat',
      '/v1;x/chat',
      '/;/v1/chat',
      '/%76%31/chat',
      '/v1%2fchat',
      '/v1\\chat',
      '/%2576%2531/chat',
    ])
      assert.equal(cost(path), 1_000, path)
    assert.equal(cost('/free/x'), 0)
    assert.equal(cost('/other'), 1)
  })
  test('one that hides behind many escapes is refused at once, not decoded for long', () => {
    assert.equal(isPath(`/%${'25'.repeat(1_900)}`), false)
  })
  test('headers that name another path or method than the one that was priced do not travel', () => {
    const names = carried(
      [
        ['x-original-url', '/v1'],
        ['X-HTTP-Method-Override', 'POST'],
        ['x-rewrite-url', '/v1'],
        ['accept', '*/*'],
      ],
      'request',
    ).map(([name]) => name)
    assert.deepEqual(names, ['accept'])
  })
})
