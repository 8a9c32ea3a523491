/** Entry of the executable. */
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { COMMANDS } from './commands.ts'
import { Cli } from './context.ts'
import { runProgram } from './run.ts'

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
const code = await runProgram(new Cli(process.argv.slice(2), process.env), COMMANDS)
// what is left behind of the network has nothing more to say; what was printed must get out first
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))))
process.exit(code)
