import type { Connection, DialTarget, Startable, Stream } from '@libp2p/interface'
import { asTallyError, TallyError } from '../../src/core/errors.ts'
import type { FromPayee, FromPayer, Message } from '../../src/core/session/messages.ts'
import { HANDLE, openStream, type ProtocolComponents } from '../dial.ts'
import { type PeerIdentity, peerIdentity } from '../peer-identity.ts'
import { decodeFromPayee, decodeFromPayer } from './codec.ts'
import { controlLink, type LinkInit, type PayeeLink, type PayerLink } from './control-link.ts'
import { SESSION_PROTOCOL } from './protocol.ts'
import { refuseStream } from './refusal.ts'

/** How long a control stream may take to end in order, in milliseconds. */
const LINGER_MS = 2000

/** Control streams of one connection: one in use, the others ending or refused. */
const MAX_INBOUND_STREAMS = 8

export interface SessionServiceInit {
  /**
   * A payer opened a control stream. Start to iterate the link in this call. Without it the node sells nothing: no handler is
   * registered.
   */
  readonly onLink?: (link: PayeeLink) => void
  /** Milliseconds of a monotonic clock, for the rates. @default performance.now */
  readonly nowMs?: () => number
  /** @default 2000 */
  readonly lingerMs?: number
}

export interface ConnectOptions {
  readonly signal?: AbortSignal | undefined
}

/** The control streams of a node, in both roles. A service of libp2p: it is started and stopped with its node. */
export interface SessionService extends Startable {
  /**
   * Opens a control stream as the payer. There should be one for each payee: share it between sessions.
   *
   * @throws TallyError PEER_UNREACHABLE, UNSUPPORTED (no secp256k1 key, or it does not speak the protocol), ABORTED
   */
  connect(target: DialTarget, options?: ConnectOptions): Promise<PayerLink>
}

/** Makes the service, for the `services` of a libp2p node. @see SPEC.md */
export function sessionService(init: SessionServiceInit = {}): (components: ProtocolComponents) => SessionService {
  return (components) => new Sessions(components, init)
}

class Sessions implements SessionService {
  readonly #components: ProtocolComponents
  readonly #init: SessionServiceInit
  readonly #links = new Set<PayeeLink | PayerLink>()
  #started = false

  constructor(components: ProtocolComponents, init: SessionServiceInit) {
    this.#components = components
    this.#init = init
  }

  async start(): Promise<void> {
    if (this.#started) return
    this.#started = true
    const { onLink } = this.#init
    if (onLink === undefined) return
    const options = { ...HANDLE, maxInboundStreams: MAX_INBOUND_STREAMS }
    await this.#components.registrar.handle(
      SESSION_PROTOCOL,
      (stream, connection) => this.#onStream(stream, connection, onLink),
      options,
    )
  }

  /** Before libp2p closes the connections: afterwards nobody can be told. */
  async beforeStop(): Promise<void> {
    if (!this.#started) return
    this.#started = false
    if (this.#init.onLink !== undefined) await this.#components.registrar.unhandle(SESSION_PROTOCOL)
    await Promise.all(
      [...this.#links].map((link) => {
        link.abort(new TallyError('SHUTTING_DOWN'))
        return link.close()
      }),
    )
  }

  async stop(): Promise<void> {
    await this.beforeStop()
  }

  async connect(target: DialTarget, options: ConnectOptions = {}): Promise<PayerLink> {
    const attach = (stream: Stream, connection: Connection): PayerLink => {
      try {
        const peer = peerIdentity(connection.remotePeer)
        return this.#keep(controlLink<FromPayee, FromPayer>(this.#linkInit(stream, peer, decodeFromPayee)))
      } catch (thrown) {
        refuseStream(stream, thrown, this.#lingerMs)
        throw thrown
      }
    }
    return await openStream(this.#components, target, SESSION_PROTOCOL, attach, options)
  }

  get #lingerMs(): number {
    return this.#init.lingerMs ?? LINGER_MS
  }

  #onStream(stream: Stream, connection: Connection, onLink: (link: PayeeLink) => void): void {
    let link: PayeeLink | undefined
    try {
      const peer = peerIdentity(connection.remotePeer)
      link = this.#keep(controlLink<FromPayer, FromPayee>(this.#linkInit(stream, peer, decodeFromPayer)))
      onLink(link)
    } catch (thrown) {
      // A listener of libp2p that throws would end the process.
      if (link === undefined) refuseStream(stream, thrown, this.#lingerMs)
      else link.abort(asTallyError(thrown))
    }
  }

  #linkInit<In extends Message>(stream: Stream, peer: PeerIdentity, decode: LinkInit<In>['decode']): LinkInit<In> {
    return { stream, peer, decode, nowMs: this.#init.nowMs ?? (() => performance.now()), lingerMs: this.#lingerMs }
  }

  #keep<L extends PayeeLink | PayerLink>(link: L): L {
    this.#links.add(link)
    link.closed.then(
      () => this.#links.delete(link),
      () => {},
    )
    return link
  }
}
