/** `tallystick proxy`, from the words of the command line to the receipts. */
import { join } from 'node:path'
import { PeerBook } from '../../api/peer-book.ts'
import type { Amount } from '../../core/amount.ts'
import { asTallyError, TallyError } from '../../core/errors.ts'
import type { Address } from '../../core/ids.ts'
import { parsePrice } from '../../core/price-text.ts'
import { formatSize } from '../../core/size.ts'
import { formatAmount, parseAmount } from '../../core/token.ts'
import type { Found } from '../../discovery/market.ts'
import { configAmount } from '../../node/config-schema.ts'
import type { ClosedSession, NodeSession } from '../../node/node-session.ts'
import type { PaidHttp } from '../../node/paid-http.ts'
import type { Cli } from '../context.ts'
import { advised } from '../get/advice.ts'
import { chooseSeveral } from '../get/choose.ts'
import type { OpenedNode } from '../open-node.ts'
import { facts, plain, short } from '../output.ts'
import { keepReceipt } from '../receipts.ts'
import { untilStopped } from '../stop.ts'
import { warnIfShared } from '../tunnel/listening.ts'
import { ProxyServer } from './server.ts'

export interface ProxyFlags {
  readonly budget?: string
  readonly maxPrice?: string
  readonly provider?: string
  readonly providers?: number
  readonly limitAtRisk?: string
  readonly pay?: 'promise' | 'tick' | 'auto'
}

const FIND_MS = 15_000
const ANSWER_MS = 300_000
const DRY_RUN = 10
/** of a service, how many may be bought from, one after the other */
const PROVIDERS = 3

export async function runProxy(cli: Cli, where: string, flags: ProxyFlags): Promise<void> {
  const { host, port } = parseWhere(where)
  const { budget } = flags
  if (budget === undefined)
    throw new TallyError('USAGE', {
      message: 'a proxy needs a budget: the most that may be spent through it',
      hint: `tallystick proxy ${where} --budget '0.5 tUSDC'`,
    })
  await cli.withNode({}, async (opened) => {
    const { token } = opened.node
    const most = parseAmount(budget, token)
    if (cli.options.dryRun === true) {
      cli.out.data({
        dry_run: true,
        listen: `${host}:${port}`,
        budget: formatAmount(most, token),
        max_price: flags.maxPrice ?? null,
      })
      cli.out.text(...facts([['listen', `${host}:${port}`], ['budget', `${formatAmount(most, token)}, over all services`]]), 'dry run: nothing was started') // biome-ignore format: one line
      cli.exitCode = DRY_RUN
      return
    }
    const sellers = new Map<string, Found>()
    const http = buyer(cli, opened, most, flags, sellers)
    const server = new ProxyServer({
      http,
      timeoutMs: cli.options.timeout ?? ANSWER_MS,
      advise: ({ service }, error) => {
        const found = sellers.get(service)
        return found === undefined ? error : asTallyError(advised(error, { opened, found, init: { budget: most } }))
      },
      broke: ({ service, path }, { code, message }) => cli.out.note(`${plain(service + path)}: ${message} (${code})`),
    })
    try {
      const { address, port: taken } = await server.listen(host, port)
      warnIfShared(cli.out, address)
      announce(cli, address.includes(':') ? `[${address}]:${taken}` : `${address}:${taken}`, formatAmount(most, token))
      await untilStopped(cli.stop.signal)
      cli.out.note('stopping: sessions are closed and paid …')
    } finally {
      await server.close()
      await http.close()
    }
    cli.out.note(`stopped: paid ${formatAmount(http.spent, token)} of ${formatAmount(most, token)}`)
  })
}

function buyer(cli: Cli, opened: OpenedNode, budget: Amount, flags: ProxyFlags, sellers: Map<string, Found>): PaidHttp {
  const { node, home, settings } = opened
  const { token } = node
  const { limitAtRisk, maxPrice } = settings.config.consumer
  const most = flags.maxPrice ?? maxPrice
  const book = new PeerBook(join(home.paths.dir, 'peers.json'))
  const price = most === undefined ? undefined : parsePrice(most, token)
  const known = new Map<string, readonly Found[]>()
  /** The best one that is not away; they are looked for once more where none is known. */
  const nextSeller = async (service: string, without: readonly Address[]): Promise<Found> => {
    const untried = (): Found | undefined => known.get(service)?.find((found) => !without.includes(found.provider))
    const mayGoOn = without.length < (flags.providers ?? PROVIDERS) && (without.length === 0 || flags.provider === undefined)
    const next = without.length === 0 ? undefined : untried()
    if (next === undefined && mayGoOn) known.set(service, await lookFor(service))
    const found = mayGoOn ? (next ?? untried()) : undefined
    if (found === undefined) throw new TallyError('OFFER_NOT_FOUND')
    return found
  }
  const lookFor = async (service: string): Promise<readonly Found[]> => {
    const target = { provider: flags.provider, service, path: '' }
    const tell = (line: string): void => cli.out.note(line)
    return await chooseSeveral(node, target, { book, maxPrice: price, timeoutMs: FIND_MS, signal: cli.stop.signal, tell })
  }
  return node.http({
    budget,
    limitAtRisk:
      flags.limitAtRisk === undefined
        ? configAmount('consumer.limitAtRisk', limitAtRisk, token)
        : parseAmount(flags.limitAtRisk, token),
    ...(price !== undefined && { maxPrice: price }),
    ...(flags.pay !== undefined && { pay: flags.pay }),
    find: async (service, without) => {
      const found = await nextSeller(service, without)
      if (without.length > 0) cli.out.note(`${plain(service)}: going on with ${found.peer.toString()}`)
      sellers.set(service, found)
      return found
    },
    onClosed: async (closed, session) => await tellClosed(cli, opened, closed, session),
  })
}

async function tellClosed(
  cli: Cli,
  { node, home }: OpenedNode,
  { code, figures, receipt }: ClosedSession,
  { id, offer }: NodeSession,
): Promise<void> {
  const path = receipt === undefined ? undefined : await keepReceipt(home.paths, receipt)
  const { down, calls } = figures.delivered
  const paid = formatAmount(figures.signed, node.token)
  cli.out.data(
    {
      event: 'closed',
      session: id,
      service: offer.service,
      code: code ?? null,
      paid,
      delivered_bytes: `${down}`,
      calls: `${calls}`,
      receipt: path ?? null,
    },
    'lines',
  )
  const why = code === undefined ? 'closed' : `ended with ${code}`
  cli.out.note(
    `session ${short(id)} with ${offer.service} ${why}: ${formatSize(down)} │ paid ${paid} │ receipt ${path ?? 'none'}`,
  )
}

function announce({ out }: Cli, address: string, budget: string): void {
  out.data({ event: 'ready', proxy: `http://${address}`, socks: `socks5h://${address}`, budget }, 'lines')
  out.text(
    `${out.tick} proxy  http://${address} and socks5h://${address}`,
    ...facts([['budget', `${budget}, over all services`]]),
    `  try:  curl -x http://${address} http://<service>.tally/`,
  )
}

/** ':8402', '8402', '127.0.0.1:8402' or '[::1]:8402'; without a host this computer alone can use it. @throws TallyError USAGE */
function parseWhere(text: string): { readonly host: string; readonly port: number } {
  const found = /^(?:(\[[\da-fA-F:]+\]|[\w.-]+)?:)?(\d{1,5})$/.exec(text)
  const port = Number.parseInt(found?.[2] ?? '', 10)
  if (found === null || port > 65_535)
    throw new TallyError('USAGE', {
      message: `${JSON.stringify(text.slice(0, 80))} is no port`,
      hint: 'write :8402 or 127.0.0.1:8402',
    })
  return { host: found[1]?.replace(/^\[|\]$/g, '') ?? '127.0.0.1', port }
}
