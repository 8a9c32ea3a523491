import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startDevnet } from '../../src/chain/devnet.ts'
import { channelId, channelIdToBytes } from '../../src/core/ids.ts'
import type { Chain, ChainFact, ChainSigner, LedgerAction } from '../../src/ports/chain.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { chainOn, closing, factLog, fundedSigner, newSigner, ONE, openAction, units, useDevnet } from './support/fixture.ts'
import { startRpcProxy } from './support/rpc-proxy.ts'

type ChannelFact = Extract<ChainFact, { type: 'channel' }>
const isChannel = (fact: ChainFact): fact is ChannelFact => fact.type === 'channel'

async function act(chain: Chain, action: LedgerAction) {
  return chain.transactions.wait(await chain.transactions.submit(action))
}

describe('watcher', () => {
  const dev = useDevnet()

  /** A payer with a channel to a payee, opened with 5 tokens. */
  async function opened(payer: Chain, payee: ChainSigner, amount = 5n * ONE) {
    const { token } = dev.net
    const me = payer.account
    const expiry = (await payer.time()) + 3600
    await act(payer, openAction(payee.address, token, amount, { signer: me, expiry }))
    const parties = { owner: me, signer: me, target: payee.address, token }
    return { parties, id: channelId(parties), expiry }
  }

  test('the payee hears of an opening, a top-up and a reclaim, with the parties and the facts of the slot', async (t) => {
    const { net } = dev
    const payeeSigner = newSigner()
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    const payee = chainOn(net, { signer: payeeSigner })
    closing(t, payer, payee)
    const log = factLog(payee)
    await payee.start()
    const { id, parties, expiry } = await opened(payer, payeeSigner)
    const opening = await log.until(isChannel)
    assert(isChannel(opening))
    assert.equal(opening.id, id)
    assert.deepEqual(opening.parties, parties)
    assert.deepEqual(opening.causes, ['opened'])
    assert.deepEqual({ ...opening.facts, block: 0 }, { deposit: 5n * ONE, settled: 0n, expiry, epoch: 0, block: 0 })
    await act(payer, { kind: 'deposit', token: net.token, account: payer.account, amount: units(ONE) })
    await act(payer, { kind: 'top-up', ...parties, amount: units(ONE) })
    await log.until((fact) => isChannel(fact) && fact.causes.includes('topped-up') && fact.facts?.deposit === 6n * ONE)
  })

  test('a node hears of changes of its own balance', async (t) => {
    const { net } = dev
    const chain = chainOn(net, { signer: await fundedSigner(net) })
    closing(t, chain)
    const log = factLog(chain)
    await chain.start()
    await act(chain, { kind: 'deposit', token: net.token, account: chain.account, amount: units(3n) })
    const fact = await log.until((one) => one.type === 'balance')
    assert(fact.type === 'balance')
    assert.deepEqual([fact.account, fact.token, fact.amount], [chain.account, net.token, 3n])
  })

  test('nothing counts before its confirmations', async (t) => {
    const { net } = dev
    const payeeSigner = newSigner()
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    const payee = chainOn(net, { signer: payeeSigner, confirmations: 3 })
    closing(t, payer, payee)
    const log = factLog(payee)
    await payee.start()
    const { id } = await opened(payer, payeeSigner)
    const block = Number(await net.rpc('eth_blockNumber'))
    await net.mine(2)
    await log.until((fact) => fact.type === 'head' && fact.head >= block + 2)
    assert.equal(log.facts.some(isChannel), false)
    const view = await payee.channel(id)
    assert.equal(view.confirmed, undefined)
    assert.equal(view.latest?.deposit, 5n * ONE)
    await net.mine(1)
    const fact = await log.until(isChannel)
    assert.equal(isChannel(fact) && fact.facts?.block, block)
    assert.equal((await payee.channel(id)).confirmed?.deposit, 5n * ONE)
  })

  test('an opening that a reorganisation takes back is told as gone, and as there again when it is mined again', async (t) => {
    const net = await startDevnet()
    t.after(() => net.stop())
    const payeeSigner = newSigner()
    const signer = await fundedSigner(net)
    const payer = chainOn(net, { signer })
    const payee = chainOn(net, { signer: payeeSigner })
    closing(t, payer, payee)
    const log = factLog(payee)
    await payee.start()
    const expiry = (await payer.time()) + 3600
    await act(payer, openAction(payeeSigner.address, net.token, ONE, { signer: signer.address, expiry }))
    const opening = await log.until(isChannel)
    assert(isChannel(opening) && opening.facts?.deposit === ONE)
    await net.rpc('anvil_reorg', [1, []])
    const gone = await log.until((fact) => isChannel(fact) && fact.causes.includes('reorganised'))
    assert(isChannel(gone) && gone.facts === undefined && gone.id === opening.id)
    const count = log.facts.filter(isChannel).length
    await act(payer, openAction(payeeSigner.address, net.token, 2n * ONE, { signer: signer.address, expiry: expiry + 60 }))
    await log.until((fact) => isChannel(fact) && fact.facts?.deposit === 2n * ONE)
    assert.equal(log.facts.filter(isChannel).length, count + 1)
  })

  test('what happened while the node was down is told after the restart, and nothing twice', async (t) => {
    const { net } = dev
    const payeeSigner = newSigner()
    const store = openMemoryStore()
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    const first = chainOn(net, { signer: payeeSigner, store })
    closing(t, payer, first)
    const before = factLog(first)
    await first.start()
    const { id, parties } = await opened(payer, payeeSigner)
    await before.until(isChannel)
    await before.until((fact) => fact.type === 'head' && fact.confirmed >= Number(first.status().head))
    await first.close()
    await act(payer, { kind: 'deposit', token: net.token, account: payer.account, amount: units(ONE) })
    await act(payer, { kind: 'top-up', ...parties, amount: units(ONE) })
    const second = chainOn(net, { signer: payeeSigner, store: openMemoryStore({ from: store.snapshot() }) })
    closing(t, second)
    second.watch([id])
    const log = factLog(second)
    await second.start()
    const fact = await log.until(isChannel)
    assert(isChannel(fact))
    assert.deepEqual(fact.causes, ['topped-up'])
    assert.equal(fact.facts?.deposit, 6n * ONE)
  })

  test('a store that knows channels and has no trail hears what the ledger holds of them: nobody has followed it', async (t) => {
    const { net } = dev
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    closing(t, payer)
    const payeeSigner = newSigner()
    const { id } = await opened(payer, payeeSigner)
    const store = openMemoryStore()
    await store.commit([{ type: 'put', space: 'channelIn', key: channelIdToBytes(id), value: Uint8Array.of(1) }])
    const payee = chainOn(net, { signer: payeeSigner, store })
    closing(t, payee)
    const log = factLog(payee)
    await payee.start()
    const fact = await log.until(isChannel)
    assert(isChannel(fact))
    assert.deepEqual([fact.id, fact.facts?.deposit], [id, 5n * ONE])
  })

  test('a fact is told again when the listener failed or the write that marks it as told was lost', async (t) => {
    const { net } = dev
    const payeeSigner = newSigner()
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    closing(t, payer)
    const { id } = await opened(payer, payeeSigner)
    const store = openMemoryStore()
    const chain = chainOn(net, { signer: payeeSigner, store })
    closing(t, chain)
    let tries = 0
    const done = Promise.withResolvers<void>()
    chain.follow((facts) => {
      if (!facts.some((fact) => isChannel(fact) && fact.id === id)) return
      if (++tries < 3) throw new Error('the disk of the listener is full')
      done.resolve()
    })
    await chain.start()
    await done.promise
    assert.equal(tries, 3)
  })

  test('an RPC that refuses large ranges is asked for smaller ones', async (t) => {
    const { net } = dev
    await net.mine(60)
    const payeeSigner = newSigner()
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    closing(t, payer)
    await opened(payer, payeeSigner)
    const ranges: number[] = []
    const proxy = await startRpcProxy(net.rpcUrl, ({ method, params }) => {
      if (method !== 'eth_getLogs') return 'pass'
      const { fromBlock, toBlock } = params[0] as { fromBlock: string; toBlock: string }
      const size = Number(toBlock) - Number(fromBlock) + 1
      if (size > 7) return { code: -32005, message: 'query exceeds max block range' }
      ranges.push(size)
      return 'pass'
    })
    t.after(() => proxy.down())
    const payee = chainOn(net, { signer: payeeSigner, rpcUrl: proxy.url })
    closing(t, payee)
    const log = factLog(payee)
    await payee.start()
    await log.until(isChannel)
    assert(ranges.length > 9 && Math.max(...ranges) <= 7)
  })

  test('an answer that is too large to read is asked for in parts', async (t) => {
    const { net } = dev
    await net.mine(30)
    const payeeSigner = newSigner()
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    closing(t, payer)
    await opened(payer, payeeSigner)
    const proxy = await startRpcProxy(net.rpcUrl, ({ method, params }) => {
      const { fromBlock, toBlock } = (params[0] ?? {}) as { fromBlock: string; toBlock: string }
      return method === 'eth_getLogs' && Number(toBlock) - Number(fromBlock) >= 5 ? 'cut' : 'pass'
    })
    t.after(() => proxy.down())
    const payee = chainOn(net, { signer: payeeSigner, rpcUrl: proxy.url })
    closing(t, payee)
    const log = factLog(payee)
    await payee.start()
    await log.until(isChannel)
  })

  test('an RPC restart is survived: what happened meanwhile is told, and the status says how it goes', async (t) => {
    const { net } = dev
    const payeeSigner = newSigner()
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    const proxy = await startRpcProxy(net.rpcUrl)
    t.after(() => proxy.down())
    const noticed = Promise.withResolvers<void>()
    const payee = chainOn(net, { signer: payeeSigner, rpcUrl: proxy.url, onNotice: () => noticed.resolve() })
    closing(t, payer, payee)
    const log = factLog(payee)
    await payee.start()
    await log.until((fact) => fact.type === 'head')
    assert.equal(payee.status().reachable, true)
    await proxy.down()
    await noticed.promise
    assert.equal(payee.status().reachable, false)
    assert.equal(payee.status().error?.code, 'CHAIN_UNREACHABLE')
    await opened(payer, payeeSigner)
    await proxy.up()
    await log.until(isChannel)
    await log.until((fact) => fact.type === 'head' && fact.head === payee.status().head)
  })

  test('duplicate and foreign logs in an answer do no harm', async (t) => {
    const { net } = dev
    const payeeSigner = newSigner()
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    const proxy = await startRpcProxy(net.rpcUrl)
    t.after(() => proxy.down())
    let foreign = true
    proxy.judge = ({ method }) => {
      if (method !== 'eth_getLogs') return 'pass'
      return (result) => {
        const logs = result as { address: string }[]
        const doubled = [...logs, ...logs].reverse()
        if (!foreign || logs.length === 0) return doubled
        foreign = false
        return [{ ...logs[0], address: net.token }]
      }
    }
    const payee = chainOn(net, { signer: payeeSigner, rpcUrl: proxy.url })
    closing(t, payer, payee)
    const log = factLog(payee)
    await opened(payer, payeeSigner)
    await payee.start()
    await log.until(isChannel)
    assert.equal(log.facts.filter(isChannel).length, 1)
    assert.equal(foreign, false)
  })

  test('a channel of others is told only when it is watched', async (t) => {
    const { net } = dev
    const payer = chainOn(net, { signer: await fundedSigner(net) })
    const observer = chainOn(net)
    closing(t, payer, observer)
    const log = factLog(observer)
    await observer.start()
    const { id, parties } = await opened(payer, newSigner())
    await log.until((fact) => fact.type === 'head' && fact.head >= Number(payer.status().head ?? 0))
    observer.watch([id])
    await act(payer, { kind: 'deposit', token: net.token, account: payer.account, amount: units(ONE) })
    await act(payer, { kind: 'top-up', ...parties, amount: units(ONE) })
    const fact = await log.until((one) => isChannel(one) && one.causes.includes('topped-up'))
    assert(isChannel(fact) && fact.id === id)
    assert.equal(
      log.facts.some((one) => isChannel(one) && one.id !== id),
      false,
    )
  })
})
