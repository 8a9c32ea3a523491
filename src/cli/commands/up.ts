import { Command, Option } from 'commander'
import type { Cli } from '../context.ts'
import { runDaemon } from '../daemon.ts'
import { examples } from '../options.ts'

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
    .addHelpText(
      'after',
      examples(
        'up',
        'up --listen /ip4/0.0.0.0/tcp/4001,/ip4/0.0.0.0/tcp/4002/ws --relay on',
        'up --bootstrap /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2…',
      ),
    )
    .action(
      async ({ listen, announce, relay }: { listen?: string; announce?: string; relay?: string }) =>
        await runDaemon(cli, {
          services: [],
          flags: { announce, 'reach.relay': relay },
          ...(listen !== undefined && { listen }),
        }),
    )
}
