/** The same bytes over the same libp2p stack, unpaid: what a paid stream is compared with. Nothing of our framing is in here. */
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createNetwork, type Network } from '../../src/node/libp2p.ts'
import { readZerosRequest, zerosRequest } from './zeros.ts'

const PLAIN_PROTOCOL = '/tallystick/bench/plain/1.0.0'

/** A node of our own configuration, without offers, sessions and payments. */
export async function plainNode(privateKey: Uint8Array, listen: readonly string[]): Promise<Network> {
  return await createNetwork({ privateKey, listen, bootstrap: [], session: {}, data: {}, offer: {} })
}

/** Answers each stream with the zero bytes that its first message asks for. */
export async function servePlain(node: Network): Promise<void> {
  await node.handle(PLAIN_PROTOCOL, (stream) => {
    stream.addEventListener(
      'message',
      ({ data }) => void pour(stream, data.subarray()).catch((thrown: Error) => stream.abort(thrown)),
      { once: true },
    )
  })
}

async function pour(stream: Stream, request: Uint8Array): Promise<void> {
  const { total, piece } = readZerosRequest(request)
  const bytes = new Uint8Array(piece)
  for (let left = total; left > 0; left -= piece) {
    if (!stream.send(left < piece ? bytes.subarray(0, left) : bytes)) await drained(stream)
  }
  await stream.close()
}

/** libp2p's own onDrain() works once for each stream, so the event is waited for. */
function drained(stream: Stream): Promise<void> {
  if (!stream.writableNeedsDrain) return Promise.resolve()
  return new Promise((resolve, reject) => {
    stream.addEventListener('drain', () => resolve(), { once: true })
    stream.addEventListener('close', () => reject(new Error('the plain stream was cut')), { once: true })
  })
}

/** Fetches `total` bytes, counts them and throws them away; answers how long that took with the opening of the stream, in milliseconds. */
export async function fetchPlain(node: Network, address: string, total: number, piece: number): Promise<number> {
  const begin = performance.now()
  const stream = await node.dialProtocol(multiaddr(address), PLAIN_PROTOCOL)
  const done = Promise.withResolvers<void>()
  let received = 0
  stream.addEventListener('message', ({ data }) => {
    received += data.byteLength
    if (received === total) done.resolve()
  })
  stream.addEventListener('close', () => done.reject(new Error(`the plain stream ended after ${received} of ${total} bytes`)))
  stream.send(zerosRequest(total, piece))
  await done.promise
  const took = performance.now() - begin
  await stream.close()
  return took
}
