/** Entry of the executable. */
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import { Cli } from './context.ts'
import { failureText, reportOf } from './failure.ts'
import { buildProgram } from './program.ts'

/** what commander calls it when it has shown help or the version, as it was asked to */
const SHOWN = ['commander.helpDisplayed', 'commander.version']
/** a command without its second word: the help was shown, and nothing was done */
const HELP_INSTEAD = 'commander.help'
const USAGE = 2

async function run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const ours = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : argv.length)
  const json = ours.includes('--json')
  const trace =
    env.TALLYSTICK_DEBUG !== undefined || ours.includes('--log-level=trace') || ours[ours.indexOf('--log-level') + 1] === 'trace'
  const cli = new Cli(env)
  try {
    await buildProgram(cli, (text) => void process.stderr.write(text)).parseAsync([...argv], { from: 'user' })
    return cli.exitCode
  } catch (thrown) {
    if (thrown instanceof CommanderError && SHOWN.includes(thrown.code)) return 0
    if (thrown instanceof CommanderError && thrown.code === HELP_INSTEAD) return argv.length === 0 ? 0 : USAGE
    cli.out.done()
    process.stderr.write(failureText(thrown, { json, trace }))
    return reportOf(thrown).exit_code
  } finally {
    cli.stop.release()
  }
}

/** Whoever reads us may go away at any time (`| head`): that is no failure. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error
}

/**
 * Compiled code is kept between commands: it halves the time until a node is there. In the user's own folder, because what others can
 * write in the temporary folder must not become the code that holds the key.
 */
function keepCompiledCode(env: NodeJS.ProcessEnv): void {
  if (env.NODE_COMPILE_CACHE === undefined)
    enableCompileCache(join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tallystick'))
}

keepCompiledCode(process.env)
process.stdout.on('error', ignoreClosedPipe)
process.stderr.on('error', ignoreClosedPipe)
const code = await run(process.argv.slice(2), process.env)
// what is left behind of the network has nothing more to say; what was printed must get out first
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))))
process.exit(code)
