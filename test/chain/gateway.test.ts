import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { createGateway } from '../../src/chain/gateway.ts'
import { type ErrorCode, TallyError } from '../../src/core/errors.ts'
import type { Address } from '../../src/core/ids.ts'
import { chainOn, closing, useDevnet } from './support/fixture.ts'
import { startRpcProxy } from './support/rpc-proxy.ts'

const isCode =
  (code: ErrorCode, pattern = /./) =>
  (error: unknown) => {
    assert(error instanceof TallyError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, pattern)
    assert(code === 'ABORTED' || (error.hint ?? '') !== '')
    return true
  }

const NOBODY = `0x${'9'.repeat(40)}` as Address

describe('gateway', () => {
  const dev = useDevnet()

  test('an RPC of another chain is CHAIN_WRONG, with both chain ids', async (t) => {
    const chain = chainOn(dev.net, { chainId: 1 })
    closing(t, chain)
    await assert.rejects(chain.ready(), isCode('CHAIN_WRONG', /chain 31337, .* chain 1$/))
    await assert.rejects(chain.gasBalance(NOBODY), isCode('CHAIN_WRONG'))
  })

  test('an address without code is CONTRACT_MISSING, and an RPC that lags is named as a reason', async (t) => {
    const chain = chainOn(dev.net, { ledger: NOBODY })
    closing(t, chain)
    await assert.rejects(
      chain.ready(),
      (error) => isCode('CONTRACT_MISSING', /0x9999/)(error) && /caught up/.test((error as TallyError).hint ?? ''),
    )
  })

  test('a contract that is not the ledger is CONTRACT_MISSING', async (t) => {
    const chain = chainOn(dev.net, { ledger: dev.net.token })
    closing(t, chain)
    await chain.ready()
    await assert.rejects(chain.payoutOf(NOBODY, NOBODY), isCode('CONTRACT_MISSING', /not the ledger/))
  })

  test('an RPC that is down at the start is CHAIN_UNREACHABLE; when it comes up everything works', async (t) => {
    const proxy = await startRpcProxy(dev.net.rpcUrl)
    await proxy.down()
    t.after(() => proxy.down())
    const chain = chainOn(dev.net, { rpcUrl: proxy.url })
    closing(t, chain)
    await assert.rejects(chain.ready(), isCode('CHAIN_UNREACHABLE', /ECONNREFUSED/))
    await chain.start()
    await proxy.up()
    await chain.ready()
    assert.equal(await chain.gasBalance(NOBODY), 0n)
  })

  test('an RPC that never answers is given up after the timeout', async (t) => {
    const proxy = await startRpcProxy(dev.net.rpcUrl, () => 'deaf')
    t.after(() => proxy.down())
    const chain = chainOn(dev.net, { rpcUrl: proxy.url, timeoutMs: 50 })
    closing(t, chain)
    await assert.rejects(chain.ready(), isCode('CHAIN_UNREACHABLE', /within 50 ms/))
  })

  test('a call ends with ABORTED when its signal fires, and when the chain is closed', async (t) => {
    const heard = Promise.withResolvers<void>()
    const proxy = await startRpcProxy(dev.net.rpcUrl, () => {
      heard.resolve()
      return 'deaf'
    })
    t.after(() => proxy.down())
    const chain = chainOn(dev.net, { rpcUrl: proxy.url })
    const stop = new AbortController()
    const calls = [chain.ready({ signal: stop.signal }), chain.time()]
    await heard.promise
    stop.abort()
    await assert.rejects(calls[0] as Promise<void>, isCode('ABORTED'))
    await Promise.all([assert.rejects(calls[1] as Promise<unknown>, isCode('ABORTED')), chain.close()])
    await assert.rejects(chain.time(), isCode('ABORTED'))
  })

  test('a call whose signal fired before leaves nothing behind', async () => {
    const chain = chainOn(dev.net)
    await assert.rejects(chain.time({ signal: AbortSignal.abort() }), isCode('ABORTED'))
    await chain.close()
  })

  test('an RPC that comes back as another chain is noticed', async (t) => {
    const proxy = await startRpcProxy(dev.net.rpcUrl)
    t.after(() => proxy.down())
    const chain = chainOn(dev.net, { rpcUrl: proxy.url })
    closing(t, chain)
    await chain.ready()
    await proxy.down()
    await assert.rejects(chain.time(), isCode('CHAIN_UNREACHABLE'))
    proxy.judge = ({ method }) => (method === 'eth_chainId' ? () => '0x5' : 'pass')
    await proxy.up()
    await assert.rejects(chain.time(), isCode('CHAIN_WRONG'))
  })

  test('answers without sense, without end, or with a bad status are CHAIN_UNREACHABLE', async (t) => {
    for (const [body, status] of [
      ['no json', 200],
      ['{"jsonrpc":"2.0","id":1,"result":{}}', 200],
      ['x'.repeat(5000), 200],
      ['', 503],
      ['slow down', 429],
      ['forbidden', 403],
    ] as const) {
      const server = createServer((_request, response) => response.writeHead(status).end(body))
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve)
      })
      const rpcUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const gateway = createGateway({ rpcUrl, chainId: 31337, ledger: NOBODY, maxReplyBytes: 4000 })
      t.after(() => {
        gateway.close()
        server.closeAllConnections()
        server.close()
      })
      await assert.rejects(gateway.ready(), isCode('CHAIN_UNREACHABLE'), body)
    }
  })

  test('the secrets of an RPC address are in no error', async (t) => {
    const gateway = createGateway({ rpcUrl: 'http://joe:s3cret@127.0.0.1:9/key/t0ps3cret', chainId: 1, ledger: NOBODY })
    t.after(() => gateway.close())
    await assert.rejects(gateway.ready(), (error) => {
      assert(error instanceof TallyError && error.code === 'CHAIN_UNREACHABLE')
      const text = JSON.stringify([error.message, error.hint, error.fields, String(error.cause)])
      assert.doesNotMatch(text, /s3cret/)
      assert.match(text, /127\.0\.0\.1:9/)
      return true
    })
  })

  test('an address that is not http is CONFIG_INVALID at once', () => {
    for (const rpcUrl of ['', 'ws://127.0.0.1:1', 'localhost', '/tmp/rpc']) {
      assert.throws(() => createGateway({ rpcUrl, chainId: 1, ledger: NOBODY }), isCode('CONFIG_INVALID'))
    }
  })

  test('reads of a fresh chain deeper than it is long find nothing, and do not fail', async (t) => {
    const chain = chainOn(dev.net, { confirmations: 1000 })
    closing(t, chain)
    const view = await chain.channel({ owner: NOBODY, signer: NOBODY, target: NOBODY, token: dev.net.token })
    assert.equal(view.confirmed, undefined)
    assert.equal(view.latest, undefined)
  })

  test('something that is not a token is said to be none', async (t) => {
    const chain = chainOn(dev.net)
    closing(t, chain)
    await assert.rejects(chain.token(NOBODY), isCode('CONTRACT_MISSING', /no ERC-20 token/))
    await assert.rejects(chain.walletBalance(dev.net.ledger, NOBODY), isCode('CONTRACT_MISSING', /no ERC-20 token/))
    assert.equal((await chain.token(dev.net.token)).symbol, 'tUSDC')
  })
})
