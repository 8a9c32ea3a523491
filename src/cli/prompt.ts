/** Questions to a person. Without a terminal nobody can answer, and nothing is asked. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { TallyError } from '../core/errors.ts'

export interface AskOptions {
  readonly signal: AbortSignal
}

/** Whether there is somebody to ask. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true
}

/** True for y or yes. @throws ABORTED */
export async function askYes(question: string, options: AskOptions): Promise<boolean> {
  return /^y(es)?$/i.test((await ask(`${question} [y/N] `, true, options)).trim())
}

/** What is typed is not shown. @throws ABORTED */
export async function askSecret(question: string, options: AskOptions): Promise<string> {
  process.stderr.write(question)
  const secret = await ask('', false, options)
  process.stderr.write('\n')
  return secret
}

async function ask(question: string, shown: boolean, { signal }: AskOptions): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: shown ? process.stderr : nowhere, terminal: true })
  const closed = new Promise<never>((_, reject) =>
    lines.once('close', () => reject(new TallyError('ABORTED', { message: 'no answer was given' }))),
  )
  // in a terminal that is read raw, Ctrl-C is a key, and the process gets no signal
  lines.once('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  try {
    return await Promise.race([lines.question(question, { signal }), closed])
  } catch (cause) {
    throw cause instanceof TallyError ? cause : new TallyError('ABORTED', { message: 'no answer was given', cause })
  } finally {
    closed.catch(() => undefined)
    lines.close()
  }
}
