import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PeerGate } from '../../protocols/peer-gate.ts'

describe('peer gate', () => {
  test('lets in one burst, then as many as the rate allows, for each peer on its own', () => {
    const gate = new PeerGate({ perSecond: 10, burst: 3 })
    const entered = [1, 2, 3, 4].map(() => gate.enter('a', 0) !== undefined)
    assert.deepEqual(entered, [true, true, true, false])
    assert.notEqual(gate.enter('b', 0), undefined)
    assert.notEqual(gate.enter('a', 100), undefined)
    assert.equal(gate.enter('a', 100), undefined)
  })

  test('refuses what is above the number at once, and lets in again what took the place of one that left', () => {
    const gate = new PeerGate({ perSecond: 100, burst: 100, maxOpen: 2 })
    const leave = gate.enter('a', 0)
    gate.enter('a', 0)
    assert.equal(gate.enter('a', 0), undefined)
    leave?.()
    assert.notEqual(gate.enter('a', 0), undefined)
    assert.equal(gate.enter('a', 0), undefined)
  })

  test('remembers a bounded number of peers and forgets the quiet ones first', () => {
    const gate = new PeerGate({ perSecond: 1, burst: 1, maxPeers: 3 })
    gate.enter('busy', 0)
    for (let i = 0; i < 100; i++) gate.enter(`peer ${i}`, 0)?.()
    assert.equal(gate.size, 3)
    assert.equal(gate.enter('busy', 0), undefined)
  })

  test('forgets even a busy peer when all are busy, so its memory stays bounded', () => {
    const gate = new PeerGate({ perSecond: 1, burst: 1, maxPeers: 3 })
    for (let i = 0; i < 10; i++) gate.enter(`peer ${i}`, 0)
    assert.equal(gate.size, 3)
  })
})
