/** How a failure is told: one sentence and the next step for people, one object for programs. */
import { CommanderError } from 'commander'
import { asTallyError, TallyError } from '../core/errors.ts'
import { jsonText } from './output.ts'

export interface FailureReport {
  readonly code: string
  readonly message: string
  readonly hint: string | undefined
  readonly retryable: boolean
  readonly exit_code: number
}

/** Something was delivered and paid, and not everything: the exit code says so, whatever the reason. */
export class PartlyDelivered extends Error {
  override readonly cause: TallyError

  constructor(cause: TallyError) {
    super(cause.message, { cause })
    this.cause = cause
  }
}

const PARTLY = 11

/** What is told about anything that was thrown. */
export function reportOf(thrown: unknown): FailureReport {
  if (thrown instanceof PartlyDelivered) return { ...reportOf(thrown.cause), exit_code: PARTLY }
  const error = thrown instanceof CommanderError ? usageError(thrown) : asTallyError(thrown)
  const { code, kind, fields } = error
  const refused = fields.refused_by === 'provider' ? `the provider refuses: ${error.message}` : error.message
  return {
    code,
    message: oneLine(code === 'INTERNAL' ? internalText(error) : refused),
    hint: hintOf(error),
    retryable: kind.retry,
    exit_code: kind.exit,
  }
}

/** The text for stderr, with its line break. */
export function failureText(thrown: unknown, form: { readonly json: boolean; readonly trace: boolean }): string {
  const report = reportOf(thrown)
  if (form.json) return `${jsonText({ error: report })}\n`
  const lines = [`tallystick: ${report.message}`, ...(report.hint === undefined ? [] : [`  hint: ${report.hint}`])]
  if (form.trace && thrown instanceof Error) lines.push(traceOf(thrown))
  return `${lines.join('\n')}\n`
}

/** A wrong command line in our own words; commander puts its suggestion on a second line. */
export function usageError(error: CommanderError): TallyError {
  const [first = '', suggestion] = error.message.replace(/^error: /, '').split('\n')
  const hint = suggestion?.replace(/^\((.*)\)$/, '$1') ?? 'tallystick --help shows what there is.'
  return new TallyError('USAGE', { message: first, hint, cause: error })
}

function internalText({ message, cause }: TallyError): string {
  const inner = cause instanceof Error && cause.message !== '' ? `: ${cause.message.slice(0, 300)}` : ''
  return message + inner
}

function hintOf(error: TallyError): string | undefined {
  if (error.hint !== undefined) return oneLine(error.hint)
  return error.code === 'INTERNAL' ? 'this is a fault of tallystick; --log-level trace shows where' : undefined
}

function traceOf(error: Error): string {
  const stack = error.stack ?? String(error)
  return error.cause instanceof Error ? `${stack}\ncaused by: ${traceOf(error.cause)}` : stack
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim()
