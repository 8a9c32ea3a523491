import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { createKeystore, openKeystore } from '../../src/chain/keystore.ts'
import { ERRORS } from '../../src/core/errors.ts'
import { parseAddress } from '../../src/core/ids.ts'
import { createNode } from '../../src/node/create-node.ts'
import type { TallyNode } from '../../src/node/node.ts'
import type { NodeOptions } from '../../src/node/options.ts'
import { startRpcProxy } from '../chain/support/rpc-proxy.ts'
import { ANY_PORT, addressOf, bytesService, readBytes, type TestNetwork, testNetwork } from '../support/network.ts'
import { refuses } from './verdicts.ts'

describe('a node whose surroundings are wrong', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  /** The options of a node that was started once and stopped: it has a database and knows its token. */
  async function known(): Promise<NodeOptions & { store: { path: string } }> {
    const store = { path: join(await net.folder(), 'db') }
    const options = { privateKey: randomBytes(32), chain: net.chain, token: net.dev.token, store }
    await (await createNode(options)).stop()
    return options
  }

  test('a wrong password opens no key', async () => {
    const { json } = await newKeystore()
    await refuses('PASSWORD_WRONG', () => openKeystore(json, 'wrong'))
    await refuses('KEY_INVALID', () => openKeystore('{"version":3}', 'right'))
  })
  const newKeystore = async (): Promise<{ json: string }> => await createKeystore('right', { scryptN: 2 })

  test('a setting that makes no sense is named', async () => {
    const options = await known()
    const bad: NodeOptions = { ...options, chain: { ...options.chain, rpcUrl: 'ftp://nowhere' } }
    await refuses('CONFIG_INVALID', () => createNode(bad))
    await refuses('KEY_INVALID', () => createNode({ ...options, privateKey: new Uint8Array(32) }))
    const error = await refuses('CONFIG_INVALID', () => createNode({ ...options, provider: { settleAt: '3 apples' } }))
    assert.match(error.message, /settleAt/)
  })

  test('a database that another node uses is not opened; the sentence names who uses it', async (t) => {
    const options = await known()
    const holder = await net.node(t, options)
    const error = await refuses('STORE_LOCKED', () => createNode(options))
    assert.match(`${error.message} ${error.hint}`, new RegExp(String(process.pid)))
    await holder.stop()
    await (await createNode(options)).stop()
  })

  test('a database that is damaged, emptied or of another node is not opened', async () => {
    const damaged = await known()
    for (const name of await readdir(damaged.store.path)) {
      if (!name.startsWith('MANIFEST')) continue
      const path = join(damaged.store.path, name)
      const bytes = await readFile(path)
      await writeFile(path, bytes.fill(0xa5))
    }
    await refuses('STORE_CORRUPT', () => createNode(damaged))
    const emptied = await known()
    await rm(emptied.store.path, { recursive: true })
    await refuses('STORE_EMPTIED', () => createNode(emptied))
    await refuses('STORE_EMPTIED', async () => createNode({ ...(await known()), privateKey: randomBytes(32) }))
  })

  test('after a start that failed nothing is left: the same database opens at once', async () => {
    const options = await known()
    const taken = await createNode({ ...options, store: 'memory', listen: [ANY_PORT] })
    const address = addressOf(taken).replace(/\/p2p\/.*/, '')
    await assert.rejects(createNode({ ...options, listen: [address] }))
    await taken.stop()
    await (await createNode({ ...options, listen: [address] })).stop()
  })

  test('an RPC of another chain, and a ledger that is not there, are said as what they are', async () => {
    const fresh = { privateKey: randomBytes(32), store: 'memory', token: net.dev.token } as const
    await refuses('CHAIN_WRONG', () => createNode({ ...fresh, chain: { ...net.chain, chainId: 5 } }))
    const ledger = parseAddress(`0x${'11'.repeat(20)}`)
    await refuses('CONTRACT_MISSING', () => createNode({ ...fresh, chain: { ...net.chain, ledger } }))
  })

  test('without an RPC a node starts only if it knows its token from before', async (t) => {
    const nowhere = { ...net.chain, rpcUrl: 'http://127.0.0.1:9' }
    const fresh = { privateKey: randomBytes(32), store: 'memory', token: net.dev.token } as const
    await refuses('CHAIN_UNREACHABLE', () => createNode({ ...fresh, chain: nowhere }))
    const node = await net.node(t, { ...(await known()), chain: nowhere })
    assert.equal(node.token.symbol, 'tUSDC')
    await refuses('CHAIN_UNREACHABLE', () => node.money.balances())
    assert.equal(node.chain.status().reachable, false)
  })

  test('an RPC that goes away in mid-session stops neither the stream nor the payments; settlement follows when it is back', async (t) => {
    const rpc = await startRpcProxy(net.dev.rpcUrl)
    t.after(() => rpc.down())
    const chain = { ...net.chain, rpcUrl: rpc.url }
    const provider = await net.provider(t, { chain, provider: { settleOnClose: true } })
    await provider.serve({ name: 'bytes', service: bytesService(), price: '0.01/MiB' })
    const consumer = await net.consumer(t, [provider], { chain })
    const session = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
    const stream = (await session.open())[Symbol.asyncIterator]()
    assert.equal((await stream.next()).done, false)
    await rpc.down()
    let bytes = 0
    while (bytes < 1 << 20) bytes += ((await stream.next()).value as Uint8Array).length
    const { code, figures, receipt } = await session.close()
    assert.equal(code, undefined)
    assert.equal(receipt?.receipt.total, figures.signed)
    assert.ok(figures.signed >= 10_000n)
    // a new session needs nothing of the chain either: the reservation is known
    const second = await consumer.open({ service: 'bytes', provider: addressOf(provider), budget: '1 token' })
    await readBytes(second, 100_000)
    await second.close()
    await rpc.up()
    await settled(provider)
    assert.equal(await provider.chain.ledgerBalance(net.dev.token, provider.address), provider.money.sums.earned.signed)
  })

  /** Resolves when everything that was promised to the provider is settled. */
  async function settled(provider: TallyNode): Promise<void> {
    const due = (): boolean => provider.money.sums.earned.unsettled > 0n
    const { promise, resolve } = Promise.withResolvers<void>()
    const deaf = provider.chain.follow(() => void setImmediate(() => due() || resolve()))
    if (!due()) resolve()
    await promise
    deaf()
  }

  test('every code has a sentence of its own', () => {
    const texts = Object.values(ERRORS).map(({ text }) => text)
    assert.equal(new Set(texts).size, texts.length)
  })

  test('a start that is aborted ends, and leaves nothing behind', async (t: TestContext) => {
    const options = await known()
    await refuses('ABORTED', () => createNode({ ...options, signal: AbortSignal.abort() }))
    const deaf = await startRpcProxy(net.dev.rpcUrl, () => 'deaf')
    t.after(() => deaf.down())
    const stop = new AbortController()
    const starting = createNode({ ...options, store: 'memory', chain: { ...net.chain, rpcUrl: deaf.url }, signal: stop.signal })
    while (deaf.calls.length === 0) await new Promise((resolve) => setImmediate(resolve))
    stop.abort()
    await refuses('ABORTED', () => starting)
    await (await createNode(options)).stop()
  })
})
