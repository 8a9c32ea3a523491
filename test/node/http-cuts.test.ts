// Paid HTTP over a line that breaks, and over providers that go away.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { TallyNode } from '../../src/node/node.ts'
import type { ClosedSession } from '../../src/node/node-session.ts'
import type { PaidHttp } from '../../src/node/paid-http.ts'
import { httpService } from '../../src/services/http/index.ts'
import { type FaultProxy, faultProxy } from '../support/fault-proxy.ts'
import { addressOf, failure, portOf, type TestNetwork, testNetwork, through } from '../support/network.ts'

const FILE = randomBytes(4 << 20)
const HALF = FILE.length / 2
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A web server that gives half of an answer, or none, until it is told to go on. */
class Web {
  readonly #server = http.createServer((request, response) => void this.#answer(request, response))
  readonly #go = new EventEmitter()
  /** what was asked for, in order */
  readonly asked: string[] = []
  /** the entity tag of the file */
  tag = '"the file"'
  ranges = true

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** Resolves when so many requests have come. */
  async heard(count: number): Promise<void> {
    while (this.asked.length < count) await once(this.#go, 'asked')
  }

  async #answer({ method, url, headers }: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const nth = this.asked.push(`${method} ${url} ${headers.range ?? ''}`.trim())
    this.#go.emit('asked')
    if (url === '/small') return void response.end('small')
    // the first one is never answered
    if (url === '/slow') return void (nth > 1 && response.end('at last'))
    const [from, to] = /^bytes=(\d+)-(\d+)$/
      .exec(headers.range ?? '')
      ?.slice(1)
      .map(Number) ?? [0, FILE.length - 1]
    const isPart = headers.range !== undefined && headers['if-range'] === this.tag
    const bytes = isPart ? FILE.subarray(from, (to ?? 0) + 1) : FILE
    response.writeHead(isPart ? 206 : 200, {
      'content-length': bytes.length,
      etag: this.tag,
      ...(this.ranges && { 'accept-ranges': 'bytes' }),
      ...(isPart && { 'content-range': `bytes ${from}-${to}/${FILE.length}` }),
    })
    // the first one stands still in the middle
    if (nth > 1) response.end(bytes)
    else response.write(bytes.subarray(0, HALF))
  }
}

interface Shop {
  readonly web: Web
  readonly lines: readonly FaultProxy[]
  readonly sellers: readonly TallyNode[]
  readonly consumer: TallyNode
  readonly http: PaidHttp
  readonly closed: ClosedSession[]
}

describe('HTTP over a line that breaks', () => {
  let net: TestNetwork
  before(async () => {
    net = await testNetwork()
  })
  after(() => net.stop())

  /** One web server behind so many providers, each behind a line of its own. */
  async function shop(t: TestContext, providers = 1): Promise<Shop> {
    const web = new Web()
    const target = await web.start()
    const sellers = await Promise.all(Array.from({ length: providers }, () => net.provider(t)))
    for (const seller of sellers) await seller.serve({ name: 'web', service: httpService({ target }), price: '0.01/MiB' })
    const lines = await Promise.all(sellers.map((seller) => faultProxy(portOf(addressOf(seller)))))
    const consumer = await net.consumer(t, sellers)
    const closed: ClosedSession[] = []
    const bought = consumer.http({
      budget: '1 tUSDC',
      find: async (service, without) => {
        const at = sellers.findIndex(({ address }) => !without.includes(address))
        const [seller, line] = [sellers[at], lines[at]]
        assert.ok(seller && line, 'nobody else sells it')
        return await consumer.offerOf(through(line.port, addressOf(seller)), service)
      },
      onClosed: (one) => void closed.push(one),
    })
    t.after(async () => {
      await bought.close()
      for (const line of lines) await line.close()
      await web.close()
    })
    return { web, lines, sellers, consumer, http: bought, closed }
  }

  /** Reads half of the file, does something, and reads the rest. */
  async function readFile({ http: bought }: Shop, inTheMiddle: () => void): Promise<Buffer> {
    const response = await bought.fetch('tally://web/file')
    assert.equal(response.status, 200)
    const pieces: Uint8Array[] = []
    let bytes = 0
    for await (const piece of response.body ?? []) {
      pieces.push(piece)
      const before = bytes
      bytes += piece.length
      if (before < HALF && bytes >= HALF) inTheMiddle()
    }
    return Buffer.concat(pieces)
  }

  test('the next request goes on with the session that was cut, and one receipt stands for all of it', async (t) => {
    const it = await shop(t)
    const [line] = it.lines
    for (let at = 0; at < 3; at++) {
      assert.equal(await (await it.http.fetch('tally://web/small')).text(), 'small')
      line?.reset()
    }
    assert.equal(await (await it.http.fetch('tally://web/small')).text(), 'small')
    await it.http.close()
    assert.deepEqual(it.web.asked, Array(4).fill('GET /small'))
    assert.equal(it.closed.length, 1)
    const [{ code, receipt, figures } = assert.fail()] = it.closed
    assert.equal(code, undefined)
    assert.equal(receipt?.receipt.total, figures.signed)
    assert.equal(it.http.spent, figures.signed)
  })

  test('an answer with ranges goes on at its byte, and no byte is paid for twice', async (t) => {
    const it = await shop(t)
    const got = await readFile(it, () => it.lines[0]?.reset())
    assert.equal(sha256(got), sha256(FILE))
    assert.deepEqual(it.web.asked, ['GET /file', `GET /file bytes=${HALF}-${FILE.length - 1}`])
    await it.http.close()
    assert.equal(it.closed.length, 1)
    const heads = Number(it.closed[0]?.figures.delivered.down) - FILE.length
    assert.ok(heads > 0 && heads < 1_000, `${heads} bytes more than the file`)
  })

  test('the next provider goes on at the byte where one went away, within the one budget', async (t) => {
    const it = await shop(t, 2)
    const got = await readFile(it, () => {
      it.lines[0]?.reset()
      void it.sellers[0]?.stop({ signal: AbortSignal.timeout(1) })
    })
    assert.equal(sha256(got), sha256(FILE))
    assert.deepEqual(it.web.asked, ['GET /file', `GET /file bytes=${HALF}-${FILE.length - 1}`])
    await it.http.close()
    assert.deepEqual(it.closed.map(({ code }) => code).sort(), ['STREAM_CUT', undefined])
    const down = it.closed.reduce((sum, { figures }) => sum + Number(figures.delivered.down), 0) - FILE.length
    assert.ok(down > 0 && down < 1_000, `${down} bytes more than the file`)
    assert.equal(
      it.http.spent,
      it.closed.reduce((sum, { figures }) => sum + figures.signed, 0n),
    )
    assert.deepEqual(await Array.fromAsync(it.consumer.resumable), [])
  })

  test('an answer breaks off where its rest cannot be had: other bytes by now, or a server without ranges', async (t) => {
    for (const change of [{ tag: '"another file"' }, { ranges: false }]) {
      const it = await shop(t)
      if ('ranges' in change) it.web.ranges = false
      const { code } = await failure(() =>
        readFile(it, () => {
          Object.assign(it.web, change)
          it.lines[0]?.reset()
        }),
      )
      assert.equal(code, 'STREAM_CUT')
      assert.equal(it.web.asked.length, 'ranges' in change ? 1 : 2)
    }
  })

  test('a GET that nobody has answered is asked again; a POST never is', async (t) => {
    const it = await shop(t)
    const answer = it.http.fetch('tally://web/slow')
    await it.web.heard(1)
    it.lines[0]?.reset()
    assert.equal(await (await answer).text(), 'at last')
    assert.deepEqual(it.web.asked, ['GET /slow', 'GET /slow'])

    const other = await shop(t)
    const lost = other.http.fetch('tally://web/slow', { method: 'POST', body: 'once' })
    const broken = failure(() => lost)
    await other.web.heard(1)
    other.lines[0]?.reset()
    assert.equal((await broken).code, 'STREAM_CUT')
    // the session is taken up again by what comes next
    assert.equal(await (await other.http.fetch('tally://web/small')).text(), 'small')
    assert.deepEqual(other.web.asked, ['POST /slow', 'GET /small'])
  })
})
