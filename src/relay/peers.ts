/** The relays that a node may ask: those that its settings or its user name, and those that the network knows. */

import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { addressOfPeer } from '../../protocols/peer-identity.ts'
import type { Progress } from '../../protocols/relay/codec.ts'
import type { RelayService } from '../../protocols/relay/service.ts'
import type { Amount } from '../core/amount.ts'
import { asTallyError } from '../core/errors.ts'
import type { Address, Hash32 } from '../core/ids.ts'
import type { SignedForward } from '../core/relay/request.ts'
import type { CallOptions } from '../ports/chain.ts'
import type { RelayOffer, Relays, RelayWord } from '../ports/relays.ts'

export interface RelayPeersComponents {
  readonly service: () => RelayService
  /** the peer that a text names, with where it can be reached, if that is said */
  readonly resolve: (text: string) => { readonly peer: PeerId; readonly via?: Multiaddr | undefined }
  /** what the network knows under the kind `relay` */
  readonly find: (signal: AbortSignal) => AsyncIterable<PeerId>
  readonly self: Address
  readonly log: { debug(fields: object, text: string): void }
}

export interface RelayPeersInit {
  /** peer ids, multiaddrs, or `auto` */
  readonly peers: readonly string[]
  readonly maxFee: () => Amount
}

/** Whatever relays the network knows. */
export const AUTO = 'auto'

/** relays that are asked at most, how long each may take to answer, and how long the network is searched, ms */
const MAX_ASKED = 8
const ASK_MS = 5_000
const FIND_MS = 4_000

interface Target {
  readonly name: string
  readonly peer: PeerId
  readonly to: PeerId | Multiaddr
}

export class RelayPeers implements Relays {
  readonly #of: RelayPeersComponents
  readonly #init: RelayPeersInit

  constructor(components: RelayPeersComponents, init: RelayPeersInit) {
    this.#of = components
    this.#init = init
  }

  get areSet(): boolean {
    return this.#init.peers.length > 0
  }

  get maxFee(): Amount {
    return this.#init.maxFee()
  }

  async offers(
    wanted: {
      readonly token: Address
      readonly gas: number
      readonly bytes: number
      readonly peers?: readonly string[] | undefined
    },
    options: CallOptions = {},
  ): Promise<readonly RelayOffer[]> {
    const { token, gas, bytes, peers = this.#init.peers } = wanted
    const asked: Promise<RelayOffer | undefined>[] = []
    const seen = new Set<string>()
    for await (const target of this.#targets(peers, options.signal)) {
      if (seen.has(target.peer.toString()) || seen.size >= MAX_ASKED) continue
      seen.add(target.peer.toString())
      asked.push(this.#ask(target, { token, gas, bytes }, options))
    }
    const offers = (await Promise.all(asked)).filter((offer) => offer !== undefined)
    return offers.sort((a, b) => (a.fee < b.fee ? -1 : a.fee > b.fee ? 1 : 0))
  }

  async submit(
    { peer, id }: Pick<RelayOffer, 'peer' | 'id'>,
    signed: SignedForward,
    options: CallOptions = {},
  ): Promise<RelayWord> {
    return wordOf(await this.#of.service().submit(this.#target(peer).to, { quote: id, signed }, options))
  }

  async status(peer: string, digest: Hash32, options: CallOptions = {}): Promise<RelayWord> {
    return wordOf(await this.#of.service().status(this.#target(peer).to, digest, options))
  }

  async *#targets(peers: readonly string[], signal: AbortSignal | undefined): AsyncGenerator<Target> {
    for (const text of peers.filter((one) => one !== AUTO)) yield this.#target(text)
    if (!peers.includes(AUTO)) return
    const limits = [AbortSignal.timeout(FIND_MS), ...(signal === undefined ? [] : [signal])]
    for await (const peer of this.#of.find(AbortSignal.any(limits))) yield { name: peer.toString(), peer, to: peer }
  }

  #target(text: string): Target {
    const { peer, via } = this.#of.resolve(text)
    return { name: text, peer, to: via ?? peer }
  }

  async #ask(
    target: Target,
    ask: { token: Address; gas: number; bytes: number },
    options: CallOptions,
  ): Promise<RelayOffer | undefined> {
    try {
      const account = addressOfPeer(target.peer)
      if (account === this.#of.self) return undefined
      const limits = [AbortSignal.timeout(ASK_MS), ...(options.signal === undefined ? [] : [options.signal])]
      const { fee, id } = await this.#of.service().quote(target.to, ask, { signal: AbortSignal.any(limits) })
      return { peer: target.name, account, fee, id }
    } catch (thrown) {
      this.#of.log.debug({ relay: target.name, err: asTallyError(thrown).code }, 'a relay gives no quote')
      return undefined
    }
  }
}

function wordOf({ state }: Progress): RelayWord {
  return { isGoing: state === 'taken' || state === 'sent' || state === 'mined' }
}
