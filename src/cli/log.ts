/** The log of a node on stderr: lines for people on a terminal, JSON elsewhere. */
import { pino } from 'pino'
import type { Log } from '../session/components.ts'
import type { LogLevel } from './log-levels.ts'
import type { Output } from './output.ts'

/** Secrets never reach a log; what is named here is replaced even if somebody logs it by mistake. */
const REDACT = ['password', 'privateKey', '*.password', '*.privateKey', 'authorization']

/** A log of at least that level. Never throws. */
export function openLog(level: LogLevel, out: Output): Log {
  const options = { level, base: null, redact: REDACT, serializers: { err: plainError } }
  if (out.live) return pino(options, { write: (line: string) => out.note(readable(line)) })
  return pino(options, pino.destination({ fd: 2, sync: true }))
}

/** an error without its stack: operators read codes and sentences */
function plainError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, code } = error as Error & { code?: unknown }
  return { name, code, message }
}

function readable(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const when = new Date(time as number).toTimeString().slice(0, 8)
  const mark = (level as number) >= 50 ? 'ERROR ' : (level as number) >= 40 ? 'warn ' : ''
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return [when, mark + String(msg ?? ''), ...rest].join('  ')
}
