/** What the demo shows: sentences for people, or one JSON object a line. Both say the same. */
import type { Amount } from '../../core/amount.ts'
import { formatAmountPadded, type TokenInfo } from '../../core/token.ts'

export interface Screen {
  /** one step that is done, with its facts */
  step(event: string, text: string, facts?: Record<string, unknown>): void
  /** how the stream stands; shown in place on a terminal */
  live(text: string, facts: Record<string, unknown>): void
  /** plain lines at the end */
  lines(lines: readonly string[]): void
}

const LIVE_EVERY_MS = 2_000

const jsonText = (value: unknown): string => JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}` : one))

export function jsonScreen(): Screen {
  const print = (event: string, facts: Record<string, unknown>): void =>
    void process.stdout.write(`${jsonText({ event, ...facts })}\n`)
  return {
    step: (event, _, facts = {}) => print(event, facts),
    live: (_, facts) => print('progress', facts),
    lines: () => undefined,
  }
}

export function humanScreen(startedMs: number): Screen {
  const tty = process.stderr.isTTY === true
  let shown = 0
  let open = false
  const clear = (): void => {
    if (open) process.stderr.write('\r\u001b[2K')
    open = false
  }
  return {
    step(_, text) {
      clear()
      const took = `${((performance.now() - startedMs) / 1000).toFixed(1)} s`
      process.stdout.write(`${text.padEnd(96)} ${took.padStart(7)}\n`)
    },
    live(text) {
      const now = performance.now()
      if (!tty && now - shown < LIVE_EVERY_MS) return
      shown = now
      process.stderr.write(tty ? `\r\u001b[2K${text}` : `${text}\n`)
      open = tty
    },
    lines(lines) {
      clear()
      process.stdout.write(`${lines.join('\n')}\n`)
    },
  }
}

/** `41.00/64 MiB` and the four figures that matter. */
export function liveText(
  delivered: bigint,
  size: bigint,
  sums: { owed: Amount; signed: Amount; atRisk: Amount; exposure: Amount },
  token: TokenInfo,
): string {
  const width = 20
  const full = size === 0n ? width : Number((delivered * BigInt(width)) / size)
  const bar = `${'█'.repeat(full)}${'░'.repeat(width - full)}`
  const mib = (bytes: bigint): string => `${bytes / 1_048_576n}.${String(((bytes % 1_048_576n) * 10n) / 1_048_576n)}`
  const show = (value: Amount): string => formatAmountPadded(value, token)
  return `▶ ${bar} ${mib(delivered)}/${mib(size)} MiB │ owed ${show(sums.owed)} │ signed ${show(sums.signed)} │ at risk: consumer ${show(sums.atRisk)}, provider ${show(sums.exposure)}`
}
