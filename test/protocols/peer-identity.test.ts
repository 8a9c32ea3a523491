import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { computeAddress, hexlify } from 'ethers'
import fc from 'fast-check'
import { addressOfPeer, libp2pKey, peerIdentity, peerIdOfKey, publicKeyOfPeer } from '../../protocols/peer-identity.ts'
import { isPrivateKey, publicKeyOf } from '../../src/core/crypto/secp256k1.ts'

const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter(isPrivateKey)

describe('peer identity', () => {
  test('is one key: the peer id of a key has the Ethereum address of that key, also after it went through text', () => {
    fc.assert(
      fc.property(key, (privateKey) => {
        const peer = peerIdFromString(peerIdOfKey(privateKey).toString())
        assert.equal(addressOfPeer(peer), computeAddress(hexlify(privateKey)).toLowerCase())
        assert.deepEqual(publicKeyOfPeer(peer), publicKeyOf(privateKey))
        assert.deepEqual(peerIdentity(peer), { peer, address: addressOfPeer(peer), publicKey: publicKeyOf(privateKey) })
      }),
      { numRuns: 20 },
    )
  })

  test('of a known key is pinned', () => {
    const peer = peerIdOfKey(new Uint8Array(32).fill(1))
    assert.equal(addressOfPeer(peer), '0x1a642f0e3c3af545e7acbd38b07251b3990914f1')
    assert.match(peer.toString(), /^16Uiu2HA/)
  })

  test('is refused as UNSUPPORTED for ed25519 and RSA keys', async () => {
    for (const type of ['Ed25519', 'RSA'] as const) {
      const peer = peerIdFromPrivateKey(await generateKeyPair(type))
      for (const use of [addressOfPeer, publicKeyOfPeer, peerIdentity]) assert.throws(() => use(peer), { code: 'UNSUPPORTED' })
    }
  })

  test('refuses what is no private key with KEY_INVALID', () => {
    for (const bad of [
      new Uint8Array(31),
      new Uint8Array(33),
      new Uint8Array(64).fill(1),
      new Uint8Array(32),
      new Uint8Array(32).fill(0xff),
    ]) {
      assert.throws(() => libp2pKey(bad), { code: 'KEY_INVALID' })
      assert.throws(() => peerIdOfKey(bad), { code: 'KEY_INVALID' })
    }
  })
})
