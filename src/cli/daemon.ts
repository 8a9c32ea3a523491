/** A node that stays up: it listens, sells what it is told to sell, and answers other commands on its control socket. */

import { formatAddress } from '../core/ids.ts'
import { formatCount, formatPrice } from '../core/price-text.ts'
import { dueOf, writtenMeter } from '../core/session/payee.ts'
import { formatAmount, type TokenInfo } from '../core/token.ts'
import type { ServeOptions } from '../node/call-options.ts'
import type { FlatSettings } from '../node/config.ts'
import type { TallyNode } from '../node/node.ts'
import type { Cli } from './context.ts'
import type { OpenedNode } from './open-node.ts'
import { facts, roughSize, short } from './output.ts'
import { untilStopped } from './stop.ts'

export interface DaemonInit {
  /** multiaddrs joined by commas. @default those of the settings */
  readonly listen?: string
  /** further settings, by name */
  readonly flags?: FlatSettings
  /** what is sold; where its price needs the token, a function of it */
  readonly services: readonly (ServeOptions | ((token: TokenInfo) => ServeOptions))[]
  /** for the line that buyers can copy: what follows the name of the service */
  readonly sample?: string
  /** the command that buys it. @default 'get' */
  readonly verb?: string
  /** whether it hands in what others sign */
  readonly gasRelay?: boolean
}

/** how long sessions may take to be closed and paid when the node is stopped, ms */
const DRAIN_MS = 30_000

/** Resolves when it was stopped, in order: sessions closed and countersigned, settlements waited for. */
export async function runDaemon(cli: Cli, init: DaemonInit): Promise<void> {
  const listen = init.listen === undefined ? (true as const) : init.listen.split(',').map((part) => part.trim())
  const opened = await cli.openNode({ listen, logLevel: 'info', gasRelay: init.gasRelay === true }, init.flags)
  const { node, home, control } = opened
  const [{ startApi }, { lender }] = await Promise.all([import('../api/server.ts'), import('./lend.ts')])
  try {
    const api = await startApi(home.paths.apiSocket, control, { runner: lender(cli, opened) })
    try {
      for (const service of init.services) await node.serve(typeof service === 'function' ? service(node.token) : service)
      announce(cli, opened, init)
      watchSessions(cli, node)
      await untilStopped(cli.stop.signal)
      cli.out.note('stopping: sessions are closed and paid …')
    } finally {
      await api.close()
    }
  } finally {
    await node.stop({ signal: AbortSignal.timeout(DRAIN_MS) })
  }
  cli.out.note('stopped')
}

function announce(cli: Cli, { node, settings }: OpenedNode, { sample, verb = 'get' }: DaemonInit): void {
  const { out } = cli
  const { addresses, token } = node
  const offers = node.offers.map(({ offer }) => offer)
  const peer = node.peerId.toString()
  out.data(
    {
      event: 'ready',
      relay: node.relaying !== undefined,
      peer,
      account: formatAddress(node.address),
      addresses,
      services: offers.map(({ service, kind, price, chunk }) => ({
        service,
        kind,
        price: formatPrice(price, token),
        chunk: formatCount(chunk.kind, chunk.size, price.unitName),
        url: `tallystick://${peer}/${service}`,
      })),
    },
    'lines',
  )
  const reach =
    addresses.length === 0 ? [['reach', 'listens on nothing'] as const] : addresses.map((address) => ['reach', address] as const)
  const selling = offers.map(
    ({ service, price, chunk }) =>
      [
        'selling',
        `${service} at ${formatPrice(price, token)}, paid every ${formatCount(chunk.kind, chunk.size, price.unitName)}`,
      ] as const,
  )
  const [first] = offers
  const [address] = addresses
  const known = settings.config.bootstrap.length > 0
  const where = known || address === undefined ? '' : `${address}/`
  const budget = `--budget '1 ${token.symbol}'`
  const tries =
    first === undefined
      ? []
      : first.kind === 'http'
        ? [
            `  try:  tallystick proxy ${budget}${known || address === undefined ? '' : ` --provider ${address}`}`,
            `        curl -x http://127.0.0.1:8402 http://${first.service}.tally/`,
          ]
        : [`  try:  tallystick ${verb} ${where}${first.service}${sample ?? ''} ${budget}`]
  const join = first === undefined && address !== undefined ? [`  join:  tallystick up --bootstrap ${address}`] : []
  out.text(
    `${out.tick} live  tallystick://${peer}${first === undefined ? '' : `/${first.service}`}`,
    ...facts([
      ...selling,
      ...(node.relaying === undefined ? [] : ([['relay', 'hands in what others sign']] as const)),
      ...reach,
      ['account', formatAddress(node.address)],
    ]),
    ...tries,
    ...join,
  )
}

/** A line when a session begins and when it ends; the log tells the rest. */
function watchSessions(cli: Cli, node: TallyNode): void {
  const { token } = node
  const seen = new Set<string>()
  node.events.on('payee:session', ({ session }) => {
    if (session.status !== 'live' || seen.has(session.id)) return
    seen.add(session.id)
    cli.out.data(
      { event: 'session', session: session.id, service: session.terms.service, consumer: formatAddress(session.terms.owner) },
      'lines',
    )
    cli.out.note(`${clock()} session ${short(session.id)}: ${session.terms.service} for ${formatAddress(session.terms.owner)}`)
  })
  node.events.on('payee:ended', ({ session, code }) => {
    seen.delete(session.id)
    const { down, ms } = writtenMeter(session)
    const figures = { billed: formatAmount(dueOf(session), token), signed: formatAmount(session.paid, token) }
    cli.out.data(
      { event: 'ended', session: session.id, code: code ?? null, delivered_bytes: `${down}`, running_ms: `${ms}`, ...figures },
      'lines',
    )
    const why = code === undefined ? 'closed' : `ended with ${code}`
    cli.out.note(
      `${clock()} session ${short(session.id)} ${why}: delivered ${roughSize(down)} │ billed ${figures.billed} │ signed ${figures.signed}`,
    )
  })
}

const clock = (): string => new Date().toTimeString().slice(0, 8)
