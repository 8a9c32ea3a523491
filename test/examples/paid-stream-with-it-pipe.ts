// A service of one's own: a program says that it is alive, a consumer pays for every second in which it listens, and it-pipe joins the rest.
// Run it: node test/examples/paid-stream-with-it-pipe.ts
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { pipe } from 'it-pipe'
import { startDevnet } from '../../src/chain/devnet.ts'
import { createNode, formatAmount, parseAmount, type ServiceAdapter } from '../../src/index.ts'

// What is sold: any source of bytes. The node pulls it only as far as it is paid; `signal` fires when nobody listens any more.
const clockService: ServiceAdapter = {
  kind: 'clock',
  inputs: 'nothing',
  outputs: 'one word for each tenth of a second',
  prepare: async () => new Uint8Array(0),
  open: async ({ signal }) => ({ info: new Uint8Array(0), free: false, body: ticks(signal) }),
  close: async () => {},
}

async function* ticks(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  while (!signal.aborted) {
    await sleep(100)
    yield new TextEncoder().encode('tick')
  }
}

const dev = await startDevnet()
const chain = { rpcUrl: dev.rpcUrl, chainId: dev.chainId, ledger: dev.ledger, confirmations: 0 }
const common = { store: 'memory', chain, token: dev.token } as const
const provider = await createNode({ ...common, privateKey: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0'] })
const consumer = await createNode({ ...common, privateKey: randomBytes(32), bootstrap: provider.addresses })
const { token } = consumer
await dev.fund(consumer.address, { wei: 10n ** 18n, tokens: parseAmount('10 tUSDC', token) })

await provider.serve({ name: 'clock', service: clockService, price: '0.001/s', chunk: '500 ms' })
await consumer.money.reserve(provider.address, '1 tUSDC')

// Iterating a session is paying for it; to stop reading is to stop paying.
const session = await consumer.open({ service: 'clock', budget: '0.1 tUSDC' })
const heard = await pipe(session, decode, firstTicks(12))
const { figures, receipt } = await session.close()
console.log(`heard ${heard.length} ticks in ${figures.delivered.ms} ms`)
console.log(
  `paid ${formatAmount(figures.signed, token)}, receipt ${receipt?.receipt.total === figures.signed ? 'agrees' : 'differs'}`,
)

await consumer.stop()
await provider.stop()
await dev.stop()

async function* decode(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  for await (const piece of source) yield new TextDecoder().decode(piece)
}

function firstTicks(count: number) {
  return async (source: AsyncIterable<string>): Promise<string[]> => {
    const ticks: string[] = []
    for await (const tick of source) if (ticks.push(tick) === count) break
    return ticks
  }
}
