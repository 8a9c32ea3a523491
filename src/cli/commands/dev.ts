import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import type { Devnet } from '../../chain/devnet.ts'
import { TallyError } from '../../core/errors.ts'
import { type Address, formatAddress, parseAddress } from '../../core/ids.ts'
import { formatAmount, parseAmount, type TokenInfo, tokenInfo } from '../../core/token.ts'
import type { TallyNode } from '../../node/node.ts'
import type { Cli } from '../context.ts'
import { duration, examples, whole } from '../options.ts'
import { facts } from '../output.ts'
import { untilStopped } from '../stop.ts'

interface DevFlags {
  readonly port: number
  readonly out: string
  readonly state?: string
  readonly blockTime?: number
}

/** Gas that the faucet adds each time: enough for thousands of transactions of a local chain. */
const FAUCET_WEI = 10n ** 18n
const FAUCET_TOKENS = '100 tUSDC'
const SECOND_MS = 1_000

const devToken = (address: Address): TokenInfo => tokenInfo(address, 'tUSDC', 6)

export function devCommand(cli: Cli): Command {
  return new Command('dev')
    .description('a local chain with the contracts, a test token and a first peer; it stays up until it is stopped')
    .option('--port <n>', 'of the RPC; 0 = any free one', whole(0, 65_535), 0)
    .option('--out <name|file>', 'the network file that is written', 'dev')
    .option('--state <file>', 'keep the chain between runs')
    .option('--block-time <duration>', 'a block this often instead of one for each transaction', duration)
    .addHelpText(
      'after',
      examples('dev', 'dev --port 8545 --state ./dev-chain.json', 'dev --out ./dev.json', "dev fund 0x… '50 tUSDC'"),
    )
    .addCommand(fundCommand(cli))
    .action(async (flags: DevFlags) => await runDev(cli, flags))
}

async function runDev(cli: Cli, { port, out, state, blockTime }: DevFlags): Promise<void> {
  const [{ startDevnet }, { writeNetwork }] = await Promise.all([
    import('../../chain/devnet.ts'),
    import('../../node/network-profile.ts'),
  ])
  if (blockTime !== undefined && blockTime % SECOND_MS !== 0)
    throw new TallyError('USAGE', { message: 'blocks come in whole seconds', hint: 'such as --block-time 2s' })
  const chain = await startDevnet({
    port,
    ...(state !== undefined && { statePath: state }),
    ...(blockTime !== undefined && { blockTimeS: blockTime / SECOND_MS }),
  })
  let first: TallyNode | undefined
  try {
    first = await firstPeer(chain)
    const { rpcUrl, chainId, ledger, forwarder, registry, token } = chain
    const profile = {
      rpcUrl,
      chainId,
      ledger,
      forwarder,
      registry,
      token,
      confirmationsBlocks: 0,
      bootstrap: first.addresses,
      faucet: true,
    }
    const path = await writeNetwork(out, profile, { env: cli.env })
    const name = path.endsWith(`/${out}.json`) ? out : path
    cli.out.data({ event: 'ready', network: path, ...profile }, 'lines')
    cli.out.text(
      `${cli.out.tick} a local chain with play money${state === undefined ? '; it is forgotten when it stops (--state keeps it)' : ''}`,
      ...facts([
        ['rpc', `${rpcUrl} (chain ${chainId})`],
        ['ledger', formatAddress(ledger)],
        ['token', `${formatAddress(token)} (tUSDC, 6 decimals)`],
        ['first peer', first.addresses[0] ?? ''],
        ['network', path],
      ]),
      `try:  tallystick init --network ${name}   then   tallystick dev fund <account>`,
    )
    await untilStopped(cli.stop.signal)
  } finally {
    await first?.stop()
    await chain.stop()
  }
}

/** A node that sells nothing: whoever knows it finds all others. */
async function firstPeer({ rpcUrl, chainId, ledger, token }: Devnet): Promise<TallyNode> {
  const { createNode } = await import('../../node/create-node.ts')
  return await createNode({
    privateKey: randomBytes(32),
    store: 'memory',
    chain: { rpcUrl, chainId, ledger, confirmations: 0 },
    token,
    listen: ['/ip4/127.0.0.1/tcp/0'],
  })
}

function fundCommand(cli: Cli): Command {
  return new Command('fund')
    .description('gives an account play money and gas; works from any process while `dev` runs')
    .argument('[account]', 'an address or a peer id; without it, the node in this home')
    .argument('[amount]', 'test tokens', FAUCET_TOKENS)
    .addHelpText(
      'after',
      examples(
        'dev fund',
        'dev fund 0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
        "dev fund 16Uiu2… '50 tUSDC' --network ./dev.json",
      ),
    )
    .action(async (account: string | undefined, amount: string) => {
      const [{ fundOnDevnet }, { readNetwork }, { accountOf }, { addressOfHome, homeDir }] = await Promise.all([
        import('../../chain/devnet.ts'),
        import('../../node/network-profile.ts'),
        import('../peer.ts'),
        import('../../node/home.ts'),
      ])
      const network = await readNetwork(cli.options.network ?? cli.env.TALLYSTICK_NETWORK ?? 'dev', { env: cli.env })
      if (network.faucet !== true)
        throw new TallyError('USAGE', { message: `"${network.path}" is not a local chain, so nobody can make money there` })
      const token = devToken(parseAddress(network.token))
      const tokens = parseAmount(amount, token)
      const address = account === undefined ? await addressOfHome(homeDir(cli.options.home, cli.env)) : accountOf(account)
      await fundOnDevnet(network.rpcUrl, token.address, address, { wei: FAUCET_WEI, tokens })
      const given = { account: formatAddress(address), tokens: formatAmount(tokens, token), gas: '1 ETH' }
      cli.out.data(given)
      cli.out.text(`${cli.out.tick} ${given.account} has ${given.tokens} and ${given.gas} more`)
    })
}
