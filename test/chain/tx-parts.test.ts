import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Interface } from 'ethers'
import fc from 'fast-check'
import { decodeRevert } from '../../src/chain/revert.ts'
import { boundedText } from '../../src/chain/rpc-errors.ts'
import { bumpedFees, marketFees } from '../../src/chain/tx-fees.ts'
import { intentId, type TxRecord, txTable } from '../../src/chain/tx-record.ts'
import { refusal } from '../../src/chain/tx-sender.ts'
import type { Address } from '../../src/core/ids.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { units } from './support/fixture.ts'

const fee = fc.bigInt({ min: 0n, max: 10n ** 15n })

describe('fees', () => {
  test('each attempt offers at least an eighth more than the one before, and at least the market', () => {
    fc.assert(
      fc.property(fee, fee, fee, fee, (base, tip, nowBase, nowTip) => {
        const last = marketFees(base, tip)
        const market = marketFees(nowBase, nowTip)
        const next = bumpedFees(last, market, 10n ** 30n)
        assert(next?.tip !== undefined && last.tip !== undefined && market.tip !== undefined)
        assert(next.maxFee * 8n >= last.maxFee * 9n && next.tip * 8n >= last.tip * 9n)
        assert(next.maxFee >= market.maxFee && next.tip >= market.tip && next.maxFee > last.maxFee && next.tip > last.tip)
        assert(next.tip <= next.maxFee)
      }),
    )
  })

  test('a rise beyond the cap is not made', () => {
    assert.equal(bumpedFees({ maxFee: 100n, tip: 1n }, { maxFee: 10n, tip: 1n }, 112n), undefined)
    assert.deepEqual(bumpedFees({ maxFee: 100n, tip: 1n }, { maxFee: 10n, tip: 1n }, 113n), { maxFee: 113n, tip: 2n })
  })

  test('a chain without a base fee has a gas price and no tip', () => {
    assert.deepEqual(marketFees(undefined, 7n), { maxFee: 7n })
    assert.deepEqual(bumpedFees({ maxFee: 8n }, { maxFee: 7n }, 100n), { maxFee: 9n })
  })
})

describe('what nodes say to a signed transaction', () => {
  for (const [message, type] of [
    ['already known', 'taken'],
    ['transaction already imported', 'taken'],
    ['AlreadyKnown: tx already in mempool', 'taken'],
    ['replacement transaction underpriced', 'taken'],
    ['nonce too low: next nonce 5, tx nonce 4', 'nonce-used'],
    ['OldNonce', 'held'],
    ['transaction underpriced: tip needed 1', 'fee-low'],
    ['max fee per gas less than block base fee', 'fee-low'],
    ['insufficient funds for gas * price + value', 'held'],
    ['txpool is full', 'held'],
  ] as const) {
    test(`${JSON.stringify(message)} means ${type}`, () => {
      assert.equal(refusal(message).type, type)
    })
  }
})

describe('intents', () => {
  test('the same key gives the same id, another key another, no key a new one', () => {
    assert.equal(intentId('a'), intentId('a'))
    assert.notEqual(intentId('a'), intentId('b'))
    assert.notEqual(intentId(undefined), intentId(undefined))
    assert.match(intentId('a'), /^[0-9a-f]{32}$/)
  })

  test('a record comes back from the store as it was, with its amounts and bytes', async () => {
    const address = `0x${'1'.repeat(40)}` as Address
    const record: TxRecord = {
      id: intentId('x'),
      seq: 3,
      action: {
        kind: 'settle',
        target: address,
        token: address,
        amount: units(2n ** 95n),
        locks: Buffer.from('abcd', 'hex'),
        signature: new Uint8Array(64).fill(9),
      },
      summary: 'settle',
      from: address,
      to: address,
      state: 'sent',
      nonce: 0,
      attempts: [{ hash: '0x1', raw: '0x02', gasLimit: 2n ** 60n, maxFee: 1n, tip: 0n }],
      failure: { code: 'GAS_LOW', message: 'm', fields: { needed: 5n } },
    }
    const store = openMemoryStore()
    const records = txTable(store)
    await store.commit([records.put(record.id, record)])
    const expected = { ...record, action: { ...record.action, locks: Uint8Array.of(0xab, 0xcd) } }
    assert.deepEqual(await records.get(record.id), expected)
  })
})

describe('reasons of a revert', () => {
  test('errors of the ledger and of tokens, texts and panics are named', () => {
    const errors = new Interface([
      'error InsufficientBalance(address account, address token, uint256 balance, uint256 needed)',
      'error Error(string)',
      'error Panic(uint256)',
    ])
    const address = `0x${'2'.repeat(40)}`
    const custom = decodeRevert(errors.encodeErrorResult('InsufficientBalance', [address, address, 1n, 2n]))
    assert.equal(custom.name, 'InsufficientBalance')
    assert.match(custom.text, /balance 1, needed 2/)
    assert.deepEqual(decodeRevert(errors.encodeErrorResult('Error', ['no\u001b[31m way'])), {
      name: 'Error',
      text: 'no [31m way',
    })
    assert.match(decodeRevert(errors.encodeErrorResult('Panic', [0x11n])).text, /0x11/)
    assert.equal(decodeRevert('0x12345678').name, 'unknown')
    assert.equal(decodeRevert(undefined).name, 'unknown')
  })

  test('whatever a contract answers, the reason is short and printable', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom('0x08c379a0', '0x4e487b71', '0x'), (bytes, selector) => {
        const { text } = decodeRevert(selector + Buffer.from(bytes).toString('hex'))
        assert(text.length > 0 && text.length <= 300)
        assert.doesNotMatch(text, /[\p{C}]/u)
      }),
    )
    assert.equal(boundedText('a\u202eb\n c', 10), 'a b c')
  })
})
