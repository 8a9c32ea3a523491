import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { runDaemon } from '../daemon.ts'
import { examples } from '../options.ts'

export function upCommand(cli: Cli): Command {
  return new Command('up')
    .description('joins the network and stays: others find the network through this node, and commands talk to it')
    .option('--listen <multiaddrs>', 'where to listen, joined by commas')
    .addHelpText(
      'after',
      examples('up', 'up --listen /ip4/0.0.0.0/tcp/4001', 'up --bootstrap /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2…'),
    )
    .action(
      async ({ listen }: { listen?: string }) => await runDaemon(cli, { services: [], ...(listen !== undefined && { listen }) }),
    )
}
