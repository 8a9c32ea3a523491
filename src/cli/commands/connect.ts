import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { buyingOptions, examples } from '../options.ts'
import type { TunnelFlags } from '../tunnel/order.ts'

export function connectCommand(cli: Cli): Command {
  return buyingOptions(
    new Command('connect')
      .description('buys connections: a port of this computer leads to a service that somebody sells with `serve tcp`')
      .argument('<service>', 'name, peer/name, multiaddr/name or tallystick://peer/name')
      .argument(
        '<port>',
        'where to listen: :2222, 127.0.0.1:2222, or :0 for any port that is free; 127.0.0.1 unless told otherwise',
      ),
  )
    .addHelpText(
      'after',
      `
All connections are paid in one session, at most 32 at once; more wait. When the session breaks it is taken up again and new connections
go on; those that were open are reset. Ctrl-C closes the session and keeps its receipt. When the budget is used up, all ends (exit code 7).
${examples(
  "connect ssh :2222 --budget '1 tUSDC'      (then: ssh -p 2222 127.0.0.1)",
  "connect ssh :2222 --budget '1 tUSDC' --max-price 0.02/MiB",
  "connect /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2…/db 127.0.0.1:5432 --budget '5 tUSDC'",
  "connect ssh :2222 --budget '1 tUSDC' --dry-run",
)}`,
    )
    .action(async (service: string, port: string, flags: TunnelFlags) => {
      const { borrow } = await import('../borrow.ts')
      if (await borrow(cli)) return
      const { runConnect } = await import('../tunnel/connect.ts')
      await runConnect(cli, service, port, flags)
    })
}
