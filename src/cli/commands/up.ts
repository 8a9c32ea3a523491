import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { runDaemon } from '../daemon.ts'
import { examples } from '../options.ts'

export function upCommand(cli: Cli): Command {
  return new Command('up')
    .description('joins the network and stays: others find the network through this node, and commands talk to it')
    .option('--listen <multiaddrs>', 'where to listen, joined by commas')
    .option('--relay', 'hand in what others sign, for a fee in tokens: this node pays the gas')
    .option('--coin-price <amount>', "what one of the chain's coin is worth in tokens (relay.coinPrice)")
    .addHelpText(
      'after',
      examples(
        'up',
        'up --listen /ip4/0.0.0.0/tcp/4001',
        'up --bootstrap /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2…',
        "up --relay --coin-price '3000 USDC'",
      ),
    )
    .action(
      async ({ listen, relay, coinPrice }: { listen?: string; relay?: boolean; coinPrice?: string }) =>
        await runDaemon(cli, {
          services: [],
          relay: relay === true,
          flags: { 'relay.coinPrice': coinPrice },
          ...(listen !== undefined && { listen }),
        }),
    )
}
