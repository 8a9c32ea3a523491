/** The caller's side of a command that a running node carries out; the other side is lend.ts. */
import { isAnswered } from '../api/client.ts'
import { runInNode } from '../api/run-wire.ts'
import type { Cli } from './context.ts'

/** Has the node that is up on this home carry the command out; false when there is none, or this is that node. */
export async function borrow(cli: Cli): Promise<boolean> {
  if (cli.isLent) return false
  const { apiSocket } = await cli.paths()
  if (!(await isAnswered(apiSocket))) return false
  const { argv, stop, terminal } = cli
  const { limitAtRisk, maxPrice } = (await cli.settings()).config.consumer
  const { cwd, live, color, columns } = terminal
  const run = {
    argv: [...argv], cwd, terminal: { live, color, columns }, consumer: { limitAtRisk, ...(maxPrice !== undefined && { maxPrice }) },
  } // biome-ignore format: a record
  const stderr = async (bytes: Uint8Array): Promise<boolean> => {
    terminal.stderr(Buffer.from(bytes).toString('utf8'))
    return true
  }
  const stdin = { [Symbol.asyncIterator]: () => terminal.stdin()[Symbol.asyncIterator]() }
  const screen = { stdout: (bytes: Uint8Array) => terminal.stdout(bytes), stderr, stdin }
  cli.exitCode = await runInNode(apiSocket, run, screen, stop.signal)
  return true
}
