import { Command, InvalidArgumentError, Option } from 'commander'
import { TallyError } from '../../core/errors.ts'
import { parseSize } from '../../core/size.ts'
import type { Mode } from './account.ts'

import { humanScreen, jsonScreen } from './screen.ts'

interface Flags {
  readonly killProvider?: boolean
  readonly killConsumer?: boolean
  readonly cheat?: 'consumer' | 'provider'
  readonly size: bigint
  readonly rate: bigint
  readonly gasless?: boolean
  readonly keep?: boolean
  readonly json?: boolean
}

const MAX_SIZE = 1n << 30n

function size(text: string): bigint {
  try {
    return parseSize(text)
  } catch {
    throw new InvalidArgumentError('write it as 64 MiB')
  }
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('one stranger sells a file to another on this computer, with play money')
    .addOption(
      new Option('--kill-provider', 'SIGKILL the provider in mid-stream; the session goes on at the same byte').conflicts([
        'killConsumer',
        'cheat',
      ]),
    )
    .addOption(
      new Option('--kill-consumer', 'SIGKILL the consumer in mid-stream; the session goes on at the same byte').conflicts([
        'killProvider',
        'cheat',
      ]),
    )
    .addOption(
      new Option('--cheat <who>', 'the consumer stops paying, or the provider sends garbage').choices(['consumer', 'provider']),
    )
    .addOption(
      new Option('--gasless', 'nobody has the gas coin but a relay, which hands in what the others sign').conflicts([
        'killProvider',
        'killConsumer',
        'cheat',
      ]),
    )
    .addOption(new Option('--size <bytes>', 'size of the file').argParser(size).default(64n << 20n, '64 MiB'))
    .addOption(
      new Option('--rate <bytes>', 'bytes a second, so that one can watch; 0 B = as fast as it goes')
        .argParser(size)
        .default(16n << 20n, '16 MiB'),
    )
    .option('--keep', 'keep the folders of both nodes')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  tallystick demo\n  tallystick demo --kill-provider\n  tallystick demo --cheat consumer --json\n  tallystick demo --gasless',
    )
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<Flags>()
      if (flags.size < 1n || flags.size > MAX_SIZE)
        throw new TallyError('USAGE', { message: 'the file of the demo has 1 B to 1 GiB' })
      const mode: Mode =
        flags.cheat !== undefined
          ? `cheat-${flags.cheat}`
          : flags.killProvider === true
            ? 'kill-provider'
            : flags.killConsumer === true
              ? 'kill-consumer'
              : flags.gasless === true
                ? 'gasless'
                : 'plain'
      const screen = flags.json === true ? jsonScreen() : humanScreen(performance.now())
      screen.lines(['tallystick demo · everything runs on this computer with play money', ''])
      // loaded only when it is wanted: every other command starts quicker
      const { runDemo } = await import('./run.ts')
      await runDemo(
        { mode, sizeBytes: Number(flags.size), bytesPerSecond: Number(flags.rate), keep: flags.keep === true },
        screen,
      )
      screen.lines([
        '',
        'next:  tallystick demo --kill-provider   ·   tallystick demo --cheat consumer   ·   tallystick serve files <folder> --price 0.01/MiB',
      ])
    })
}
