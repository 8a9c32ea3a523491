import { ByteReader, ByteWriter } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'

const MANIFEST = 1
const RANGE = 2
const INDEX = 3

/** What a data stream of this service can ask for. @see protocols/files/SPEC.md */
export type FilesRequest =
  | { readonly type: 'manifest' }
  | { readonly type: 'range'; readonly offset: bigint; readonly length: bigint }
  | { readonly type: 'index' }

/** The bytes for the header of a data stream. */
export function encodeRequest(request: FilesRequest): Uint8Array {
  switch (request.type) {
    case 'manifest':
      return Uint8Array.of(MANIFEST)
    case 'index':
      return Uint8Array.of(INDEX)
    case 'range':
      return new ByteWriter(17).u8(RANGE).u64(request.offset).u64(request.length).finish()
  }
}

/** The request in the header of a data stream. REQUEST_INVALID for anything else. */
export function decodeRequest(bytes: Uint8Array): FilesRequest {
  try {
    const reader = new ByteReader(bytes)
    const request = readRequest(reader)
    reader.end()
    return request
  } catch (cause) {
    throw new TallyError('REQUEST_INVALID', { message: 'the request is neither a manifest nor a range nor an index', cause })
  }
}

function readRequest(reader: ByteReader): FilesRequest {
  const type = reader.u8()
  if (type === MANIFEST) return { type: 'manifest' }
  if (type === INDEX) return { type: 'index' }
  if (type === RANGE) return { type: 'range', offset: reader.u64(), length: reader.u64() }
  throw new TallyError('REQUEST_INVALID', { fields: { type } })
}
