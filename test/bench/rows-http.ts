/** Rows http_*: a web server by itself, through the proxy chain for nothing, and through the same chain paid by the call. */
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { noNginx, startNginx } from '../support/nginx.ts'
import { type Bench, counted } from './bench.ts'
import type { Busy } from './busy.ts'
import type { BuyerAnswers } from './buyer.ts'
import { type Child, start } from './child.ts'
import type { EventServerAnswers } from './event-server.ts'
import { note } from './place.ts'
import type { ProviderAnswers } from './provider.ts'
import { type Measured, measured, median, quantile } from './report.ts'
import type { Target, WebClientAnswers } from './web-client.ts'

const CONNECTIONS = 16
/** of each of the three in a turn */
const TURN_MS = 1_500
/** turns in one run: a slow moment of the machine must not always meet the same one */
const TURNS = 4
const EVENTS = 300
const PRICE = '0.00001/call'

interface Chain {
  readonly provider: Child<ProviderAnswers>
  readonly buyer: Child<BuyerAnswers>
  readonly client: Child<WebClientAnswers>
  readonly proxy: number
}

export async function httpRows(bench: Bench): Promise<Measured[]> {
  const place = { ...bench.place, dir: await mkdtemp(join(bench.place.dir, 'http-')) }
  const missing = noNginx()
  const nginx = missing === undefined ? await startNginx(place.dir) : undefined
  const provider = start<ProviderAnswers>('provider.ts', bench.profile)
  const buyer = start<BuyerAnswers>('buyer.ts', bench.profile)
  const client = start<WebClientAnswers>('web-client.ts')
  const events = start<EventServerAnswers>('event-server.ts')
  try {
    const near = await provider.ask('begin', place)
    await buyer.ask('begin', { place, provider: near, payEach: false, pay: 'auto' })
    const chain = { provider, buyer, client, proxy: await buyer.ask('proxy') }
    const eventPort = await events.ask('listen')
    await provider.ask('sellWeb', { name: 'events', target: `http://127.0.0.1:${eventPort}`, price: PRICE })
    const eventRows = await measureEvents(bench, chain, eventPort)
    if (nginx === undefined) {
      note(`left out: http_plain, http_free, http_paid: ${missing}`)
      return eventRows
    }
    await provider.ask('sellWeb', { name: 'free', target: nginx.url, price: 'free' })
    await provider.ask('sellWeb', { name: 'paid', target: nginx.url, price: PRICE })
    return [...(await measureRequests(bench, chain, Number(new URL(nginx.url).port))), ...eventRows]
  } finally {
    await client.stop()
    await buyer.stop()
    await provider.stop()
    await events.stop()
    await nginx?.stop()
  }
}

/** What several turns of one sort came to. */
class Sum {
  requests = 0
  ms = 0
  /** processor time of provider and buyer, all threads */
  cpuMs = 0

  get perSecond(): number {
    return this.requests / (this.ms / 1000)
  }

  get cpuUs(): string {
    return `${((this.cpuMs * 1000) / this.requests).toFixed(0)} us of CPU a request`
  }
}

async function measureRequests(bench: Bench, { provider, buyer, client, proxy }: Chain, plain: number): Promise<Measured[]> {
  const targets = {
    plain: { port: plain, url: '/small' },
    free: { port: proxy, url: 'http://free.tally/small' },
    paid: { port: proxy, url: 'http://paid.tally/small' },
  } as const satisfies Readonly<Record<string, Target>>
  const busy = async (): Promise<readonly Busy[]> => [await provider.ask('busy'), await buyer.ask('busy')]
  let payments = 0
  let bought = 0
  const results = await counted(bench, async (name) => {
    const sums = { plain: new Sum(), free: new Sum(), paid: new Sum() }
    for (let turn = 0; turn < TURNS; turn++) {
      for (const [which, target] of Object.entries(targets)) {
        await busy()
        await buyer.ask('payments')
        const asked = await client.ask('ask', { ...target, connections: CONNECTIONS, ms: TURN_MS * bench.scale })
        const sum = sums[which as keyof typeof targets]
        for (const { cpuMs } of await busy()) sum.cpuMs += cpuMs
        sum.requests += asked.requests
        sum.ms += asked.ms
        if (which !== 'paid') continue
        payments += await buyer.ask('payments')
        bought += asked.requests
      }
    }
    const { free, paid } = sums
    note(
      `http ${name}: plain ${sums.plain.perSecond.toFixed(0)}/s, free ${free.perSecond.toFixed(0)}/s (${free.cpuUs}), paid ${paid.perSecond.toFixed(0)}/s (${paid.cpuUs}), ratio ${(paid.perSecond / free.perSecond).toFixed(3)}`,
    )
    return sums
  })
  const rates = (which: keyof typeof targets): number[] => results.map((sums) => sums[which].perSecond)
  const each = `${(payments / bought).toFixed(2)} payments a call`
  return [
    measured('http_plain', 'per s', rates('plain'), { note: `nginx by itself, ${CONNECTIONS} connections that are kept` }),
    measured('http_free', 'per s', rates('free'), { note: 'the same nginx behind serve http and proxy, price free' }),
    measured('http_paid', 'per s', rates('paid'), { note: `the same for ${PRICE}, ${each}` }),
    measured('http_paid_of_free', 'ratio', results.map(({ paid, free }) => paid.perSecond / free.perSecond), { goal: 0.9 }),
  ] // biome-ignore format: one row a line
}

/** Events of a stream that are sent every 10 ms: how long each is on its way, directly and through the chain. */
async function measureEvents(bench: Bench, { client, proxy }: Chain, port: number): Promise<Measured[]> {
  const count = Math.ceil(EVENTS * bench.scale)
  const results = await counted(bench, async (name) => {
    const direct = await client.ask('hear', { port, url: '/', count })
    const paid = await client.ask('hear', { port: proxy, url: 'http://events.tally/', count })
    const at = (which: number): { readonly direct: number; readonly paid: number } => ({
      direct: quantile(direct, which),
      paid: quantile(paid, which),
    })
    const [p50, p99] = [at(0.5), at(0.99)]
    note(
      `events ${name}: p50 ${p50.direct.toFixed(0)} us direct, ${p50.paid.toFixed(0)} us paid; p99 ${p99.direct.toFixed(0)} us direct, ${p99.paid.toFixed(0)} us paid`,
    )
    return { p50, p99 }
  })
  const row = (which: 'p50' | 'p99'): Measured => {
    const all = results.map((one) => one[which])
    const [direct, paid] = [median(all.map((one) => one.direct)), median(all.map((one) => one.paid))]
    return measured(`sse_added_${which}_us`, 'us', all.map((one) => one.paid - one.direct), {
      note: `${direct.toFixed(0)} us direct, ${paid.toFixed(0)} us through the paid chain; the goal is less than 20,000`,
    }) // biome-ignore format: one row
  }
  return [row('p50'), row('p99')]
}
