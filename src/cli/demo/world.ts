/** The small world of the demo: a local chain, a bootstrap node, a file, and the set-up of two processes that know nothing of each other. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Devnet, startDevnet } from '../../chain/devnet.ts'
import { fromHex, toHex } from '../../core/bytes.ts'
import { addressOfKey } from '../../core/crypto/secp256k1.ts'
import type { Address } from '../../core/ids.ts'
import { createNode } from '../../node/create-node.ts'
import type { TallyNode } from '../../node/node.ts'
import type { Mode, Wealth } from './account.ts'
import { COIN_PRICE, payOut } from './gasless.ts'
import type { Setup } from './wire.ts'

export const PRICE = '0.01/MiB'
export const BUDGET = '2 tUSDC'
const FUNDS = 100_000_000n
const GAS_WEI = 10n ** 18n
/** how long the demo's provider waits for a payment: short, so that one need not wait long for a cheat to be cut */
const PATIENCE_MS = 1_500
/** the most that a consumer prepays; one that means to stop paying prepays no more than it must */
const LIMIT_AT_RISK = '0.05 tUSDC'
const ONE_CHUNK = '0.000625 tUSDC'

export interface World {
  readonly chain: Devnet
  /** the bootstrap node; it also reads the balances */
  readonly watch: TallyNode
  readonly setups: Record<'provider' | 'consumer', Setup>
  /** used in the demo without gas only */
  readonly relay: Setup
  readonly addresses: Readonly<Record<'provider' | 'consumer' | 'relay', Address>>
  /** of the file that is sold */
  readonly sha256: string
}

export async function makeWorld(
  home: string,
  stack: AsyncDisposableStack,
  options: { mode: Mode; sizeBytes: number; bytesPerSecond: number },
): Promise<World> {
  const chain = await startDevnet()
  stack.defer(() => chain.stop())
  const common = { rpcUrl: chain.rpcUrl, chainId: chain.chainId, ledger: chain.ledger, token: chain.token }
  const listen = '/ip4/127.0.0.1/tcp/0'
  const watch = await createNode({
    privateKey: randomBytes(32),
    store: 'memory',
    chain: { ...common, confirmations: 0 },
    token: chain.token,
    listen: [listen],
  })
  stack.defer(() => watch.stop())
  const folder = join(home, 'shop')
  mkdirSync(folder)
  const file = 'sample.bin'
  const sha256 = makeFile(join(folder, file), options.sizeBytes)
  const setup = (who: string, cheatAt: number): Setup => ({
    ...common, home: join(home, who), privateKey: toHex(randomBytes(32)), bootstrap: watch.addresses[0] ?? '', listen, folder, file, price: PRICE,
    bytesPerSecond: options.bytesPerSecond, cheatAt, budget: BUDGET, limitAtRisk: who === 'consumer' && cheatAt >= 0 ? ONE_CHUNK : LIMIT_AT_RISK,
    patienceMs: PATIENCE_MS, relays: options.mode === 'gasless' && who !== 'relay' ? ['auto'] : [], coinPrice: who === 'relay' ? COIN_PRICE : '',
  }) // biome-ignore format: a record
  const half = Math.floor(options.sizeBytes / 2)
  const setups = {
    provider: setup('provider', options.mode === 'cheat-provider' ? half : -1),
    consumer: setup('consumer', options.mode === 'cheat-consumer' ? half : -1),
  }
  const relay = setup('relay', -1)
  for (const one of [...Object.values(setups), relay]) mkdirSync(one.home)
  const addresses = {
    provider: addressOfKey(fromHex(setups.provider.privateKey)),
    consumer: addressOfKey(fromHex(setups.consumer.privateKey)),
    relay: addressOfKey(fromHex(relay.privateKey)),
  }
  if (options.mode === 'gasless') {
    await chain.fund(addresses.relay, { wei: GAS_WEI })
    await payOut(chain, watch, addresses.consumer, FUNDS)
  } else {
    await chain.fund(addresses.provider, { wei: GAS_WEI })
    await chain.fund(addresses.consumer, { wei: GAS_WEI, tokens: FUNDS })
  }
  return { chain, watch, setups, relay, addresses, sha256 }
}

export async function wealth({ watch, addresses }: World): Promise<Wealth> {
  return { provider: await wealthOf(watch, addresses.provider), consumer: await wealthOf(watch, addresses.consumer) }
}

/** Everything that belongs to an account: in its wallet, at its deposit address and in its ledger balance. What is reserved is not counted: it is nobody's yet. */
async function wealthOf(node: TallyNode, account: Address): Promise<bigint> {
  const { address } = node.token
  const { chain } = node
  const waiting = await chain.walletBalance(address, await chain.depositAddress(account))
  return waiting + (await chain.walletBalance(address, account)) + (await chain.ledgerBalance(address, account))
}

function makeFile(path: string, bytes: number): string {
  const data = randomBytes(bytes)
  writeFileSync(path, data)
  return `0x${createHash('sha256').update(data).digest('hex')}`
}
