import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { PeerId, Secp256k1PeerId, Secp256k1PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { addressOfPublicKey } from '../src/core/crypto/secp256k1.ts'
import { TallyError } from '../src/core/errors.ts'
import type { Address } from '../src/core/ids.ts'

/** Who a peer is in both worlds: one secp256k1 key is its peer id and its Ethereum account. */
export interface PeerIdentity {
  readonly peer: PeerId
  readonly address: Address
  /** compressed, 33 bytes */
  readonly publicKey: Uint8Array
}

/**
 * The identity behind a peer id. Take the peer id from the handshake of a connection: then the peer has proven it.
 *
 * @throws TallyError UNSUPPORTED for every key that is not secp256k1 (ed25519, RSA, ...)
 * @see protocols/session/SPEC.md section Identity
 */
export function peerIdentity(peer: PeerId): PeerIdentity {
  const publicKey = publicKeyOfPeer(peer)
  return { peer, address: addressOfPublicKey(publicKey), publicKey }
}

/** The Ethereum address of a peer. @throws TallyError UNSUPPORTED */
export function addressOfPeer(peer: PeerId): Address {
  return addressOfPublicKey(publicKeyOfPeer(peer))
}

/** The compressed public key of a peer, 33 bytes. @throws TallyError UNSUPPORTED */
export function publicKeyOfPeer(peer: PeerId): Uint8Array {
  if (peer.type === 'secp256k1') return peer.publicKey.raw
  throw new TallyError('UNSUPPORTED', {
    message: `the peer has a key of type ${peer.type}, which is no Ethereum account; only secp256k1 keys can pay or be paid`,
    hint: 'use a peer whose id begins with 16Uiu2',
    fields: { key_type: peer.type },
  })
}

/** The key of an account in the form that libp2p takes for a node. @throws TallyError KEY_INVALID unless it is 32 bytes of a secp256k1 key */
export function libp2pKey(privateKey: Uint8Array): Secp256k1PrivateKey {
  if (privateKey.length !== 32) throw new TallyError('KEY_INVALID')
  try {
    const key = privateKeyFromRaw(privateKey)
    if (key.type === 'secp256k1') return key
  } catch (cause) {
    throw new TallyError('KEY_INVALID', { cause })
  }
  throw new TallyError('KEY_INVALID')
}

/** The peer id of an account. @throws TallyError KEY_INVALID */
export function peerIdOfKey(privateKey: Uint8Array): Secp256k1PeerId {
  return peerIdFromPrivateKey(libp2pKey(privateKey))
}
