/** Options that every command takes, and how options are read. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../core/duration.ts'
import { asTallyError, TallyError } from '../core/errors.ts'
import type { Seconds } from '../core/ids.ts'
import { parseSize } from '../core/size.ts'
import { LOG_LEVELS, type LogLevel } from './log-levels.ts'

const DAY_S = 86_400

export interface GlobalOptions {
  readonly home?: string
  readonly network?: string
  readonly bootstrap?: string
  readonly passwordFile?: string
  readonly json?: boolean
  readonly quiet?: boolean
  readonly yes?: boolean
  readonly dryRun?: boolean
  /** ms */
  readonly timeout?: number
  readonly logLevel?: LogLevel
  readonly color?: boolean
}

export function addGlobalOptions(program: Command): Command {
  return program
    .option('--home <folder>', 'where the node keeps its key, settings and database (TALLYSTICK_HOME, ~/.tallystick)')
    .option('--network <name|file>', 'the chain, ledger, token and first peers to use; `dev` is what `tallystick dev` runs')
    .option('--bootstrap <multiaddrs>', 'the first peers to ask, joined by commas')
    .option('--password-file <file>', 'its first line opens the key (TALLYSTICK_PASSWORD, TALLYSTICK_PASSWORD_FILE)')
    .option('--json', 'results as JSON on stdout, a failure as JSON on stderr')
    .option('-q, --quiet', 'no progress')
    .option('-y, --yes', 'do not ask before money moves')
    .option('--dry-run', 'say what would happen to money, and do nothing (exit code 10)')
    .addOption(new Option('--timeout <duration>', 'give up after this long, such as 30s').argParser(duration))
    .addOption(new Option('--log-level <level>', 'what the node logs on stderr').choices(LOG_LEVELS))
    .option('--no-color', 'no colours (NO_COLOR)')
}

/** What every command that buys takes beside what it buys. */
export function buyingOptions(command: Command): Command {
  return command
    .option('--budget <amount>', 'the most to spend; always needed')
    .option('--provider <peer>', 'buy from this one: a peer id or a multiaddr')
    .option('--max-price <price>', 'such as 0.02/MiB')
    .option('--limit-at-risk <amount>', 'the most to be ahead of the delivery, and so to lose')
    .addOption(
      new Option('--pay <how>', 'with a signature for each chunk, with ticks of a hash chain, or as it costs least').choices([
        'promise',
        'tick',
        'auto',
      ]),
    )
}

export interface RelayFlags {
  readonly relay?: string
  readonly maxFee?: string
}

/** What every command takes that makes a transaction. */
export function relayOptions(command: Command): Command {
  return command
    .option('--relay <peers>', 'who hands it in for a fee in tokens: peers joined by commas, or auto; no gas is needed then')
    .option('--max-fee <amount>', 'the most that the relay may get')
}

/** The same for the node; undefined when nothing was said. */
export function relayWish({ relay, maxFee }: RelayFlags): { readonly peers?: string[]; readonly maxFee?: string } | undefined {
  if (relay === undefined && maxFee === undefined) return undefined
  const peers = relay?.split(',').map((part) => part.trim())
  return { ...(peers && { peers }), ...(maxFee !== undefined && { maxFee }) }
}

/** Milliseconds. */
export function duration(text: string): number {
  return read(() => parseDuration(text))
}

/** Bytes. */
export function size(text: string): bigint {
  return read(() => parseSize(text))
}

/** A whole number within these limits. */
export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number.parseInt(text, 10) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`it must be a whole number from ${least} to ${most}`)
  }
}

/** The beginning of a day in UTC, unix seconds. */
export function day(text: string): Seconds {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  // the 31st of a month that has none is not the 1st of the next
  if (!Number.isNaN(ms) && ms >= 0 && new Date(ms).toISOString().startsWith(text)) return (ms / 1000) as Seconds
  throw new InvalidArgumentError('it must be a day such as 2026-11-25')
}

/** A span of whole days, both of them in it. `until` of the result is not in it any more. */
export interface Days {
  readonly since?: Seconds
  readonly until?: Seconds
}

export function addDays(command: Command): Command {
  return command
    .option(
      '--since <day>',
      'the first day, such as 2026-11-01; days are those of UTC, a session counts on that of its opening',
      day,
    )
    .option('--until <day>', 'the last day', day)
}

/** @throws USAGE when it would end before it begins */
export function spanOf({ since, until }: Days): { readonly since: Seconds | undefined; readonly until: Seconds | undefined } {
  if (since !== undefined && until !== undefined && until < since)
    throw new TallyError('USAGE', { message: 'the last day is before the first', hint: 'give --since the earlier one' })
  return { since, until: until === undefined ? undefined : ((until + DAY_S) as Seconds) }
}

/** Examples under the help of a command. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ tallystick ${line}`).join('\n')}`
}

function read<T>(parse: () => T): T {
  try {
    return parse()
  } catch (thrown) {
    const { message, hint } = asTallyError(thrown)
    throw new InvalidArgumentError(hint === undefined ? message : `${message}\n(${hint})`)
  }
}
