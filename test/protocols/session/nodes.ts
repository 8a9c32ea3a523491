// Two real nodes with secp256k1 keys, one serving, one dialling, and the raw end of a stream for peers that break the rules.
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { type FramedStream, framed } from '../../../protocols/framing/framed-stream.ts'
import { libp2pKey } from '../../../protocols/peer-identity.ts'
import { decodeFromPayee } from '../../../protocols/session/codec.ts'
import type { PayeeLink, PayerLink } from '../../../protocols/session/control-link.ts'
import { MAX_SESSION_FRAME_BYTES, SESSION_PROTOCOL } from '../../../protocols/session/protocol.ts'
import { type SessionService, type SessionServiceInit, sessionService } from '../../../protocols/session/service.ts'
import type { FromPayee } from '../../../src/core/session/messages.ts'
import { addressOf, testNode } from '../../support/libp2p.ts'

export const PAYEE_KEY = new Uint8Array(32).fill(1)
export const PAYER_KEY = new Uint8Array(32).fill(2)

export interface SessionPair {
  readonly server: Libp2p<{ session: SessionService }>
  readonly client: Libp2p<{ session: SessionService }>
  /** the payee's end of the stream that was opened next */
  accepted(): Promise<PayeeLink>
  /** both ends of a new control stream */
  open(): Promise<{ payer: PayerLink; payee: PayeeLink }>
  /** a control stream without the service: a payer that may send whatever it likes */
  rogue(): Promise<FramedStream>
  stop(): Promise<void>
}

export async function sessionPair(init: SessionServiceInit = {}, clientKey?: PrivateKey | 'ed25519'): Promise<SessionPair> {
  const queue: PayeeLink[] = []
  const waiting: ((link: PayeeLink) => void)[] = []
  const onLink = (link: PayeeLink): void => {
    const take = waiting.shift()
    if (take === undefined) queue.push(link)
    else take(link)
  }
  const asking = { session: sessionService(init.nowMs === undefined ? {} : { nowMs: init.nowMs }) }
  const key = clientKey === 'ed25519' ? undefined : (clientKey ?? libp2pKey(PAYER_KEY))
  const server = await testNode<{ session: SessionService }>({
    privateKey: libp2pKey(PAYEE_KEY),
    services: { session: sessionService({ onLink, lingerMs: 200, ...init }) },
  })
  const client = await testNode<{ session: SessionService }>({
    listen: false,
    services: asking,
    ...(key === undefined ? {} : { privateKey: key }),
  })
  const accepted = async (): Promise<PayeeLink> => queue.shift() ?? (await new Promise((resolve) => waiting.push(resolve)))
  return {
    server,
    client,
    accepted,
    async open() {
      const [payer, payee] = await Promise.all([client.services.session.connect(addressOf(server)), accepted()])
      return { payer, payee }
    },
    async rogue() {
      const connection = await client.dial(addressOf(server))
      return framed(await connection.newStream(SESSION_PROTOCOL), { maxFrameBytes: MAX_SESSION_FRAME_BYTES })
    },
    async stop() {
      await client.stop()
      await server.stop()
    },
  }
}

/** All messages until `count` of them are there or the link ends. */
export async function take<M>(link: AsyncIterable<readonly M[]>, count: number): Promise<M[]> {
  const messages: M[] = []
  for await (const batch of link) {
    messages.push(...batch)
    if (messages.length >= count) break
  }
  return messages
}

/** Everything that the service answers on a rogue stream until it ends, cleanly or not. */
export async function answers(stream: FramedStream): Promise<FromPayee[]> {
  const messages: FromPayee[] = []
  try {
    for await (const batch of stream) {
      for (const frame of batch) {
        const message = decodeFromPayee(frame)
        if (message !== undefined) messages.push(message)
      }
    }
  } catch {
    // a reset: what came before it counts
  }
  return messages
}
