import {
  type AbortOptions,
  type Connection,
  type DialTarget,
  isPeerId,
  type PeerId,
  type Stream,
  type StreamHandler,
  type StreamHandlerOptions,
} from '@libp2p/interface'
import { TallyError } from '../src/core/errors.ts'
import { within } from './deadline.ts'

/** What our protocols need of libp2p: the part of its components that they use, and nothing else. */
export interface ProtocolComponents {
  readonly registrar: {
    handle(protocol: string, handler: StreamHandler, options?: StreamHandlerOptions): Promise<void>
    unhandle(protocol: string): Promise<void>
  }
  readonly connectionManager: {
    openConnection(target: DialTarget, options?: AbortOptions): Promise<Connection>
    getConnections(peer?: PeerId): Connection[]
  }
}

/** How long dialling and the choice of the protocol may take together, in milliseconds. */
const DIAL_TIMEOUT_MS = 15_000

/** How a protocol of ours is registered: a peer behind a NAT is served as well, through a relay with its limits. */
export const HANDLE = { runOnLimitedConnection: true } as const

/** Outgoing streams of one protocol on one connection; libp2p's own default of 64 is too few for data streams. */
const MAX_OUTBOUND_STREAMS = 1000

interface DialOptions {
  readonly signal?: AbortSignal | undefined
  /** @default 15,000 */
  readonly dialTimeoutMs?: number | undefined
}

/**
 * A new stream of `protocol` to a peer, on the connection that exists or on a new one. `attach` takes the stream over in the
 * tick in which it is there, so no byte of it is missed.
 *
 * @throws TallyError PEER_UNREACHABLE, UNSUPPORTED (the peer does not speak the protocol), ABORTED
 */
export async function openStream<T>(
  components: Pick<ProtocolComponents, 'connectionManager'>,
  target: DialTarget,
  protocol: string,
  attach: (stream: Stream, connection: Connection) => T,
  options: DialOptions = {},
): Promise<T> {
  const late = (): TallyError => unreachable(target)
  return await within(options.dialTimeoutMs ?? DIAL_TIMEOUT_MS, late, options.signal, async (signal) => {
    try {
      const connection = relayed(components, target) ?? (await components.connectionManager.openConnection(target, { signal }))
      const stream = await connection.newStream(protocol, {
        signal,
        maxOutboundStreams: MAX_OUTBOUND_STREAMS,
        runOnLimitedConnection: true,
      })
      // Too late: nobody waits for this stream any more.
      if (signal.aborted) {
        stream.abort(signal.reason)
        throw new TallyError('ABORTED', { cause: signal.reason })
      }
      return attach(stream, connection)
    } catch (thrown) {
      if (thrown instanceof TallyError) throw thrown
      throw isUnsupported(thrown) ? unsupported(protocol, thrown) : unreachable(target, thrown)
    }
  })
}

/**
 * The connection through a relay that there is, when there is no direct one: libp2p itself would dial anew for each stream. Whoever turns
 * it into a direct one closes it, and then the next stream goes the short way.
 */
function relayed(
  { connectionManager }: Pick<ProtocolComponents, 'connectionManager'>,
  target: DialTarget,
): Connection | undefined {
  if (!isPeerId(target)) return undefined
  const open = connectionManager.getConnections(target).filter(({ status }) => status === 'open')
  return open.some(({ limits }) => limits === undefined) ? undefined : open[0]
}

/** libp2p's errors are told apart by name: its packages may be there in two versions, each with a class of its own. */
function isUnsupported(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'UnsupportedProtocolError'
}

function unsupported(protocol: string, cause: unknown): TallyError {
  return new TallyError('UNSUPPORTED', {
    message: `the peer does not speak ${protocol}`,
    hint: 'choose another provider, or ask its operator to upgrade',
    fields: { protocol },
    cause,
  })
}

function unreachable(target: DialTarget, cause?: unknown): TallyError {
  return new TallyError('PEER_UNREACHABLE', {
    message: `no connection to ${String(target)}`,
    hint: 'check that the peer is online and its address is right, then try again',
    ...(cause === undefined ? {} : { cause }),
  })
}
