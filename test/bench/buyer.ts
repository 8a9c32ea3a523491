/** A process of the benchmark: a real node that buys zero bytes, and a plain libp2p node that fetches them unpaid. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { addressOfPeer } from '../../protocols/peer-identity.ts'
import { fundOnDevnet } from '../../src/chain/devnet.ts'
import { ProxyServer } from '../../src/cli/proxy/server.ts'
import type { Amount } from '../../src/core/amount.ts'
import type { Seconds } from '../../src/core/ids.ts'
import { createNode } from '../../src/node/create-node.ts'
import type { Network } from '../../src/node/libp2p.ts'
import { parsePeer } from '../../src/node/lines.ts'
import type { TallyNode } from '../../src/node/node.ts'
import { busySince } from './busy.ts'
import { answer } from './child.ts'
import { note, type Place } from './place.ts'
import { fetchPlain, plainNode } from './plain.ts'
import type { Provider } from './provider.ts'
import { zerosRequest } from './zeros.ts'

/** 10,000 and 1,000 tokens */
const DEPOSIT = 10_000_000_000n as Amount
const BUDGET = 1_000_000_000n as Amount
const DAY_S = 86_400
/** chunks after which more credit would be seen */
const MORE_CHUNKS = 32

interface Parts {
  readonly node: TallyNode
  readonly plain: Network
  readonly provider: Provider
}
let parts: Parts | undefined
let payments = 0

export interface Load {
  readonly service: string
  readonly total: number
  readonly piece: number
}

export interface Bought {
  readonly ms: number
  readonly payments: number
}

const answers = {
  async begin({
    place,
    provider,
    payEach,
    pay,
  }: {
    place: Place
    provider: Provider
    payEach: boolean
    pay: 'promise' | 'tick' | 'auto'
  }): Promise<void> {
    const { rpcUrl, chainId, ledger, token, dir } = place
    const chain = { rpcUrl, chainId, ledger, confirmations: 0 }
    const store = { path: join(dir, 'buyer', 'db') }
    const node = await createNode({ privateKey: randomBytes(32), store, chain, token, payEach, pay })
    await fundOnDevnet(rpcUrl, token, node.address, { wei: 10n ** 18n, tokens: DEPOSIT })
    const target = addressOfPeer(parsePeer(provider.address).peer)
    const expiry = (Math.floor(Date.now() / 1000) + 30 * DAY_S) as Seconds
    await node.money.send(await node.money.openAction(target, DEPOSIT, expiry), { provider: target })
    node.events.on('payer:paid', () => (payments += 1))
    parts = { node, plain: await plainNode(randomBytes(32), []), provider }
  },

  /** Buys `total` bytes in one session and reads them to the end; the time is from the opening of the data stream to the last byte. */
  async paid({ service, total, piece }: Load): Promise<Bought> {
    const { node, provider } = ready()
    const session = await node.open({ service, provider: provider.address, budget: BUDGET })
    payments = 0
    const begin = performance.now()
    let received = 0
    try {
      for await (const bytes of await session.open(zerosRequest(total, piece))) received += bytes.length
    } catch (cause) {
      throw new Error(`the session broke off after ${received} bytes: ${(await session.ended).code}`, { cause })
    }
    const ms = performance.now() - begin
    const { code } = await session.close()
    if (received !== total || code !== undefined) throw new Error(`${received} of ${total} bytes were bought, end: ${code}`)
    return { ms, payments }
  },

  /** Buys until the provider's credit cannot grow any more, and sees that it says so. */
  async earnCredit({ service, piece, chunks }: { service: string; piece: number; chunks: number }): Promise<void> {
    const { node, provider } = ready()
    await answers.paid({ service, total: chunks * piece, piece })
    const before = await creditOf(service, node, provider)
    await answers.paid({ service, total: MORE_CHUNKS * piece, piece })
    const after = await creditOf(service, node, provider)
    if (after !== before) throw new Error(`the credit still grew after ${chunks} chunks: ${before}, ${after}`)
  },

  /** Opens the proxy of `tallystick proxy` in this process. Returns its port. */
  async proxy(): Promise<number> {
    const { node, provider } = ready()
    const http = node.http({ budget: BUDGET, provider: provider.address })
    const server = new ProxyServer({
      http,
      timeoutMs: 30_000,
      advise: (_, error) => error,
      broke: ({ path }, { code }) => note(`${path}: ${code}`),
    })
    return (await server.listen('127.0.0.1', 0)).port
  },

  /** Payments since the last call. */
  payments: (): number => {
    const made = payments
    payments = 0
    return made
  },

  async unpaid({ total, piece }: Load): Promise<number> {
    const { plain, provider } = ready()
    return await fetchPlain(plain, provider.plainAddress, total, piece)
  },

  busy: busySince,
}
export type BuyerAnswers = typeof answers

/** The credit that a new session is told, base units. */
async function creditOf(service: string, node: TallyNode, provider: Provider): Promise<bigint> {
  const session = await node.open({ service, provider: provider.address, budget: BUDGET })
  const told = [...node.buying].find(({ id }) => id === session.id)?.credit ?? 0n
  await session.close()
  return told
}

function ready(): Parts {
  if (parts === undefined) throw new Error('begin first')
  return parts
}

answer(answers)
