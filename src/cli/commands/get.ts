import { Command, Option } from 'commander'
import type { Cli } from '../context.ts'
import type { GetFlags } from '../get/run.ts'
import { duration, examples, relayOptions, size, whole } from '../options.ts'

export function getCommand(cli: Cli): Command {
  return relayOptions(new Command('get'))
    .description('buys: a file, the index of a folder, a stream, or one answer of a web server, paid while it comes')
    .argument('<what>', 'name[/path], peer/name/path, multiaddr/name/path or tallystick://peer/name/path')
    .option('--budget <amount>', 'the most to spend; always needed')
    .option('-o, --out <file>', 'where to put it; - = stdout. A file goes under its own name otherwise, a stream to stdout')
    .option('--overwrite', 'replace a file that is there')
    .option('--provider <peer>', 'buy from this one: a peer id or a multiaddr')
    .option('--providers <n>', 'when one fails, go on with the next, up to so many; a file goes on at its byte', whole(1, 16))
    .option('--reserve <amount>', 'reserve so much, again before it is used up; with --yes alone: as much as the budget')
    .option('--max-price <price>', 'such as 0.02/MiB')
    .option('--limit-at-risk <amount>', 'the most to be ahead of the delivery, and so to lose')
    .addOption(
      new Option('--pay <how>', 'with a signature for each chunk, with ticks of a hash chain, or as it costs least').choices([
        'promise',
        'tick',
        'auto',
      ]),
    )
    .option('--root <hash>', 'the root hash that the file must have')
    .option('--for <duration>', 'a stream: so long, such as 30s', duration)
    .option('--bytes <size>', 'a stream: so much, such as "10 MiB"', size)
    .addHelpText(
      'after',
      examples(
        "get films/a.bin --budget '1 tUSDC'",
        "get /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2…/films/a.bin -o a.bin --budget '1 tUSDC' --max-price 0.02/MiB",
        "get films/a.bin --budget '1 tUSDC' --reserve '0.2 tUSDC' --yes",
        "get films/a.bin --budget '1 tUSDC' --providers 3 --yes",
        "get films/ --budget '0.01 tUSDC'",
        "get ticker --budget '0.1 tUSDC' --for 30s | head",
        "get quotes/v1/today -o today.json --budget '0.01 tUSDC'",
        "get films/a.bin --budget '1 tUSDC' --relay auto --yes",
        "get films/a.bin --budget '1 tUSDC' --dry-run",
      ),
    )
    .action(async (what: string, flags: GetFlags) => {
      const { borrow } = await import('../borrow.ts')
      if (await borrow(cli)) return
      const { runGet } = await import('../get/run.ts')
      await runGet(cli, what, flags)
    })
}
