/** What commands print: results on stdout, everything else on stderr. */
import { styleText } from 'node:util'
import { ownTerminal, type Terminal } from './terminal.ts'

export interface OutputInit {
  /** results as JSON */
  readonly json: boolean
  /** no progress, no notes */
  readonly quiet: boolean
  /** undefined: as the terminal and NO_COLOR say */
  readonly color: boolean | undefined
  /** @default this process's own */
  readonly terminal?: Terminal
}

type Style = Parameters<typeof styleText>[0]

const TTY_EVERY_MS = 100
const LOG_EVERY_MS = 2_000
const ERASE_LINE = '\r\u001b[2K'

export class Output {
  readonly json: boolean
  readonly quiet: boolean
  /** whether a person watches stderr: a terminal, and no build server */
  readonly live: boolean
  readonly #terminal: Terminal
  readonly #color: boolean
  #shownMs = Number.NEGATIVE_INFINITY
  #open = false

  constructor({ json, quiet, color, terminal = ownTerminal(process.env) }: OutputInit) {
    this.json = json
    this.quiet = quiet
    this.live = terminal.live
    this.#terminal = terminal
    this.#color = color ?? terminal.color
  }

  /** Lines of the result, for people. Nothing in JSON mode. */
  text(...lines: readonly string[]): void {
    if (this.json) return
    this.#clear()
    void this.#terminal.stdout(`${lines.join('\n')}\n`)
  }

  /** The result for programs; nothing unless JSON was asked for. `lines`: one object a line, for what goes on and on. */
  data(value: unknown, form: 'document' | 'lines' = 'document'): void {
    if (!this.json) return
    void this.#terminal.stdout(`${jsonText(value, form === 'document' ? 2 : undefined)}\n`)
  }

  /** One line about what is going on, for people. */
  note(line: string): void {
    if (this.quiet) return
    this.#clear()
    this.#terminal.stderr(`${line}\n`)
  }

  /** What a person should know although nothing failed. Also when quiet. */
  warn(line: string): void {
    this.#clear()
    this.#terminal.stderr(`${this.style('yellow', 'warning:')} ${line}\n`)
  }

  /** The state of something that takes its time: in place on a terminal, else a line every two seconds. */
  progress(line: () => string): void {
    if (this.quiet) return
    const now = performance.now()
    if (now - this.#shownMs < (this.live ? TTY_EVERY_MS : LOG_EVERY_MS)) return
    this.#shownMs = now
    if (!this.live) return this.#terminal.stderr(`${line()}\n`)
    this.#terminal.stderr(ERASE_LINE + line().slice(0, this.#terminal.columns - 1))
    this.#open = true
  }

  /** Takes the progress line away. */
  done(): void {
    this.#clear()
    this.#shownMs = Number.NEGATIVE_INFINITY
  }

  style(style: Style, text: string): string {
    return this.#color ? styleText(style, text, { validateStream: false }) : text
  }

  get tick(): string {
    return this.style('green', '✔')
  }

  #clear(): void {
    if (this.#open) this.#terminal.stderr(ERASE_LINE)
    this.#open = false
  }
}

/** JSON of plain data; a bigint becomes a decimal text. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? `${one}` : one), indent)
}

/** Rows under a header, columns as wide as their widest cell; columns named in `right` are aligned to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], right: readonly string[] = []): string[] {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => [...(row[column] ?? '')].length)))
  return all.map((row) =>
    header
      .map((name, column) => {
        const cell = row[column] ?? ''
        const fill = ' '.repeat((widths[column] ?? 0) - [...cell].length)
        return right.includes(name) ? fill + cell : cell + fill
      })
      .join('  ')
      .trimEnd(),
  )
}

/** Facts with their names in a column of their own. */
export function facts(rows: readonly (readonly [name: string, value: string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd())
}

/** A stranger's text on one line, without anything that moves the cursor or turns the reading direction. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd')
}

/** Bytes for reading, one digit after the point: '41.0 MiB'. Not exact; exact sizes are printed by formatSize. */
export function roughSize(bytes: bigint): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  let scale = 1n
  while (at < units.length - 1 && bytes >= scale * 1024n) {
    scale *= 1024n
    at++
  }
  if (at === 0) return `${bytes} B`
  const tenths = (bytes * 10n) / scale
  return `${tenths / 10n}.${tenths % 10n} ${units[at]}`
}

/** '16Uiu2HA…kRkVA': enough of a long id to tell it from others. */
export function short(id: string): string {
  return id.length <= 16 ? id : `${id.slice(0, 8)}…${id.slice(-5)}`
}

/** Seconds as a person says them: '3 d 4 h', '12 min'. */
export function roughTime(seconds: number): string {
  const left = Math.max(0, Math.floor(seconds))
  const [days, hours, minutes] = [Math.floor(left / 86_400), Math.floor(left / 3_600) % 24, Math.floor(left / 60) % 60]
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min` : `${left} s`
}
