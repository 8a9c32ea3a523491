// One node sells a folder, another one buys a file of it, and the sums are the same on both sides and on the chain.
// Run it: node test/examples/sell-and-buy.ts

import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDevnet } from '../../src/chain/devnet.ts'
import { createNode, filesService, formatAmount, parseAmount, saveFile } from '../../src/index.ts'

// A local chain with the ledger and a test token. Elsewhere these four lines are your RPC and the addresses of the network.
const dev = await startDevnet()
const chain = { rpcUrl: dev.rpcUrl, chainId: dev.chainId, ledger: dev.ledger, confirmations: 0 }
const folder = await mkdtemp(join(tmpdir(), 'tallystick-example-'))
await writeFile(join(folder, 'song.bin'), randomBytes(3 << 20))

// The provider: one key is its peer id and its account. It settles whenever a session ends.
const provider = await createNode({
  privateKey: randomBytes(32),
  store: { path: join(folder, 'provider/db') },
  chain,
  token: dev.token,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  provider: { settleOnClose: true },
})
await dev.fund(provider.address, { wei: 10n ** 18n })
await provider.serve({ name: 'songs', service: filesService({ root: folder }), price: '0.01/MiB' })

// The consumer knows nothing but the provider's address as its way into the network.
const bootstrap = provider.addresses
const consumer = await createNode({ privateKey: randomBytes(32), store: 'memory', chain, token: dev.token, bootstrap })
const { token } = consumer
await dev.fund(consumer.address, { wei: 10n ** 18n, tokens: parseAmount('20 tUSDC', token) })

for await (const found of consumer.find('songs')) {
  // A reservation: only this provider can be paid from it, and what is left comes back after a month.
  await consumer.money.reserve(found.provider, '5 tUSDC')

  const session = await consumer.open({ service: found, inputs: 'song.bin', budget: '1 tUSDC' })
  const saved = await saveFile(session, { path: 'song.bin', to: join(folder, 'bought.bin') })
  const { figures, receipt } = await session.close()
  const same = (await readFile(join(folder, 'song.bin'))).equals(await readFile(saved.path))
  console.log(`bought ${saved.bytes} bytes, ${same ? 'equal to' : 'NOT'} what was sold`)
  console.log(
    `paid ${formatAmount(figures.signed, token)}, receipt over ${formatAmount(receipt?.receipt.total ?? figures.left, token)}`,
  )
  break
}

await consumer.stop()
await provider.money.settle('all')
console.log(`settled ${formatAmount((await provider.money.balances()).ledger, token)}`)
await provider.stop()
await dev.stop()
await rm(folder, { recursive: true })
