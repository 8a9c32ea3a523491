import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'

/** The content id under which providers of a service, or of a kind of service, are found on the DHT. @see protocols/offer/SPEC.md O4 */
export async function discoveryCid(what: 'service' | 'kind', name: string): Promise<CID> {
  return CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(`tallystick:${what}:${name}`)))
}
