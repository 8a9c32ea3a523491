/** One control stream per provider, opened when it is first needed and again when it is gone. */
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { addressOfPeer } from '../../protocols/peer-identity.ts'
import type { PayerLink } from '../../protocols/session/control-link.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import { refuseAborted, unlessAborted } from '../services/abort.ts'
import type { Log } from '../session/components.ts'
import type { PayerDesk, ProviderLine } from '../session/payer-desk.ts'
import type { Network } from './libp2p.ts'

interface Options {
  readonly signal?: AbortSignal
}

/** A provider as a person names it: a peer id, or a multiaddr that ends in one. @throws USAGE */
export function parsePeer(text: string): { readonly peer: PeerId; readonly via: Multiaddr | undefined } {
  try {
    if (!text.startsWith('/')) return { peer: peerIdFromString(text), via: undefined }
    const via = multiaddr(text)
    const id = via.getComponents().findLast(({ name }) => name === 'p2p')?.value
    if (id === undefined)
      throw new TallyError('USAGE', { message: `the address ${text} names no peer`, hint: 'end it with /p2p/<peer id>' })
    return { peer: peerIdFromString(id), via }
  } catch (cause) {
    if (cause instanceof TallyError) throw cause
    throw new TallyError('USAGE', {
      message: `"${text}" is neither a peer id nor a multiaddr`,
      hint: 'it looks like 16Uiu2HA… or /ip4/…/tcp/…/p2p/16Uiu2HA…',
      cause,
    })
  }
}

export class Lines {
  readonly #network: Network
  readonly #desk: PayerDesk
  readonly #onBroken: (thrown: unknown) => void
  readonly #open = new Map<Address, Promise<ProviderLine>>()

  constructor(network: Network, desk: PayerDesk, log: Log) {
    this.#network = network
    this.#desk = desk
    this.#onBroken = (thrown) => {
      const error = asTallyError(thrown)
      if (error.code === 'INTERNAL') log.error({ err: error.cause }, 'a control stream ended by an error of this program')
      else log.debug({ err: error.code }, 'a control stream ended')
    }
  }

  /** Remembers where a peer can be dialled. */
  async learn(peer: PeerId, via: Multiaddr | undefined): Promise<void> {
    if (via !== undefined) await this.#network.peerStore.merge(peer, { multiaddrs: [via] })
  }

  /**
   * The line to a peer: the one that is open, or a new one. The signal ends only this caller's wait: others may wait for the same line.
   *
   * @throws PEER_UNREACHABLE, UNSUPPORTED, ABORTED
   */
  async to(peer: PeerId, options: Options = {}): Promise<ProviderLine> {
    const address = addressOfPeer(peer)
    refuseAborted(options.signal)
    const line = this.#open.get(address) ?? this.#begin(peer, address)
    return await (options.signal === undefined ? line : unlessAborted(line, options.signal))
  }

  async #begin(peer: PeerId, address: Address): Promise<ProviderLine> {
    const opening = this.#connect(peer)
    this.#open.set(address, opening)
    const forget = (): boolean => this.#open.get(address) === opening && this.#open.delete(address)
    try {
      const line = await opening
      // before a session hears that it was cut: whoever goes on with it at once must not be given this line again
      void line.link.closed.then(forget, forget)
      // the desk reads the stream until it ends; then the next session needs a new one
      void this.#desk.attach(line).catch(this.#onBroken).finally(forget)
      return line
    } catch (thrown) {
      forget()
      throw thrown
    }
  }

  async #connect(peer: PeerId): Promise<ProviderLine & { readonly link: PayerLink }> {
    const { session, data } = this.#network.services
    const link = await session.connect(peer)
    return { link, openData: async (header, how) => await data.openData(peer, header, how) }
  }

  async close(): Promise<void> {
    const lines = await Promise.allSettled(this.#open.values())
    await Promise.allSettled(lines.map((line) => (line.status === 'fulfilled' ? line.value.link.close() : undefined)))
  }
}
