import { createKeccak } from 'hash-wasm'

// The one await of the core: the hasher is compiled when the module loads, so that hashing itself is synchronous. One shared object
// is safe because a run is init, update, digest with nothing in between.
const hasher = await createKeccak(256)

const utf8 = new TextEncoder()

/** keccak-256 as Ethereum uses it (not SHA3-256): 32 new bytes that nobody else holds. */
export function keccak256(bytes: Uint8Array): Uint8Array {
  return hasher.init().update(bytes).digest('binary')
}

/** keccak-256 of the UTF-8 of a text. Half a surrogate pair is hashed as U+FFFD: refuse such text before. */
export function keccakText(text: string): Uint8Array {
  return keccak256(utf8.encode(text))
}
