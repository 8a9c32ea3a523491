/** Signatures that look right and are not: what every receiver must refuse. */
import { concat, dataSlice, getBytes, hexlify, toBeHex, ZeroHash } from 'ethers'

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

interface Forgery {
  readonly comment: string
  readonly signature: string
}

const withV = (signature: string, v: number): string => concat([dataSlice(signature, 0, 64), toBeHex(v, 1)])

/** The other signature of the same digest and key: s mirrored, v flipped. Mathematically as good, and therefore refused. */
export function mirror(signature: string): string {
  const s = ORDER - BigInt(dataSlice(signature, 32, 64))
  return concat([dataSlice(signature, 0, 32), toBeHex(s, 32), toBeHex(55 - Number(dataSlice(signature, 64)), 1)])
}

function flipBit(signature: string, at: number): string {
  const bytes = getBytes(signature)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return hexlify(bytes)
}

/** Every way to spoil a good signature. */
export function forgeries(signature: string): readonly Forgery[] {
  const v = Number(dataSlice(signature, 64))
  const [r, s] = [dataSlice(signature, 0, 32), dataSlice(signature, 32, 64)]
  return [
    { comment: 'the twin with a high s', signature: mirror(signature) },
    { comment: 'the other v: another key would be recovered', signature: withV(signature, 55 - v) },
    { comment: 'v written as 0 or 1', signature: withV(signature, v - 27) },
    { comment: 'v beyond 28', signature: withV(signature, v + 2) },
    { comment: 'v as in EIP-155', signature: withV(signature, (v + 35) % 256) },
    { comment: 'r is zero', signature: concat([ZeroHash, s, toBeHex(v, 1)]) },
    { comment: 's is zero', signature: concat([r, ZeroHash, toBeHex(v, 1)]) },
    { comment: 'r is the order of the curve', signature: concat([toBeHex(ORDER, 32), s, toBeHex(v, 1)]) },
    { comment: 's is the order of the curve', signature: concat([r, toBeHex(ORDER, 32), toBeHex(v, 1)]) },
    { comment: 'one bit of r is wrong', signature: flipBit(signature, 7) },
    { comment: 'one bit of s is wrong', signature: flipBit(signature, 60) },
  ]
}
