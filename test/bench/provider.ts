/** A process of the benchmark: a real node that sells zero bytes, and beside it a plain libp2p node that gives them away. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fundOnDevnet } from '../../src/chain/devnet.ts'
import { addressOfKey } from '../../src/core/crypto/secp256k1.ts'
import type { SessionId } from '../../src/core/ids.ts'
import type { Offer } from '../../src/core/offer.ts'
import { createNode } from '../../src/node/create-node.ts'
import type { TallyNode } from '../../src/node/node.ts'
import { routePrices } from '../../src/node/route-prices.ts'
import { httpService } from '../../src/services/http/index.ts'
import { type LevelStore, openLevelStore } from '../../src/store/level-store.ts'
import { busySince } from './busy.ts'
import { answer } from './child.ts'
import { readDurable } from './durable.ts'
import type { Place } from './place.ts'
import { plainNode, servePlain } from './plain.ts'
import { zerosService } from './zeros.ts'

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0']
/** as dear as a node's own examples: 625 base units for 64 KiB */
const USUAL_PRICE = '0.01/MiB'

let node: TallyNode | undefined
let store: LevelStore | undefined

export interface Provider {
  readonly address: string
  readonly plainAddress: string
}

const answers = {
  async begin(place: Place): Promise<Provider> {
    const { rpcUrl, chainId, ledger, token, dir } = place
    const chain = { rpcUrl, chainId, ledger, confirmations: 0 }
    // nothing is settled while it is measured
    const provider = { settleAt: '1000000 token', maxSessions: 10_000 }
    const privateKey = randomBytes(32)
    const genesis = { address: addressOfKey(privateKey), chainId: BigInt(chainId), ledger }
    const owner = { pid: process.pid, command: 'bench', started: Math.floor(Date.now() / 1000) }
    store = await openLevelStore({ path: join(dir, 'provider', 'db'), genesis, owner, create: true })
    node = await createNode({
      privateKey,
      store,
      chain,
      token,
      listen: LOOPBACK,
      provider,
    })
    await fundOnDevnet(rpcUrl, token, node.address, { wei: 10n ** 18n })
    const plain = await plainNode(randomBytes(32), LOOPBACK)
    await servePlain(plain)
    return { address: first(node.addresses), plainAddress: first(plain.getMultiaddrs().map(String)) }
  },

  /** Sells zero bytes under this name, `chunk` bytes for each payment. */
  async sell({ name, chunk, price = USUAL_PRICE }: { name: string; chunk: number; price?: string }): Promise<Offer> {
    if (node === undefined) throw new Error('begin first')
    const signed = await node.serve({ name, service: zerosService, price, chunk: { kind: 'down', size: BigInt(chunk) } })
    return signed.offer
  },

  /** Sells a web server, as `serve http` does. */
  async sellWeb({ name, target, price }: { name: string; target: string; price: string }): Promise<void> {
    if (node === undefined) throw new Error('begin first')
    const { price: sum, tariff, chunk } = routePrices(price, [], false, node.token)
    await node.serve({ name, service: httpService({ target, tariff }), price: sum, ...(chunk !== undefined && { chunk }) })
  },

  /** What its database holds of every session, base units. */
  async durable(): Promise<ReadonlyMap<SessionId, bigint>> {
    if (store === undefined) throw new Error('begin first')
    return (await readDurable(store)).sessions
  },

  busy: busySince,
}
export type ProviderAnswers = typeof answers

function first(addresses: readonly string[]): string {
  const [address] = addresses
  if (address === undefined) throw new Error('the node listens nowhere')
  return address
}

answer(answers)
