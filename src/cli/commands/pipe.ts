import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { buyingOptions, examples } from '../options.ts'
import type { PipeFlags } from '../tunnel/pipe.ts'

export function pipeCommand(cli: Cli): Command {
  return buyingOptions(
    new Command('pipe')
      .description('buys a run of a program, a connection or a stream: stdin goes in, stdout is what comes back')
      .argument('<service>', 'name, peer/name, multiaddr/name or tallystick://peer/name'),
  )
    .option('-o, --out <file>', 'where the output goes. @default stdout')
    .option('--overwrite', 'replace a file that is there')
    .addHelpText(
      'after',
      `
The exit code is that of the remote program (\`serve exec\`): 124 at its time limit, 128 and more when a signal ended it. When something
else went wrong it is one of those of tallystick --help, and stderr says which.
${examples(
  "pipe wc --budget '0.01 tUSDC' < book.txt",
  "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | tallystick pipe web --budget '0.01 tUSDC'",
  "pipe radio --budget '0.1 tUSDC' | mpv -",
  "pipe wc --budget '0.01 tUSDC' --dry-run",
)}`,
    )
    .action(async (service: string, flags: PipeFlags) => {
      const { borrow } = await import('../borrow.ts')
      if (await borrow(cli)) return
      const { runPipe } = await import('../tunnel/pipe.ts')
      await runPipe(cli, service, flags)
    })
}
