/** `tallystick pipe`: stdin to a stranger's service, what it answers to stdout. */
import { resolve } from 'node:path'
import { TallyError } from '../../core/errors.ts'
import type { CallEnd } from '../../services/exec/index.ts'
import { signalName } from '../../services/exec/index.ts'
import type { Cli } from '../context.ts'
import { buy, jsonNeedsFile, type Order, tell } from '../get/run.ts'
import { fileSink, stdoutSink } from '../get/sink.ts'
import { plain } from '../output.ts'
import { CallDelivery, PipeDelivery } from './deliver-pipe.ts'
import { type TunnelFlags, tunnelOrder, tunnelTarget } from './order.ts'

export interface PipeFlags extends TunnelFlags {
  readonly out?: string
  readonly overwrite?: boolean
}

/** as `timeout` of coreutils says it */
const TIME_OVER = 124
/** as a shell says it */
const SIGNALLED = 128

export async function runPipe(cli: Cli, what: string, flags: PipeFlags): Promise<void> {
  const target = tunnelTarget(what, flags)
  const piped = flags.out === undefined || flags.out === '-'
  if (piped && cli.out.json && cli.options.dryRun !== true) throw jsonNeedsFile()
  await cli.withNode({}, async (opened) => {
    const order = await tunnelOrder(cli, opened, target, flags)
    if (order === undefined) return
    const { kind } = order.found.offer
    if (kind !== 'tcp' && kind !== 'stream' && kind !== 'exec')
      throw new TallyError('UNSUPPORTED', {
        message: `"${target.service}" is of the kind "${plain(kind)}", which cannot be piped`,
        ...(kind === 'files' && { hint: `tallystick get ${target.service}/ --budget …` }),
      })
    await pipe(order, kind, piped ? undefined : resolve(cli.terminal.cwd, flags.out ?? ''), flags.overwrite === true)
  })
}

async function pipe(order: Order, kind: 'tcp' | 'stream' | 'exec', file: string | undefined, overwrite: boolean): Promise<void> {
  const { cli, target, init } = order
  const sink = file === undefined ? stdoutSink(cli.terminal) : await fileSink(file, overwrite)
  const { signal } = init
  const stdin = kind === 'stream' ? undefined : cli.terminal.stdin()
  const delivery = kind === 'exec' ? new CallDelivery({ sink, stdin, signal }) : new PipeDelivery({ sink, stdin, signal })
  try {
    const outcome = await buy(order, delivery, {
      what: target.service,
      state: () => ({ bytes: delivery.bytes, size: undefined }),
    })
    if (delivery instanceof CallDelivery) tellLog(cli, delivery.log)
    const end = delivery instanceof CallDelivery ? delivery.end : undefined
    await tell(order, outcome, file === undefined, {
      ...(file !== undefined && { file }),
      bytes: `${delivery.bytes}`,
      ...(end !== undefined && { program: wordsOf(end) }),
    })
    if (end !== undefined) cli.exitCode = exitCodeOf(end)
  } finally {
    await sink.close()
  }
}

function tellLog({ terminal }: Cli, log: Uint8Array | undefined): void {
  if (log === undefined) return
  const lines = new TextDecoder().decode(log).trimEnd().split('\n')
  terminal.stderr(`${lines.map((line) => `remote: ${plain(line)}`).join('\n')}\n`)
}

function wordsOf(end: CallEnd): string {
  if (end.how === 'exit') return `exit code ${end.code}`
  return end.how === 'signal' ? `ended by ${signalName(end.signal)}` : 'ended at its time limit'
}

function exitCodeOf(end: CallEnd): number {
  if (end.how === 'exit') return end.code
  return end.how === 'signal' ? SIGNALLED + end.signal : TIME_OVER
}
