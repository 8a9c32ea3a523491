import { readdir } from 'node:fs/promises'
import { Command } from 'commander'
import { TallyError } from '../../core/errors.ts'
import { isServiceName } from '../../core/offer.ts'
import type { ServiceAdapter } from '../../ports/service.ts'
import type { Cli } from '../context.ts'
import { runDaemon } from '../daemon.ts'
import { examples, size } from '../options.ts'
import { plain } from '../output.ts'

interface ServeFlags {
  readonly name: string
  readonly price: string
  readonly chunk?: string
  readonly description?: string
  readonly minReservation?: string
  readonly listen?: string
}

export function serveCommand(cli: Cli): Command {
  return new Command('serve')
    .description('sells something, until it is stopped')
    .addCommand(filesCommand(cli))
    .addCommand(streamCommand(cli))
}

function common(command: Command): Command {
  return command
    .requiredOption('--name <name>', 'what buyers look for: 1 to 64 of a-z 0-9 . _ -')
    .requiredOption('--price <price>', 'such as 0.01/MiB, 0.001/s, 0.1/GiB+0.0001/s or free')
    .option('--chunk <quantity>', 'after how much a payment is due, such as "64 KiB" or "1 s"')
    .option('--description <text>', 'one line for people')
    .option('--min-reservation <amount>', 'the least that a buyer must have reserved')
    .option('--listen <multiaddrs>', 'where to listen, joined by commas')
}

function filesCommand(cli: Cli): Command {
  return common(new Command('files').description('sells the files of a folder').argument('<folder>'))
    .option('--file-chunk <size>', 'a file is checked in pieces of this size; part of its root hash', size)
    .addHelpText(
      'after',
      examples(
        'serve files ./films --name films --price 0.01/MiB',
        "serve files ./films --name films --price 0.01/MiB --chunk '1 MiB' --listen /ip4/0.0.0.0/tcp/4001",
      ),
    )
    .action(async (folder: string, flags: ServeFlags & { fileChunk?: bigint }) => {
      const { filesService } = await import('../../services/files/index.ts')
      const service = filesService({
        root: folder,
        ...(flags.fileChunk !== undefined && { chunkBytes: Number(flags.fileChunk) }),
      })
      const [sample] = (await readdir(folder, { withFileTypes: true })).filter(
        (entry) => entry.isFile() && !entry.name.startsWith('.'),
      )
      await serve(cli, service, flags, sample === undefined ? '' : `/${shellSafe(plain(sample.name))}`)
    })
}

function streamCommand(cli: Cli): Command {
  return common(
    new Command('stream')
      .description('sells what a program writes; each buyer gets a run of its own')
      .argument('<program...>', 'after --'),
  )
    .addHelpText(
      'after',
      examples(
        'serve stream --name ticker --price 0.001/s -- ./ticker.sh BTC',
        'serve stream --name radio --price 0.01/MiB -- ffmpeg -i in.mp3 -f mp3 -',
      ),
    )
    .action(async ([command = '', ...args]: string[], flags: ServeFlags) => {
      const { streamService } = await import('../../services/stream/index.ts')
      const onLog = ({ pid, line }: { pid: number; line: string }): void => cli.out.note(`${flags.name}[${pid}] ${plain(line)}`)
      await serve(cli, streamService({ command, args, onLog }), flags, ' --for 10s')
    })
}

async function serve(cli: Cli, service: ServiceAdapter, flags: ServeFlags, sample: string): Promise<void> {
  const { name, price, chunk, description, minReservation, listen } = flags
  if (!isServiceName(name))
    throw new TallyError('USAGE', {
      message: `"${name.slice(0, 80)}" cannot be the name of a service`,
      hint: 'a name has 1 to 64 of a-z 0-9 . _ -',
    })
  const offer = {
    name,
    service,
    price,
    ...(chunk !== undefined && { chunk }),
    ...(description !== undefined && { description }),
    ...(minReservation !== undefined && { minReservation }),
  }
  await runDaemon(cli, { services: [offer], sample, ...(listen !== undefined && { listen }) })
}

const shellSafe = (name: string): string => (/^[\w.,@%+=:-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`)
