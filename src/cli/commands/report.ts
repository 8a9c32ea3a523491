import { Command, InvalidArgumentError, Option } from 'commander'
import type { ReportLineView, ReportSide, ReportView, TotalView } from '../../api/report-view.ts'
import { csvLine } from '../../core/csv.ts'
import { TallyError } from '../../core/errors.ts'
import { REPORT_KEYS, type ReportKey } from '../../core/report.ts'
import type { Cli } from '../context.ts'
import { addDays, type Days, examples, spanOf } from '../options.ts'
import { facts, plain, roughSize, table } from '../output.ts'

interface ReportFlags extends Days {
  readonly by: readonly ReportKey[]
  readonly csv?: boolean
}

const LOOK_MS = 300_000
const MONEY = ['delivered', 'billed', 'signed', 'settled', 'beyond'] as const
const COUNTS = ['delivered_bytes', 'up_bytes', 'running_ms', 'calls', 'units'] as const

export function reportCommand(cli: Cli): Command {
  const command = new Command('report').description('what was earned or spent: delivered >= billed >= signed >= settled')
  command.addCommand(sideCommand(cli, 'earnings', 'what this node was paid as a provider'))
  command.addCommand(sideCommand(cli, 'spend', 'what this node paid as a consumer'))
  return command
}

function sideCommand(cli: Cli, side: ReportSide, description: string): Command {
  const command = new Command(side)
    .description(description)
    .addOption(
      new Option('--by <keys>', 'lines for each day, offer or peer: one of them or more, joined by commas')
        .argParser(keys)
        .default(['day'], 'day'),
    )
    .option('--csv', 'the lines as CSV, amounts as numbers in whole tokens')
  return addDays(command)
    .addHelpText(
      'after',
      examples(`report ${side}`, `report ${side} --by day,offer,peer --since 2026-11-01 --until 2026-11-30`, `report ${side} --by peer --csv > ${side}.csv`, `report ${side} --json | jq .totals`),
    )
    .action(async (flags: ReportFlags) => {
      const { csv } = flags
      if (csv === true && cli.options.json === true) throw new TallyError('USAGE', { message: '--csv and --json are two forms', hint: 'give one of them' })
      const request = { side, by: REPORT_KEYS.filter((key) => flags.by.includes(key)), ...spanOf(flags) }
      const { borrow } = await import('../borrow.ts')
      if (await borrow(cli)) return
      const report = await cli.withNode({ peers: false }, ({ control }) => control.report(request, { signal: cli.signal(LOOK_MS) }))
      cli.out.data(report)
      cli.out.text(...(csv === true ? csvLines(report) : screen(report)))
      if (csv === true) cli.out.note(`transactions cost ${report.fees.fee}, apart`)
    }) // biome-ignore format: a chain
}

function keys(text: string): ReportKey[] {
  const asked = text.split(',').map((one) => one.trim())
  const known = REPORT_KEYS.filter((key) => asked.includes(key))
  if (known.length === asked.length) return known
  throw new InvalidArgumentError(`it must be of ${REPORT_KEYS.join(', ')}, each once, joined by commas`)
}

/** Amounts are numbers, so that they can be summed; the token stands beside them. */
function csvLines({ by, lines }: ReportView): string[] {
  const header = [...by, 'token', 'sessions', ...COUNTS, ...MONEY]
  const row = (line: ReportLineView): string => {
    const numbers = MONEY.map((figure) => line[figure].slice(0, -line.token.length - 1))
    return csvLine([...by.map((key) => line[key] ?? ''), line.token, line.sessions, ...COUNTS.map((count) => line[count]), ...numbers])
  }
  return [csvLine(header), ...lines.map(row)]
} // biome-ignore format: a record

function screen(report: ReportView): string[] {
  const { by, lines, totals, fees } = report
  if (totals.length === 0) return ['no sessions in these days', ...feeLines(report)]
  const header = [...by, 'sessions', 'bytes', ...MONEY]
  const row = (line: ReportLineView | TotalView, names: readonly string[]): string[] => [
    ...names,
    `${line.sessions}`,
    roughSize(BigInt(line.delivered_bytes)),
    ...MONEY.map((figure) => line[figure]),
  ]
  const named = (line: ReportLineView): string[] => by.map((key) => plain(line[key] ?? ''))
  const rows = [
    ...(by.length === 0 ? [] : lines.map((line) => row(line, named(line)))),
    ...totals.map((total) => row(total, by.map((_, at) => (at === 0 ? 'total' : '')))),
  ]
  const withdrawn = totals.flatMap((total) => (total.withdrawn === undefined ? [] : [['withdrawn', total.withdrawn] as const]))
  return [...table(header, rows, ['sessions', 'bytes', ...MONEY]), '', ...facts(withdrawn), ...feeLines({ ...report, fees })]
} // biome-ignore format: a record

function feeLines({ fees, relaying, channels }: ReportView): string[] {
  const kinds = fees.by_kind.map(({ kind, transactions, fee }) => `${transactions} ${kind} ${fee}`).join(', ')
  const apart = channels
    .filter(({ unexplained }) => !/^0 /.test(unexplained))
    .map(({ unexplained }) => ['unexplained', `${unexplained}: what the promises of all channels are more than all sessions on record paid`] as const)
  const relays = fees.relays === undefined ? [] : [['relays', `${fees.relays.fee} for ${fees.relays.transactions} transactions`] as const]
  const earned = relaying === undefined ? [] : [['relaying', `${relaying.fees} for ${relaying.handed_in} transactions of others, gas ${relaying.gas}; ${relaying.failed} failed`] as const]
  return facts([['fees', fees.transactions === 0 ? `${fees.fee}, no transactions` : `${fees.fee}: ${kinds}`], ...relays, ...earned, ...apart])
} // biome-ignore format: a record
