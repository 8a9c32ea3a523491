import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import type { SessionDetail, SessionLine, SessionQuery } from '../../api/session-record.ts'
import { TallyError } from '../../core/errors.ts'
import type { HomePaths } from '../../node/home.ts'
import type { Cli } from '../context.ts'
import { addDays, type Days, examples, spanOf, whole } from '../options.ts'
import { facts, plain, roughSize, table } from '../output.ts'
import { receiptsFolder } from '../receipts.ts'

interface ListFlags extends Days {
  readonly live?: boolean
  readonly cut?: boolean
  readonly all?: boolean
  readonly selling?: boolean
  readonly buying?: boolean
  readonly limit: number
}

const LOOK_MS = 300_000
const LISTED = 100
const MOST_LISTED = 10_000

export function sessionCommand(cli: Cli): Command {
  const command = new Command('session').description('sessions: what was traded with whom, and what it cost')
  for (const make of [listCommand, showCommand]) command.addCommand(make(cli))
  return command
}

function listCommand(cli: Cli): Command {
  const command = new Command('list')
    .description('sessions, newest first; without an option those that go on, and those that were cut and may be resumed')
    .option('--live', 'those that go on')
    .option('--cut', 'those that were cut')
    .option('--all', 'those that are over too')
    .option('--selling', 'those in which this node is paid')
    .option('--buying', 'those in which it pays')
    .option('--limit <n>', 'so many at most', whole(1, MOST_LISTED), LISTED)
  return addDays(command)
    .addHelpText('after', examples('session list', 'session list --all --buying --since 2026-11-01', 'session list --cut --json'))
    .action(async (flags: ListFlags) => {
      const query = queryOf(flags)
      const { borrow } = await import('../borrow.ts')
      if (await borrow(cli)) return
      const list = await cli.withNode({ peers: false }, ({ control }) => control.sessions(query, { signal: cli.signal(LOOK_MS) }))
      cli.out.data(list)
      if (list.sessions.length === 0)
        return cli.out.text(query.state === 'all' ? 'no such sessions' : 'no such sessions; --all shows those that are over')
      const header = ['session', 'opened', 'this node', 'service', 'with', 'state', 'bytes', 'billed', 'signed']
      cli.out.text(...table(header, list.sessions.map(row), ['bytes', 'billed', 'signed']))
      if (list.left_out > 0) cli.out.note(`${list.left_out} older ones are left out; --limit shows more`)
    })
}

function queryOf(flags: ListFlags): SessionQuery {
  const { live, cut, all, selling, buying, limit } = flags
  const states = (['live', 'cut', 'all'] as const).filter((_, at) => [live, cut, all][at] === true)
  if (states.length > 1)
    throw new TallyError('USAGE', { message: `--${states.join(' and --')} exclude each other`, hint: 'give one of them' })
  if (selling === true && buying === true)
    throw new TallyError('USAGE', { message: '--selling and --buying exclude each other', hint: 'give none of them for both' })
  const role = selling === true ? 'payee' : buying === true ? 'payer' : undefined
  return { state: states[0] ?? 'open', role, limit, ...spanOf(flags) }
}

function row(session: SessionLine): string[] {
  return [
    session.session, session.opened === undefined ? '' : timeText(session.opened), roleText(session), plain(session.service), session.with,
    session.state, roughSize(BigInt(session.delivered_bytes)), session.billed, session.signed,
  ] // biome-ignore format: a row
}

function showCommand(cli: Cli): Command {
  return new Command('show')
    .description('one session in full: the parties, the price, what was counted, what it cost, and its receipt')
    .argument('<session>', 'its id, or the beginning of it')
    .addHelpText('after', examples('session show 0x1f6b0a', 'session show 0x1f6b0a --json'))
    .action(async (start: string) => {
      if (!/^0x[0-9a-fA-F]{4,32}$/.test(start))
        throw new TallyError('USAGE', {
          message: 'a session is named by its id, or the first 6 or more characters of it',
          hint: 'tallystick session list --all shows them',
        })
      const { borrow } = await import('../borrow.ts')
      if (await borrow(cli)) return
      const [found, receipt_file] = await cli.withNode({ peers: false }, async ({ control, home }) => {
        const detail = await control.session(start.toLowerCase(), { signal: cli.signal(LOOK_MS) })
        return [detail, await receiptOf(home.paths, detail)] as const
      })
      cli.out.data({ ...found, receipt_file })
      cli.out.text(...facts(factsOf(found, receipt_file)))
    })
}

/** Receipts of what was bought are kept in the home; a provider has its own in the database. */
async function receiptOf(paths: Pick<HomePaths, 'dir'>, { session }: SessionDetail): Promise<string | undefined> {
  const path = join(receiptsFolder(paths), `${session}.json`)
  return await access(path).then(
    () => path,
    () => undefined,
  )
}

function factsOf(one: SessionDetail, receiptFile: string | undefined): (readonly [string, string])[] {
  const time = (at: number | undefined): string => (at === undefined ? '' : timeText(at))
  const rows: (readonly [string, string | undefined])[] = [
    ['session', one.session],
    ['this node', roleText(one)],
    ['service', plain(one.service)],
    ['provider', one.provider],
    ['consumer', one.consumer],
    ['channel', one.channel],
    ['state', one.reason === undefined ? one.state : `${one.state}, ${one.reason}`],
    ['opened', time(one.opened)],
    ['closed', time(one.closed)],
    ['price', `${one.price}, paid every ${one.chunk}`],
    ['delivered', `${one.delivered_bytes} bytes, ${one.running_ms} ms`],
    ['charged', `${one.up_bytes} bytes up, ${one.calls} calls, ${one.units} units`],
    ['due', one.arrears.startsWith('0 ') ? one.billed : `${one.billed}, of which ${one.arrears} from before`],
    ['signed', one.signed],
    ['paid', one.paid],
    ['settled', one.settled ?? 'not known: it is in the middle of what the channel promised'],
    ['budget', one.budget],
    ['receipt', one.receipt === undefined ? 'none yet' : `signed by ${one.receipt === 'both' ? 'both' : 'the provider alone'}`],
    ['receipt file', receiptFile],
  ]
  return rows.filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== '')
}

const roleText = ({ role }: SessionLine): string => (role === 'payee' ? 'is paid' : 'pays')
const timeText = (at: number): string => `${new Date(at * 1000).toISOString().slice(0, 19)}Z`
