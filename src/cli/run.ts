/** One command line, from its words to its exit code. */
import { CommanderError } from 'commander'
import type { Cli } from './context.ts'
import { failureText, reportOf } from './failure.ts'
import { buildProgram, type CommandGroup } from './program.ts'

/** what commander calls it when it has shown help or the version, as it was asked to */
const SHOWN = ['commander.helpDisplayed', 'commander.version']
/** a command without its second word: the help was shown, and nothing was done */
const HELP_INSTEAD = 'commander.help'
const USAGE = 2

export async function runProgram(cli: Cli, groups: readonly CommandGroup[]): Promise<number> {
  const { argv, env, terminal } = cli
  const ours = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : argv.length)
  const json = ours.includes('--json')
  const trace =
    env.TALLYSTICK_DEBUG !== undefined || ours.includes('--log-level=trace') || ours[ours.indexOf('--log-level') + 1] === 'trace'
  try {
    await buildProgram(cli, groups).parseAsync([...argv], { from: 'user' })
    return cli.exitCode
  } catch (thrown) {
    if (thrown instanceof CommanderError && SHOWN.includes(thrown.code)) return 0
    if (thrown instanceof CommanderError && thrown.code === HELP_INSTEAD) return argv.length === 0 ? 0 : USAGE
    cli.out.done()
    terminal.stderr(failureText(thrown, { json, trace }))
    return reportOf(thrown).exit_code
  } finally {
    cli.stop.release()
  }
}
