import { Command, Option } from 'commander'
import type { Cli } from '../context.ts'
import { runDaemon } from '../daemon.ts'
import { examples } from '../options.ts'

interface UpFlags {
  readonly listen?: string
  readonly announce?: string
  /** connections of others */
  readonly relay?: string
  /** transactions of others */
  readonly gasRelay?: boolean
  readonly coinPrice?: string
}

export function upCommand(cli: Cli): Command {
  return new Command('up')
    .description('joins the network and stays: others find the network through this node, and commands talk to it')
    .option('--listen <multiaddrs>', 'where to listen, joined by commas')
    .option('--announce <multiaddrs>', 'where others are told to dial this node besides, joined by commas')
    .addOption(
      new Option('--relay <when>', 'pass connections on to nodes behind NATs; auto = with a public address').choices([
        'auto',
        'on',
        'off',
      ]),
    )
    .option('--gas-relay', 'hand in what others sign, for a fee in tokens: this node pays the gas')
    .option('--coin-price <amount>', "what one of the chain's coin is worth in tokens (relay.coinPrice)")
    .addHelpText(
      'after',
      examples(
        'up',
        'up --listen /ip4/0.0.0.0/tcp/4001,/ip4/0.0.0.0/tcp/4002/ws --relay on',
        'up --bootstrap /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2…',
        "up --gas-relay --coin-price '3000 USDC'",
      ),
    )
    .action(
      async ({ listen, announce, relay, gasRelay, coinPrice }: UpFlags) =>
        await runDaemon(cli, {
          services: [],
          gasRelay: gasRelay === true,
          flags: { announce, 'reach.relay': relay, 'relay.coinPrice': coinPrice },
          ...(listen !== undefined && { listen }),
        }),
    )
}
