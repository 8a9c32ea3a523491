import { Command, Option } from 'commander'
import type { Cli } from '../context.ts'
import { examples, whole } from '../options.ts'
import type { ProxyFlags } from '../proxy/run.ts'

export function proxyCommand(cli: Cli): Command {
  return new Command('proxy')
    .description('lets any program buy: an HTTP and SOCKS5 proxy for http://<service>.tally/, until it is stopped')
    .argument('[listen]', 'a port, such as :8402, for programs of this computer; or host:port', ':8402')
    .option('--budget <amount>', 'the most to spend, over all services; always needed')
    .option('--max-price <price>', 'such as 0.02/MiB or 0.001/call')
    .option('--provider <peer>', 'buy from this one: a peer id or a multiaddr')
    .option('--providers <n>', 'of each service: when one is away, go on with the next, up to so many (default 3)', whole(1, 16))
    .option('--limit-at-risk <amount>', 'the most to be ahead of the delivery, and so to lose, with each service')
    .addOption(
      new Option('--pay <how>', 'with a signature for each chunk, with ticks of a hash chain, or as it costs least').choices([
        'promise',
        'tick',
        'auto',
      ]),
    )
    .addHelpText(
      'after',
      `${examples(
        "proxy :8402 --budget '1 tUSDC'",
        "proxy :8402 --budget '1 tUSDC' --max-price 0.002/call --provider /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2…",
      )}
Then, in any program:
  $ curl -x http://127.0.0.1:8402 http://quotes.tally/v1/today
  $ curl -x socks5h://127.0.0.1:8402 http://quotes.tally/v1/today
What the proxy says itself has the header tallystick-error and is JSON: 402 = the budget, the price or the reservation; 502 = the provider; 504 = too late.
After a cut the next request goes on with the same session, or with the next provider. A GET that nobody has answered yet is asked again, and a file goes on
at its byte; a POST is never made twice.`,
    )
    .action(async (where: string, flags: ProxyFlags) => {
      const { borrow } = await import('../borrow.ts')
      if (await borrow(cli)) return
      const { runProxy } = await import('../proxy/run.ts')
      await runProxy(cli, where, flags)
    })
}
