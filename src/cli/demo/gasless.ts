/** The demo without gas: a relay is the only one that has the chain's coin. What is different then, in one place. */
import type { Devnet } from '../../chain/devnet.ts'
import type { Amount } from '../../core/amount.ts'
import type { Address } from '../../core/ids.ts'
import { formatAmountPadded, type TokenInfo } from '../../core/token.ts'
import type { TallyNode } from '../../node/node.ts'
import type { Check } from './account.ts'
import type { Actor } from './actor.ts'
import type { Screen } from './screen.ts'
import { tell } from './wire.ts'
import type { World } from './world.ts'

const COIN = 10n ** 18n
/** what a coin is worth to the demo's relay: little, so that fees are small beside a file of 64 MiB */
export const COIN_PRICE = '20 tUSDC'

/** What relays got, base units, and the coins that there are. */
export interface GaslessFacts {
  readonly provider: bigint
  readonly consumer: bigint
  readonly earned: bigint
  readonly relayGas: bigint
  /** of provider and consumer together: coins, and transactions that they sent */
  readonly othersGas: bigint
  readonly othersSent: bigint
}

/** An exchange pays out by a plain transfer, to an account that has never done anything. */
export async function payOut(chain: Devnet, watch: TallyNode, to: Address, amount: bigint): Promise<void> {
  await chain.payOut(await watch.chain.depositAddress(to), amount)
}

export async function beginRelay(world: World, relay: Actor, screen: Screen): Promise<void> {
  const { peer, address } = await relay.wait('ready')
  const text = `✔ relay      …${peer.slice(-8)} is the only one with the chain's coin; found on the DHT as well`
  screen.step('relay', text, { peer, address })
  const paid = '✔ paid out   100 tUSDC to the deposit address of the consumer, a plain transfer as from an exchange'
  screen.step('paid-out', paid, { to: await world.watch.chain.depositAddress(world.addresses.consumer) })
}

/** What the provider earned leaves the ledger. */
export async function withdraw(provider: Actor, screen: Screen, token: TokenInfo): Promise<bigint> {
  provider.tell({ type: 'withdraw' })
  const { hash, amount, fee } = await provider.wait('withdrawn', 30_000)
  const shown = formatAmountPadded(BigInt(amount) as Amount, token)
  screen.step('withdrawn', `✔ withdrawn  ${shown}, into the wallet of the provider (${hash.slice(0, 10)}…)`, {
    hash,
    amount,
    fee,
  })
  return BigInt(fee)
}

/** In the provider's process: all but the fee, which is known beforehand. */
export async function withdrawAll(node: TallyNode): Promise<void> {
  const { ledger } = await node.money.balances()
  const { relay } = await node.money.dryRun(node.money.withdrawAction(node.address, (ledger / 2n) as Amount))
  // the price of gas may rise by a little meanwhile
  const amount = (ledger - ((relay?.fee ?? 0n) * 5n) / 4n) as Amount
  const job = await node.money.send(node.money.withdrawAction(node.address, amount))
  tell({ type: 'withdrawn', hash: job.hash ?? '', amount: `${amount}`, fee: `${job.relay?.fee ?? 0n}` })
}

export async function gaslessFacts(
  { chain, watch, addresses }: World,
  fees: { provider: bigint; consumer: bigint },
): Promise<GaslessFacts> {
  const { provider, consumer, relay } = addresses
  const read = async (method: string, account: Address): Promise<bigint> =>
    BigInt(String(await chain.rpc(method, [account, 'latest'])))
  const others = [provider, consumer]
  const sumOf = async (method: string): Promise<bigint> =>
    (await Promise.all(others.map((one) => read(method, one)))).reduce((sum, one) => sum + one, 0n)
  return {
    ...fees,
    earned: await watch.chain.ledgerBalance(chain.token, relay),
    relayGas: COIN - (await read('eth_getBalance', relay)),
    othersGas: await sumOf('eth_getBalance'),
    othersSent: await sumOf('eth_getTransactionCount'),
  }
}

export function gaslessChecks(facts: GaslessFacts, show: (value: bigint) => string): Check[] {
  const { provider, consumer, earned, othersGas, othersSent } = facts
  return [
    {
      text: `fees: consumer ${show(consumer)} + provider ${show(provider)} = earned by the relay ${show(earned)}`,
      ok: provider > 0n && consumer > 0n && provider + consumer === earned,
    },
    {
      text: `provider and consumer: ${othersGas} wei, ${othersSent} transactions; the relay paid ${formatCoin(facts.relayGas)} for gas`,
      ok: othersGas === 0n && othersSent === 0n,
    },
  ]
}

const formatCoin = (wei: bigint): string => `0.${wei.toString().padStart(18, '0').slice(0, 6)} ETH`
