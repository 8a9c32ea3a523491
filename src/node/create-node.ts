/** The composition root: every part is made here, in one list, and nowhere else. */
import { EventEmitter } from 'node:events'
import { performance } from 'node:perf_hooks'
import { createChain } from '../chain/chain.ts'
import { createListings } from '../chain/listings.ts'
import type { Amount } from '../core/amount.ts'
import { signClosing } from '../core/closing.ts'
import { addressOfKey, publicKeyOf, signerOf } from '../core/crypto/secp256k1.ts'
import type { Domain } from '../core/eip712.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import type { Address, ChannelId, Seconds } from '../core/ids.ts'
import { type TokenInfo, tokenInfo } from '../core/token.ts'
import { DhtPeers } from '../discovery/dht.ts'
import { Market } from '../discovery/market.ts'
import type { Chain } from '../ports/chain.ts'
import type { Clock } from '../ports/clock.ts'
import type { Listings } from '../ports/listings.ts'
import type { Store } from '../ports/store.ts'
import { RelayDesk } from '../relay/desk.ts'
import { RelayPeers } from '../relay/peers.ts'
import type { Self, SessionEvents } from '../session/components.ts'
import { PayeeDesk } from '../session/payee-desk.ts'
import { PayerDesk } from '../session/payer-desk.ts'
import { PayerRecords } from '../session/records.ts'
import { wordChainsOf } from '../session/word-chain.ts'
import { Settler } from '../settlement/settler.ts'
import { openLevelStore } from '../store/level-store.ts'
import { openMemoryStore } from '../store/memory-store.ts'
import { Appraiser } from './appraiser.ts'
import { DEFAULTS } from './config-schema.ts'
import { createNetwork, type Network } from './libp2p.ts'
import { Lines, parsePeer } from './lines.ts'
import { Money } from './money.ts'
import { TallyNode } from './node.ts'
import { type NodeOptions, providerPolicy, relayPolicy, SILENT, ticksFor, toAmount } from './options.ts'
import type { NodeParts } from './parts.ts'
import { Reservations } from './reservations.ts'
import { Shelf } from './shelf.ts'

export const systemClock: Clock = { nowMs: () => performance.now(), nowS: () => Math.floor(Date.now() / 1000) as Seconds }

/** A Close that was signed stays good for this long; meanwhile no promise is accepted on its channel. */
const CLOSE_LIFE_S = 900
/** how long terms are good for, seconds */
const SESSION_LIFE_S = 7 * 24 * 3600
/** the payee's meters look at the clock this often, ms: time is sold in steps of it */
const CLOCK_MS = 250

/**
 * Starts a node: opens its store, follows the ledger, listens, joins the DHT. It sells nothing and buys nothing until it is told.
 * A chain RPC that does not answer does not stop it: what is known from before counts until the RPC is back. When it fails, everything
 * that was begun is ended again.
 *
 * @throws KEY_INVALID, STORE_*, CHAIN_UNREACHABLE (only when the token was never seen before), CONFIG_INVALID, ABORTED
 */
export async function createNode(options: NodeOptions): Promise<TallyNode> {
  refuseAborted(options.signal)
  const undo: (() => Promise<void>)[] = []
  try {
    const node = await assemble(options, (end) => undo.unshift(end))
    refuseAborted(options.signal)
    return node
  } catch (thrown) {
    for (const end of undo) await end()
    throw thrown
  }
}

function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new TallyError('ABORTED', { message: 'the start of the node was aborted', cause: signal.reason })
}

/** Every part, each told to `begun` how it ends again; a list, not a place for rules. */
async function assemble(options: NodeOptions, begun: (end: () => Promise<void>) => void): Promise<TallyNode> {
  const log = options.log ?? SILENT
  const clock = options.clock ?? systemClock
  const self: Self = {
    address: addressOfKey(options.privateKey),
    publicKey: publicKeyOf(options.privateKey),
    sign: signerOf(options.privateKey),
    chains: wordChainsOf(options.privateKey),
  }
  const domain: Domain = { chainId: BigInt(options.chain.chainId), ledger: options.chain.ledger }
  const events = new EventEmitter<SessionEvents>()
  const store = await openStore(options, self.address)
  begun(() => store.close())
  const relays = new RelayPeers(
    {
      service: () => network.services.gasRelay,
      resolve: parsePeer,
      find: (signal) => market.peersOf('relay', { signal }),
      self: self.address,
      log,
    },
    {
      peers: options.relays?.peers ?? [],
      maxFee: () => toAmount('maxRelayFee', options.relays?.maxFee, DEFAULTS.maxRelayFee, token),
    },
  )
  const chain = createChain({
    ...options.chain, confirmations: options.chain.confirmations ?? 3, signer: self, store, relays,
    onNotice: (message, error) => log.debug(error === undefined ? {} : { err: asTallyError(error).code }, message),
  }) // biome-ignore format: a record
  begun(() => chain.close())
  const token = await knownToken(store, chain, options)
  const policy = providerPolicy(options.provider, token)
  const common = { store, clock, log, events, domain, self, chain }
  const payer = new PayerDesk(common, { payEach: options.payEach ?? false, ticks: ticksFor(options.pay) })
  const payee = new PayeeDesk(
    {
      ...common,
      settle: (channel, why) => settler.wish(channel, why),
      signClose: (closing) => signClosing(domain, closing, self.sign),
      closeDeadline: () => (clock.nowS() + CLOSE_LIFE_S) as Seconds,
    },
    {
      policy: {
        ...policy, clockMs: CLOCK_MS, unreserved: 0n as Amount, sessionLastS: SESSION_LIFE_S,
        // the dearest chunk on the shelf decides what "so many chunks" is worth
        get max(): Amount {
          return shelf.dearestChunk(policy.maxCreditChunks)
        },
      },
    }, // biome-ignore format: a record
  )
  const relay =
    options.relay === undefined
      ? undefined
      : new RelayDesk({ store, chain, clock, log }, { self: self.address, ...relayPolicy(options.relay, token) })
  const settler: Settler = new Settler(
    {
      chain,
      clock,
      log,
      channels: {
        channel: async (id) => (await payee.shelf.channel(id)).channel,
        due: (after) => payee.shelf.due(after),
        takeChanged: () => payee.shelf.takeChanged(),
        isInUse: (channel) => payee.shelf.isInUse(channel),
      },
      onSettled: (id) => refresh(chain, payee, id),
    },
    { policy: { settleAt: policy.settleAt, onClose: policy.settleOnClose, marginS: policy.marginS }, target: self.address },
  )
  const shelf: Shelf = new Shelf(
    { store, clock, domain, self, addresses: () => network.getMultiaddrs().map(String) },
    token.address,
  )
  begun(async () => {
    await payer.stop()
    await payee.stop()
  })
  // before anybody can call: a record that is not loaded yet would be written over
  await payee.start()
  await payer.start()
  const network: Network = await createNetwork({
    privateKey: options.privateKey,
    listen: options.listen ?? [],
    announce: options.announce ?? [],
    bootstrap: options.bootstrap ?? [],
    reach: options.reach ?? {},
    session: {
      onLink: (link) =>
        void payee
          .attach(link)
          .catch((thrown: unknown) => log.debug({ err: asTallyError(thrown).code }, 'a control stream ended')),
    },
    data: { onStream: (incoming) => payee.serve(incoming) },
    offer: { offersFor: (service) => shelf.offersFor(service) },
    gasRelay: relay === undefined ? {} : { handler: relay },
  })
  begun(async () => await network.stop())
  const market = new Market(
    {
      routing: network.contentRouting,
      peers: network.peerStore,
      self: network.peerId,
      offers: network.services.offer,
      dht: new DhtPeers(network.services.dht),
      clock,
      log,
    },
    { domain, tokens: [token.address], joins: (options.bootstrap ?? []).length > 0 },
  )
  network.addEventListener('self:peer:update', () => market.readdress(network.getMultiaddrs().join()))
  const lines = new Lines(network, payer, log)
  const money = new Money({ chain, clock, payer, payee, settler, self: self.address, token })
  const listings = listingsOf(options)
  const records = new PayerRecords(store)
  const appraiser = new Appraiser({ market, lines, money, listings, sessions: () => records.sessions(), log })
  begun(async () => appraiser.close())
  const reservations = new Reservations({ chain, clock, payer, money })
  const unfollow = chain.follow(async (facts) => {
    await payee.onFacts(facts)
    await payer.onFacts(facts)
    settler.look()
  })
  await chain.start()
  settler.start()
  await relay?.start()
  if (relay !== undefined) market.announceRole('relay')
  const parts: NodeParts = {
    self,
    domain,
    token,
    store,
    chain,
    clock,
    log,
    events,
    payer,
    payee,
    settler,
    network,
    shelf,
    market,
    lines,
    money,
    appraiser,
    reservations,
    relay,
    policy,
    unfollow,
  }
  return new TallyNode(parts)
}

async function openStore(options: NodeOptions, address: Address): Promise<Store> {
  const { store, chain } = options
  if (store === 'memory') return openMemoryStore()
  if (!('path' in store)) return store
  return await openLevelStore({
    path: store.path,
    genesis: { address, chainId: BigInt(chain.chainId), ledger: chain.ledger },
    owner: { pid: process.pid, command: process.argv.slice(1).join(' '), started: Math.floor(Date.now() / 1000) },
    create: true,
  })
}

function listingsOf({ chain: { registry, registryBlock, ...of } }: NodeOptions): Listings | undefined {
  if (registry === undefined) return undefined
  return createListings({ ...of, registry, ...(registryBlock !== undefined && { startBlock: registryBlock }) })
}

/** The settled channel as the ledger has it now, told to the desk at once. */
async function refresh(chain: Chain, payee: PayeeDesk, id: ChannelId): Promise<void> {
  const view = await chain.channel(id)
  if (view.confirmed !== undefined)
    await payee.onFacts([{ type: 'channel', id: view.id, facts: view.confirmed, causes: ['settled'] }])
}

/** Symbol and decimals of the token; asked once in a node's life, so that a node starts without its RPC. */
async function knownToken(store: Store, chain: Chain, { token: address, signal }: NodeOptions): Promise<TokenInfo> {
  const key = new TextEncoder().encode(`token:${address}`)
  const stored = await store.get('meta', key)
  if (stored !== undefined) {
    const { symbol, decimals } = JSON.parse(new TextDecoder().decode(stored))
    return tokenInfo(address, symbol, decimals)
  }
  const limits = [AbortSignal.timeout(TOKEN_MS), ...(signal === undefined ? [] : [signal])]
  const token = await chain.token(address, { signal: AbortSignal.any(limits) }).catch((cause: unknown) => {
    refuseAborted(signal)
    const error = asTallyError(cause)
    throw new TallyError(error.code === 'INTERNAL' ? 'CHAIN_UNREACHABLE' : error.code, {
      message: error.message,
      cause,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    })
  })
  const value = new TextEncoder().encode(JSON.stringify({ symbol: token.symbol, decimals: token.decimals }))
  await store.commit([{ type: 'put', space: 'meta', key, value }])
  return token
}

const TOKEN_MS = 15_000
