/**
 * A node that is up carries out the commands of other processes that need one: its database is locked, its connections are there. The
 * command is the same code on either side; only where it prints is another process's terminal.
 */
import type { Runner } from '../api/run-server.ts'
import { connectCommand } from './commands/connect.ts'
import { getCommand } from './commands/get.ts'
import { pipeCommand } from './commands/pipe.ts'
import { proxyCommand } from './commands/proxy.ts'
import { quoteCommand } from './commands/quote.ts'
import { reportCommand } from './commands/report.ts'
import { sessionCommand } from './commands/session.ts'
import { Cli } from './context.ts'
import type { OpenedNode } from './open-node.ts'
import { runProgram } from './run.ts'

/** Carries out commands with this node. */
export function lender({ env }: Cli, opened: OpenedNode): Runner {
  return async ({ argv, cwd, terminal, consumer }, screen, signal) => {
    const theirs = new Cli(argv, env, {
      opened: { ...opened, settings: withLimits(opened.settings, consumer) },
      terminal: {
        ...terminal,
        cwd,
        stdin: () => screen.stdin ?? nothing(),
        stdout: async (bytes) => await screen.stdout(Buffer.from(bytes)),
        stderr: (text) => void screen.stderr(Buffer.from(text)),
      },
      stop: { signal, release: () => undefined },
    })
    const commands = [getCommand, quoteCommand, connectCommand, pipeCommand, proxyCommand, sessionCommand, reportCommand]
    return await runProgram(theirs, [{ heading: 'Buy', commands }])
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

type Settings = OpenedNode['settings']
type Limits = Pick<Settings['config']['consumer'], 'limitAtRisk' | 'maxPrice'>

/** What the caller is willing to lose and to pay is its own affair. */
function withLimits(settings: Settings, { limitAtRisk, maxPrice }: Limits): Settings {
  const { maxPrice: _, ...consumer } = settings.config.consumer
  const limits = { ...consumer, limitAtRisk, ...(maxPrice !== undefined && { maxPrice }) }
  return { ...settings, config: { ...settings.config, consumer: limits } }
}
