import { access, constants, readdir } from 'node:fs/promises'
import { delimiter, resolve } from 'node:path'
import { Command } from 'commander'
import { TallyError } from '../../core/errors.ts'
import type { ServiceAdapter } from '../../ports/service.ts'
import type { Cli } from '../context.ts'
import { runDaemon } from '../daemon.ts'
import { duration, examples, size, whole } from '../options.ts'
import { plain } from '../output.ts'
import { checkName, common, offered, type ServeFlags } from './serve-flags.ts'
import { serveHttpCommand } from './serve-http.ts'

interface TcpFlags {
  readonly connectTimeout?: number
  readonly idleTimeout?: number
  readonly maxConnections?: number
}

interface ExecFlags {
  readonly timeLimit?: number
  readonly memoryLimit?: bigint
  readonly maxPrograms?: number
  readonly stderr?: boolean
}

export function serveCommand(cli: Cli): Command {
  return new Command('serve')
    .description('sells something, until it is stopped')
    .addCommand(filesCommand(cli))
    .addCommand(streamCommand(cli))
    .addCommand(tcpCommand(cli))
    .addCommand(execCommand(cli))
    .addCommand(serveHttpCommand(cli))
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
      .description('sells what a program writes; each buyer gets a run of its own, or all share one')
      .argument('<program...>', 'after --'),
  )
    .option('--shared', 'one run for all buyers, each from the moment at which it comes; one that falls behind is cut')
    .option('--buffer <size>', 'how far a buyer of a shared run may fall behind (4 MiB)', size)
    .addHelpText(
      'after',
      examples(
        'serve stream --name ticker --price 0.001/s -- ./ticker.sh BTC',
        'serve stream --name radio --price 0.01/MiB -- ffmpeg -i in.mp3 -f mp3 -',
        'serve stream --name tv --price 0.01/MiB --shared -- ffmpeg -re -i in.mp4 -c copy -f mpegts -',
      ),
    )
    .action(async ([command = '', ...args]: string[], flags: ServeFlags & { shared?: boolean; buffer?: bigint }) => {
      const { streamService } = await import('../../services/stream/index.ts')
      if (flags.buffer !== undefined && flags.shared !== true)
        throw new TallyError('USAGE', { message: '--buffer is for a shared run', hint: 'add --shared' })
      const shared = flags.buffer === undefined ? flags.shared === true : { bufferBytes: Number(flags.buffer) }
      await serve(cli, streamService({ command, args, shared, onLog: logOf(cli, flags) }), flags, ' --for 10s')
    })
}

function tcpCommand(cli: Cli): Command {
  return common(new Command('tcp').description('sells connections to one TCP port, and to nothing else').argument('<host:port>'))
    .option('--connect-timeout <duration>', 'how long the target may take to accept (5s)', duration)
    .option('--idle-timeout <duration>', 'a connection on which nothing moves for so long is reset (1h)', duration)
    .option('--max-connections <number>', 'at the same time, over all buyers (256)', whole(1, 10_000))
    .addHelpText(
      'after',
      examples(
        'serve tcp 127.0.0.1:22 --name ssh --price 0.01/MiB',
        'serve tcp :5432 --name db --price 0.01/MiB+0.01/up:MiB+0.0001/call',
      ),
    )
    .action(async (target: string, flags: ServeFlags & TcpFlags) => {
      const { parseEndpoint, tcpService } = await import('../../services/tcp/index.ts')
      const { connectTimeout, idleTimeout, maxConnections } = flags
      const service = tcpService({
        target: parseEndpoint(target),
        ...(connectTimeout !== undefined && { connectTimeoutMs: connectTimeout }),
        ...(idleTimeout !== undefined && { idleTimeoutMs: idleTimeout }),
        ...(maxConnections !== undefined && { maxConnections }),
      })
      await serve(cli, service, flags, ' :0', 'connect')
    })
}

function execCommand(cli: Cli): Command {
  return common(
    new Command('exec')
      .description('sells runs of a program: what a buyer sends is its standard input, and nothing else')
      .argument('<program...>', 'after --'),
  )
    .option('--time-limit <duration>', 'how long a run may take, waiting for payments included (1min)', duration)
    .option('--memory-limit <size>', 'the most memory that each process of a run may have', size)
    .option('--max-programs <number>', 'runs at the same time, over all buyers (16)', whole(1, 1_000))
    .option('--stderr', 'tell buyers the last 4 KiB of its standard error')
    .addHelpText(
      'after',
      examples(
        'serve exec --name wc --price 0.001/call -- wc -c',
        "serve exec --name render --price 0.001/call+0.0001/s --time-limit 10s --memory-limit '512 MiB' -- ./render.sh",
      ),
    )
    .action(async ([command = '', ...args]: string[], flags: ServeFlags & ExecFlags) => {
      const { execService } = await import('../../services/exec/index.ts')
      const { timeLimit, memoryLimit, maxPrograms } = flags
      const service = execService({
        command: await programPath(command, cli),
        args,
        tellsLog: flags.stderr === true,
        onLog: logOf(cli, flags),
        ...(timeLimit !== undefined && { maxMs: timeLimit }),
        ...(memoryLimit !== undefined && { maxMemoryBytes: Number(memoryLimit) }),
        ...(maxPrograms !== undefined && { maxPrograms }),
      })
      await serve(cli, service, flags, '', 'pipe')
    })
}

/** Where the program is, so that a typing error is found before somebody pays for it. @throws USAGE */
async function programPath(command: string, { env, terminal }: Cli): Promise<string> {
  const folders = command.includes('/') ? [''] : (env.PATH ?? '').split(delimiter)
  for (const folder of folders) {
    const path = resolve(terminal.cwd, folder, command)
    if (await access(path, constants.X_OK).then(() => true, () => false)) return path // biome-ignore format: one thought
  }
  throw new TallyError('USAGE', {
    message: `there is no program "${command.slice(0, 80)}" that can be run`,
    hint: 'write it after --',
  })
}

const logOf =
  (cli: Cli, { name }: ServeFlags) =>
  ({ pid, line }: { pid: number; line: string }): void =>
    cli.out.note(`${name}[${pid}] ${plain(line)}`)

async function serve(cli: Cli, service: ServiceAdapter, flags: ServeFlags, sample: string, verb = 'get'): Promise<void> {
  checkName(flags.name)
  const { price, listen } = flags
  const offer = { ...offered(flags), price, service }
  await runDaemon(cli, { services: [offer], sample, verb, ...(listen !== undefined && { listen }) })
}

const shellSafe = (name: string): string => (/^[\w.,@%+=:-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`)
