import { Command } from 'commander'
import type { Cli } from '../context.ts'
import type { QuoteFlags } from '../get/quotes.ts'
import { examples, whole } from '../options.ts'

export function quoteCommand(cli: Cli): Command {
  return new Command('quote')
    .description('what a purchase would cost now at each provider, reservation and gas included; never pays')
    .argument('<what>', 'as for get: name[/path], peer/name or multiaddr/name')
    .argument('[amount]', 'how much of it, such as "1 GiB" or "10 min"')
    .option('--provider <peer>', 'only this one: a peer id or a multiaddr')
    .option('--providers <n>', 'the best ones, up to so many', whole(1, 64), 5)
    .option('--max-price <price>', 'such as 0.02/MiB')
    .addHelpText(
      'after',
      examples("quote films '1 GiB'", "quote films '1 GiB' --providers 3 --max-price 0.02/MiB", "quote ticker '10 min' --json"),
    )
    .action(async (what: string, amount: string | undefined, flags: QuoteFlags) => {
      const { borrow } = await import('../borrow.ts')
      if (await borrow(cli)) return
      const { runQuote } = await import('../get/quotes.ts')
      await runQuote(cli, what, amount, flags)
    })
}
