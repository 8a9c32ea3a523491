import { addressOfPeer } from '../../protocols/peer-identity.ts'
import { type Address, parseAddress } from '../core/ids.ts'
import { parsePeer } from '../node/lines.ts'

/** The account behind a peer id or a multiaddr. @throws USAGE, UNSUPPORTED */
export function accountOfPeer(text: string): Address {
  return addressOfPeer(parsePeer(text).peer)
}

/** The account that a person names: by its address, or by its peer. @throws ADDRESS_INVALID, USAGE, UNSUPPORTED */
export function accountOf(text: string): Address {
  return text.startsWith('0x') ? parseAddress(text) : accountOfPeer(text)
}
