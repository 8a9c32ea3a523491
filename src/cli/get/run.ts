/** `tallystick get`, from the words of the command line to the receipt. */

import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { PeerBook } from '../../api/peer-book.ts'
import { fromHex } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'
import { parsePrice } from '../../core/price-text.ts'
import { formatSize } from '../../core/size.ts'
import { formatAmount, parseAmount } from '../../core/token.ts'
import { configAmount } from '../../node/config-schema.ts'
import { type FileIndex, fetchIndex } from '../../services/files/index.ts'
import type { Cli } from '../context.ts'
import type { OpenedNode } from '../open-node.ts'
import { facts, plain, table } from '../output.ts'
import { keepReceipt } from '../receipts.ts'
import { advised, type Deal, ending } from './advice.ts'
import { chooseSeveral } from './choose.ts'
import { FileDelivery, PipedFileDelivery } from './deliver-file.ts'
import { HttpDelivery } from './deliver-http.ts'
import { StreamDelivery } from './deliver-stream.ts'
import type { Delivery, Outcome, PurchaseInit } from './delivery.ts'
import { ProgressNotes } from './progress-note.ts'
import { Purchase } from './purchase.ts'
import { quotePurchase } from './quote.ts'
import { reservation } from './reserve.ts'
import { type Shown, showProgress } from './screen.ts'
import { fileSink, type Sink, stdoutSink } from './sink.ts'
import { parseTarget, type Target } from './target.ts'

export interface GetFlags {
  readonly budget?: string
  readonly out?: string
  readonly overwrite?: boolean
  readonly provider?: string
  readonly providers?: number
  readonly reserve?: string
  readonly maxPrice?: string
  readonly limitAtRisk?: string
  readonly pay?: 'promise' | 'tick' | 'auto'
  readonly root?: string
  readonly for?: number
  readonly bytes?: bigint
  readonly relay?: string
  readonly maxFee?: string
}

/** One purchase that was understood. */
export interface Order extends Deal {
  readonly cli: Cli
  readonly target: Target
  readonly flags: GetFlags
}

/** files that are being bought by this process: a running node may be asked for several purchases at once */
const writing = new Set<string>()

const FIND_MS = 15_000
const PATIENCE_MS = 60_000

export async function runGet(cli: Cli, what: string, flags: GetFlags): Promise<void> {
  const target = withProvider(parseTarget(what), flags.provider)
  const { budget } = flags
  if (budget === undefined)
    throw new TallyError('USAGE', {
      message: 'a purchase needs a budget: the most that may be spent',
      hint: `tallystick get ${what} --budget '0.5 tUSDC'`,
    })
  if (flags.root !== undefined) parseRoot(flags.root)
  if (target.path !== '' && !target.path.endsWith('/') && flags.out !== '-')
    await refuseExisting(await fileName(cli, target, flags.out), flags.overwrite)
  await cli.withNode({}, async (opened) => {
    const order = await understand(cli, opened, target, { ...flags, budget })
    if (cli.options.dryRun === true) return await quotePurchase(cli, opened.node, order.found, target, order.init)
    const { kind } = order.found.offer
    if (kind === 'files') return await (target.path === '' || target.path.endsWith('/') ? getIndex(order) : getFile(order))
    if (kind === 'stream') return await getStream(order)
    if (kind === 'http') return await getHttp(order)
    throw new TallyError('UNSUPPORTED', {
      message: `"${target.service}" is of the kind "${plain(kind)}", which this version cannot buy`,
    })
  })
}

/** Finds the seller, and reads the amounts in its token. @throws as `choose`, AMOUNT_INVALID, PRICE_INVALID */
export async function understand(
  cli: Cli,
  opened: OpenedNode,
  target: Target,
  flags: GetFlags & { readonly budget: string },
): Promise<Order> {
  const { node, home, settings } = opened
  const { token } = node
  const budget = parseAmount(flags.budget, token)
  const { limitAtRisk, maxPrice } = settings.config.consumer
  const risk =
    flags.limitAtRisk === undefined
      ? configAmount('consumer.limitAtRisk', limitAtRisk, token)
      : parseAmount(flags.limitAtRisk, token)
  const most = flags.maxPrice ?? maxPrice
  const price = most === undefined ? undefined : parsePrice(most, token)
  const book = new PeerBook(join(home.paths.dir, 'peers.json'))
  const tell = (line: string): void => cli.out.note(line)
  const { signal } = cli.stop
  const how = { book, maxPrice: price, timeoutMs: Math.min(cli.options.timeout ?? FIND_MS, FIND_MS), signal }
  const [found, ...others] = await chooseSeveral(node, target, { ...how, tell })
  const lookAgain = async () => {
    tell('looking for another provider …')
    return await chooseSeveral(node, target, { ...how, tell: () => undefined })
  }
  const mostProviders = target.provider === undefined ? (flags.providers ?? 1) : 1
  const reserve = await reservation(cli, opened, { found, flags, budget })
  const init: PurchaseInit = {
    node, found, inputs: new TextEncoder().encode(found.offer.kind === 'http' ? '' : target.path), budget, limitAtRisk: risk, maxPrice: price, signal, tell,
    others, mostProviders, lookAgain, warn: (line) => cli.out.warn(line), ...(reserve !== undefined && { reserve }),
    patienceMs: cli.options.timeout ?? PATIENCE_MS, keep: (document) => keepReceipt(home.paths, document),
    ...(flags.bytes !== undefined && { expectBytes: flags.bytes }), ...(flags.pay !== undefined && { pay: flags.pay }),
  } // biome-ignore format: a record
  return { cli, opened, target, flags, found, init }
}

async function getFile(order: Order): Promise<void> {
  const { cli, target, flags } = order
  const piped = flags.out === '-'
  if (piped && cli.out.json) throw jsonNeedsFile()
  const to = await fileName(cli, target, flags.out)
  if (!piped && writing.has(to))
    throw new TallyError('USAGE', {
      message: `another purchase is writing "${to}"`,
      hint: 'wait for it, or choose another name with -o',
    })
  if (!piped) writing.add(to)
  try {
    await buyFile(order, piped, to)
  } finally {
    writing.delete(to)
  }
}

async function buyFile(order: Order, piped: boolean, to: string): Promise<void> {
  const { cli, opened, target, flags, init } = order
  const root = flags.root === undefined ? undefined : parseRoot(flags.root)
  const { signal } = init
  const delivery = piped
    ? new PipedFileDelivery({ path: target.path, root, signal, sink: stdoutSink(cli.terminal) })
    : new FileDelivery({
        path: target.path,
        to,
        overwrite: flags.overwrite === true,
        root,
        notes: new ProgressNotes(opened.home.paths.dir),
        signal,
      })
  const state = (): { bytes: bigint; size: bigint | undefined } => {
    const { bytes, size } = delivery.state
    return { bytes: BigInt(bytes), size: size === undefined ? undefined : BigInt(size) }
  }
  const outcome = await buy(order, delivery, { what: plain(`${target.service}/${target.path}`), state })
  const { bytes, size } = delivery.state
  tell(order, outcome, piped, {
    ...(piped ? {} : { file: outcome.failure === undefined ? to : `${to}.part` }),
    bytes: size === undefined ? formatSize(BigInt(bytes)) : `${bytes} of ${size}`,
    ...(delivery.sha256 !== undefined && { sha256: delivery.sha256.slice(2) }),
  })
}

/** As curl: to stdout unless it is told where; an answer of 400 or more is written too, and is a failure. */
async function getHttp(order: Order): Promise<void> {
  const { cli, target, flags, init } = order
  const { out } = flags
  const piped = out === undefined || out === '-'
  if (piped && cli.out.json) throw jsonNeedsFile()
  const path = resolve(cli.terminal.cwd, out ?? '')
  const sink = piped ? stdoutSink(cli.terminal) : await fileSink(path, flags.overwrite === true)
  try {
    const delivery = new HttpDelivery({ path: target.path, sink, signal: init.signal })
    const state = () => ({ bytes: delivery.bytes, size: undefined })
    const outcome = await buy(order, delivery, { what: plain(`${target.service}/${target.path}`), state })
    const { status, bytes } = delivery
    tell(order, outcome, piped, { ...(piped ? {} : { file: path }), status: `${status ?? 'none'}`, bytes: `${bytes}` })
    if (status !== undefined && status >= 400)
      throw new TallyError(status === 404 ? 'NOT_FOUND' : 'SERVICE_FAILED', { message: `the service answered with ${status}` })
  } finally {
    await sink.close()
  }
}

async function getStream(order: Order): Promise<void> {
  const { cli, target, flags, init } = order
  if (target.path !== '')
    throw new TallyError('USAGE', {
      message: `"${target.service}" is a stream: there is no "${plain(target.path)}" in it`,
      hint: `tallystick get ${target.service} --budget …`,
    })
  const piped = flags.out === undefined || flags.out === '-'
  if (piped && cli.out.json) throw jsonNeedsFile()
  const sink: Sink =
    flags.out === undefined || flags.out === '-'
      ? stdoutSink(cli.terminal)
      : await fileSink(resolve(cli.terminal.cwd, flags.out), flags.overwrite === true)
  try {
    const delivery = new StreamDelivery({ sink, maxBytes: flags.bytes, maxMs: flags.for, signal: init.signal })
    const outcome = await buy(order, delivery, {
      what: target.service,
      state: () => ({ bytes: delivery.bytes, size: flags.bytes }),
    })
    tell(order, outcome, piped, {
      ...(piped ? {} : { file: resolve(cli.terminal.cwd, flags.out ?? '') }),
      bytes: `${delivery.bytes}`,
    })
  } finally {
    await sink.close()
  }
}

async function getIndex(order: Order): Promise<void> {
  const { cli, init } = order
  let index: FileIndex = { files: [], more: false }
  const delivery: Delivery = {
    again: true,
    movable: true,
    used: async () => undefined,
    over: async () => undefined,
    run: async (session) => {
      index = await fetchIndex(session, { signal: init.signal })
    },
  }
  const outcome = await new Purchase(init, delivery).run().catch((thrown: unknown) => {
    throw advised(thrown, order)
  })
  if (outcome.failure !== undefined) throw outcome.failure
  cli.out.data({ files: index.files, more: index.more })
  const rows = index.files.map(({ path, size, root }) => [plain(path), `${size}`, root ?? ''])
  cli.out.text(...(rows.length === 0 ? ['nothing is sold here'] : table(['file', 'bytes', 'root'], rows, ['bytes'])))
  if (index.more) cli.out.note('there is more: ask for a folder, such as name/folder/')
}

/** @throws only when nothing was bought */
export async function buy(order: Order, delivery: Delivery, shown: Shown): Promise<Outcome> {
  const { cli, opened, init } = order
  const purchase = new Purchase(init, delivery)
  const hide = showProgress(cli.out, purchase, opened.node.token, shown)
  try {
    return await purchase.run()
  } catch (thrown) {
    throw advised(thrown, order)
  } finally {
    hide()
  }
}

/** What was got and paid; then, if it was not everything, why. `piped`: stdout is taken by what was bought. */
export function tell(
  order: Order,
  outcome: Outcome,
  piped: boolean,
  got: Readonly<Record<string, string>>,
  form: 'document' | 'lines' = 'document',
): void {
  const { cli, opened, found } = order
  const { token } = opened.node
  const { failure, paid, bytes, ms, sessions, receipts, providers, resumable } = outcome
  const sums = { paid: formatAmount(paid, token), provider: providers.at(-1) ?? found.peer.toString(), providers, receipts }
  cli.out.data(
    { complete: failure === undefined, ...got, metered_bytes: `${bytes}`, running_ms: `${ms}`, ...sums, sessions },
    form,
  )
  const lines = facts([
    ...Object.entries(got),
    ['paid', `${sums.paid} to ${providers.length > 1 ? providers.join(', ') : sums.provider}`],
    ...receipts.map((path) => ['receipt', path] as const),
    ...(receipts.length === 0 && !resumable ? [['receipt', 'none: the provider did not send one'] as const] : []),
  ])
  if (piped) for (const line of lines) cli.out.note(line)
  else cli.out.text(...lines)
  if (failure !== undefined) throw ending(order, outcome, failure)
}

/** @throws USAGE when the provider is named twice */
export function withProvider(target: Target, provider: string | undefined): Target {
  if (provider === undefined) return target
  if (target.provider !== undefined)
    throw new TallyError('USAGE', { message: 'the provider is named twice', hint: 'leave --provider out' })
  return { ...target, provider }
}

async function fileName({ terminal }: Cli, target: Target, out: string | undefined): Promise<string> {
  const own = basename(target.path)
  const path = resolve(terminal.cwd, out ?? own)
  const isFolder = out !== undefined && (await stat(path).then((stats) => stats.isDirectory(), () => false)) // biome-ignore format: one thought
  return isFolder ? resolve(path, own) : path
}

/** Before anything else is done, so that a mistake costs nothing. */
async function refuseExisting(path: string, overwrite: boolean | undefined): Promise<void> {
  const there = await stat(path).then(() => true, () => false) // biome-ignore format: one thought
  if (there && overwrite !== true)
    throw new TallyError('USAGE', {
      message: `"${path}" exists already`,
      hint: 'nothing was bought; choose another name with -o, or give --overwrite',
    })
}

function parseRoot(text: string): Uint8Array {
  try {
    return fromHex(text.startsWith('0x') ? text : `0x${text}`, 32)
  } catch (cause) {
    throw new TallyError('USAGE', {
      message: 'a root is 64 hex digits',
      hint: '`tallystick get name/` shows those of a provider',
      cause,
    })
  }
}

export const jsonNeedsFile = (): TallyError =>
  new TallyError('USAGE', { message: 'with --json what is bought must go to a file', hint: 'name it with -o' })
