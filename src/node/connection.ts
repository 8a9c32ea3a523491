/** A session with one data stream, as the rest of Node knows connections. */
import type { Duplex } from 'node:stream'
import { duplexOf } from '../services/tcp/index.ts'
import type { NodeSession } from './node-session.ts'

/**
 * A stream of Node that pays for what is read from it. `end()` ends this side, the service may still answer; when it has said all, both are
 * over. An error of the session, such as BUDGET_REACHED, is an `error` of the stream, so that nobody waits for ever.
 */
export type PaidConnection = Duplex & {
  /** its figures; `close()` resolves with the receipt. The session is closed by itself when the stream is. */
  readonly session: NodeSession
}

/** Opens the one stream of a session; a session without it is closed again. */
export async function connectIn(session: NodeSession, signal: AbortSignal | undefined): Promise<PaidConnection> {
  try {
    const stream = await session.open(new Uint8Array(0), { most: { calls: 1 }, ...(signal && { signal }) })
    const duplex = duplexOf(stream)
    const stop = (): void => void duplex.destroy(signal?.reason instanceof Error ? signal.reason : undefined)
    signal?.addEventListener('abort', stop, { once: true })
    duplex.once('close', () => {
      signal?.removeEventListener('abort', stop)
      // whoever wants the receipt closes it too
      session.close().catch(() => undefined)
    })
    return Object.assign(duplex, { session })
  } catch (thrown) {
    await session.close()
    throw thrown
  }
}
