import { readdir } from 'node:fs/promises'
import { Command } from 'commander'
import { TallyError } from '../../core/errors.ts'
import { isServiceName } from '../../core/offer.ts'
import type { TokenInfo } from '../../core/token.ts'
import type { ServeOptions } from '../../node/node.ts'
import type { ServiceAdapter } from '../../ports/service.ts'
import type { Cli } from '../context.ts'
import { runDaemon } from '../daemon.ts'
import { duration, examples, size } from '../options.ts'
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
    .addCommand(httpCommand(cli))
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

interface HttpFlags extends ServeFlags {
  readonly route: readonly string[]
  readonly chargeFailures?: boolean
  readonly answerWithin?: number
}

function httpCommand(cli: Cli): Command {
  return common(
    new Command('http')
      .description('sells a web server: every request by the call, the byte, the second, or by what its answer says')
      .argument('<url>', 'where it is, such as http://127.0.0.1:3000, or the port alone'),
  )
    .option('--route <route>', 'the price of one route, may be repeated; the first one that fits counts', collect, [])
    .option('--charge-failures', 'charge calls that were answered with 400 or more as well')
    .option('--answer-within <duration>', 'how long the server may take to answer, or be silent in the middle', duration)
    .addHelpText(
      'after',
      `${examples(
        'serve http 3000 --name quotes --price 0.01/MiB',
        "serve http http://127.0.0.1:3000 --name api --price 0.001/call --route 'POST /v1/*=0.002/call' --route 'GET /health=free'",
        "serve http http://127.0.0.1:8000 --name llm --price free --route 'POST /v1/chat=0.00002/unit:token usage:$.usage.total_tokens most:8000'",
      )}
Buyers use it with \`tallystick proxy\`, or with fetch in the library.`,
    )
    .action(async (url: string, flags: HttpFlags) => {
      const [{ httpService }, { routePrices }] = await Promise.all([
        import('../../services/http/index.ts'),
        import('../../node/route-prices.ts'),
      ])
      const { answerWithin: timeoutMs, price: base, route, chargeFailures = false } = flags
      const offer = (token: TokenInfo): ServeOptions => {
        const { price, tariff, chunk } = routePrices(base, route, chargeFailures, token)
        return {
          ...(chunk !== undefined && { chunk }),
          ...offered(flags),
          price,
          service: httpService({ target, tariff, ...(timeoutMs !== undefined && { timeoutMs }) }),
        }
      }
      const target = /^\d{1,5}$/.test(url) ? `http://127.0.0.1:${url}` : url
      checkName(flags.name)
      const { listen } = flags
      await runDaemon(cli, { services: [offer], ...(listen !== undefined && { listen }) })
    })
}

const collect = (text: string, all: readonly string[]): string[] => [...all, text]

async function serve(cli: Cli, service: ServiceAdapter, flags: ServeFlags, sample: string): Promise<void> {
  checkName(flags.name)
  const { price, listen } = flags
  const offer = { ...offered(flags), price, service }
  await runDaemon(cli, { services: [offer], sample, ...(listen !== undefined && { listen }) })
}

function offered({ name, chunk, description, minReservation }: ServeFlags): Omit<ServeOptions, 'service' | 'price'> {
  return {
    name,
    ...(chunk !== undefined && { chunk }),
    ...(description !== undefined && { description }),
    ...(minReservation !== undefined && { minReservation }),
  }
}

/** @throws TallyError USAGE */
function checkName(name: string): void {
  if (isServiceName(name)) return
  throw new TallyError('USAGE', {
    message: `"${name.slice(0, 80)}" cannot be the name of a service`,
    hint: 'a name has 1 to 64 of a-z 0-9 . _ -',
  })
}

const shellSafe = (name: string): string => (/^[\w.,@%+=:-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`)
