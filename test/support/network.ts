// A small market for tests: one local chain, real nodes with real databases, and everything gone at the end.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Devnet, startDevnet } from '../../src/chain/devnet.ts'
import type { Amount } from '../../src/core/amount.ts'
import { type ErrorCode, TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import { createNode } from '../../src/node/create-node.ts'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeOptions } from '../../src/node/options.ts'
import type { ServiceAdapter } from '../../src/ports/service.ts'
import type { Log } from '../../src/session/components.ts'

export const GAS = 10n ** 18n
/** 100 tUSDC */
export const PURSE = 100_000_000n as Amount
/** 10 tUSDC */
export const RESERVATION = 10_000_000n as Amount

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Record<string, unknown>
  readonly text: string
}

/** What a node wrote to its log, for assertions about what it must and must not say. */
export class TestLog implements Log {
  readonly entries: LogEntry[] = []
  debug = (fields: object, text: string): void => this.#add('debug', fields, text)
  info = (fields: object, text: string): void => this.#add('info', fields, text)
  warn = (fields: object, text: string): void => this.#add('warn', fields, text)
  error = (fields: object, text: string): void => this.#add('error', fields, text)

  /** all that was said from this level on, as one text */
  text(...levels: LogEntry['level'][]): string {
    const wanted = this.entries.filter(({ level }) => levels.length === 0 || levels.includes(level))
    return wanted.map(({ level, fields, text }) => `${level} ${text} ${Object.values(fields).map(String).join(' ')}`).join('\n')
  }

  #add(level: LogEntry['level'], fields: object, text: string): void {
    this.entries.push({ level, fields: { ...fields }, text })
  }
}

export interface TestNetwork {
  readonly dev: Devnet
  readonly chain: NodeOptions['chain']
  /** an empty folder that is gone with the network */
  folder(): Promise<string>
  /** a node with a database of its own, stopped when the test is over; without `listen` it only buys */
  node(t: TestContext, options?: Partial<NodeOptions>): Promise<TallyNode>
  /** a node that listens and has gas, but no tokens */
  provider(t: TestContext, options?: Partial<NodeOptions>): Promise<TallyNode>
  /** a node with gas and tokens, and a reservation at each of these providers */
  consumer(t: TestContext, providers?: readonly TallyNode[], options?: Partial<NodeOptions>): Promise<TallyNode>
  /** reserves out of the consumer's wallet; waits until it is mined. @default 10 tUSDC for a month */
  reserve(consumer: TallyNode, provider: Address, how?: { amount?: Amount; forS?: number }): Promise<void>
  stop(): Promise<void>
}

/** Starts the chain. Stop it in `after`. */
export async function testNetwork(): Promise<TestNetwork> {
  const dev = await startDevnet()
  const root = await realpath(await mkdtemp(join(tmpdir(), 'tallystick-net-')))
  const chain = { rpcUrl: dev.rpcUrl, chainId: dev.chainId, ledger: dev.ledger, confirmations: 0 }
  let count = 0
  const folder = async (): Promise<string> => await mkdtemp(join(root, `${count++}-`))
  const node: TestNetwork['node'] = async (t, options = {}) => {
    const store = options.store ?? { path: join(await folder(), 'db') }
    const made = await createNode({ privateKey: randomBytes(32), chain, token: dev.token, ...options, store })
    t.after(() => made.stop({ signal: AbortSignal.timeout(STOP_MS) }))
    return made
  }
  const reserve: TestNetwork['reserve'] = async (consumer, provider, { amount = RESERVATION, forS } = {}) => {
    await consumer.money.reserve(provider, amount, forS === undefined ? {} : { forS })
  }
  return {
    dev,
    chain,
    folder,
    node,
    reserve,
    async provider(t, options = {}) {
      const made = await node(t, { listen: [ANY_PORT], ...options })
      await dev.fund(made.address, { wei: GAS })
      return made
    },
    async consumer(t, providers = [], options = {}) {
      const made = await node(t, options)
      await dev.fund(made.address, { wei: GAS, tokens: PURSE })
      for (const provider of providers) await reserve(made, provider.address)
      return made
    },
    async stop() {
      await dev.stop()
      await rm(root, { recursive: true, force: true })
    },
  }
}

export const ANY_PORT = '/ip4/127.0.0.1/tcp/0'
/** a provider that a test left with a live session of a peer that is silent does not wait for its patience */
const STOP_MS = 500

/** The one address of a node that listens on one port. */
export function addressOf(node: TallyNode): string {
  const [address] = node.addresses
  if (address === undefined) throw new Error('the node does not listen')
  return address
}

/** The port in a multiaddr. */
export function portOf(address: string): number {
  return Number(/\/tcp\/(\d+)/.exec(address)?.[1])
}

/** `address` as it is reached through a proxy on `port`. */
export function through(port: number, address: string): string {
  return address.replace(/\/tcp\/\d+/, `/tcp/${port}`)
}

/** What `bytesService` sells at a place of its stream. */
function bytesAt(from: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count)
  for (let i = 0; i < count; i++) bytes[i] = (from + i) * 31 + ((from + i) >> 8)
  return bytes
}

/** The bytes are those of this place of the stream. */
export function assertBytes(bytes: Uint8Array, from: number): void {
  assert.ok(Buffer.from(bytes).equals(bytesAt(from, bytes.length)), `other bytes than those at ${from}`)
}

export interface BytesInit {
  /** how many bytes a stream has. @default without end */
  readonly total?: number
  /** @default 16 KiB */
  readonly pieceBytes?: number
}

/** Sells known bytes. The request says from which place on, as decimal text; nothing = from the start. */
export function bytesService({
  total = Infinity,
  pieceBytes = 16_384,
}: BytesInit = {}): ServiceAdapter & { readonly closed: () => boolean } {
  let closed = false
  async function* body(from: number): AsyncGenerator<Uint8Array> {
    for (let at = from; at < total; at += pieceBytes) {
      yield bytesAt(at, Math.min(pieceBytes, total - at))
    }
  }
  return {
    kind: 'bytes',
    inputs: '',
    outputs: '',
    prepare: async () => new Uint8Array(0),
    open: async ({ request }) => ({
      info: new Uint8Array(0),
      free: false,
      body: body(Number(new TextDecoder().decode(request) || 0)),
    }),
    close: async () => {
      closed = true
    },
    closed: () => closed,
  }
}

/** Reads until `count` bytes have come, or the stream ends; checks that they are the right ones. Returns how many came. */
export async function readBytes(pieces: AsyncIterable<Uint8Array>, count = Infinity, from = 0): Promise<number> {
  let bytes = 0
  for await (const piece of pieces) {
    assertBytes(piece, from + bytes)
    bytes += piece.length
    if (bytes >= count) break
  }
  return bytes
}

/** Resolves with the first value that `look` finds, looking again at each event that `hear` announces. */
export async function eventually<T>(hear: (again: () => void) => () => void, look: () => T | undefined): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>()
  const again = (): void => {
    const found = look()
    if (found !== undefined) resolve(found)
  }
  const deaf = hear(again)
  again()
  return await promise.finally(deaf)
}

/** What is thrown, as the error that it must be. */
export async function failure(call: () => Promise<unknown>): Promise<TallyError> {
  try {
    await call()
  } catch (thrown) {
    if (thrown instanceof TallyError) return thrown
    throw thrown
  }
  return assert.fail('the call went through')
}

/** The code that a call fails with. */
export async function codeOf(call: () => Promise<unknown>): Promise<ErrorCode> {
  return (await failure(call)).code
}
