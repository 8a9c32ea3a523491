import { Command } from 'commander'
import type { TokenInfo } from '../../core/token.ts'
import type { ServeOptions } from '../../node/node.ts'
import type { Cli } from '../context.ts'
import { runDaemon } from '../daemon.ts'
import { duration, examples } from '../options.ts'
import { checkName, common, offered, type ServeFlags } from './serve-flags.ts'

interface HttpFlags extends ServeFlags {
  readonly route: readonly string[]
  readonly chargeFailures?: boolean
  readonly answerWithin?: number
}

export function serveHttpCommand(cli: Cli): Command {
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
