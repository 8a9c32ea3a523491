/** Goods that cost nothing to make, so that only the way is measured. */
import { ByteReader, ByteWriter } from '../../src/core/bytes.ts'
import type { ServiceAdapter } from '../../src/ports/service.ts'

/** Asks for `total` zero bytes in pieces of `piece`. */
export function zerosRequest(total: number, piece: number): Uint8Array {
  return new ByteWriter(12).u64(BigInt(total)).u32(piece).finish()
}

export function readZerosRequest(request: Uint8Array): { readonly total: number; readonly piece: number } {
  const reader = new ByteReader(request)
  const asked = { total: Number(reader.u64()), piece: reader.u32() }
  reader.end()
  return asked
}

/** Sells zero bytes, as many as the request says. */
export const zerosService: ServiceAdapter = {
  kind: 'zeros',
  inputs: 'nothing',
  outputs: 'zero bytes',
  prepare: async () => new Uint8Array(0),
  open: async ({ request }) => ({ info: new Uint8Array(0), free: false, body: zeros(request) }),
  close: async () => undefined,
}

async function* zeros(request: Uint8Array): AsyncGenerator<Uint8Array> {
  const { total, piece } = readZerosRequest(request)
  const bytes = new Uint8Array(piece)
  for (let left = total; left > 0; left -= piece) yield left < piece ? bytes.subarray(0, left) : bytes
}
