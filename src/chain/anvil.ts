import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { TallyError } from '../core/errors.ts'
import { boundedText } from './rpc-errors.ts'

export interface AnvilProcess {
  readonly port: number
  readonly pid: number
  /** Ends the process and resolves when it is gone. Idempotent. */
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 20_000

/**
 * Starts anvil and resolves once it listens. It dies with this process: at a normal exit, and where setpriv exists also when this
 * process is killed.
 *
 * Throws DEVNET_FAILED when anvil is not installed or does not come up.
 */
export async function startAnvil(args: readonly string[], options: { readonly gentle?: boolean } = {}): Promise<AnvilProcess> {
  // With a state file anvil must be asked to end, so that it writes the file; without one it may as well be killed.
  const signal = options.gentle === true ? 'SIGTERM' : 'SIGKILL'
  const binary = anvilPath()
  const [command, prefix] = hasSetpriv() ? ['setpriv', ['--pdeathsig', signal, binary]] : [binary, []]
  const child = spawn(command, [...prefix, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const atExit = () => child.kill(signal)
  process.once('exit', atExit)
  const gone = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('exit', () => resolve())
  })
  const stop = async () => {
    child.kill(signal)
    await gone
    process.removeListener('exit', atExit)
  }
  try {
    const port = await listening(child)
    return { port, pid: child.pid ?? 0, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Path of the native binary; the npm wrapper of anvil would leave it running when it is killed itself. */
function anvilPath(): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch
  const name = `@foundry-rs/anvil-${process.platform}-${arch}`
  try {
    return createRequire(import.meta.url).resolve(`${name}/bin/anvil`)
  } catch (cause) {
    throw new TallyError('DEVNET_FAILED', {
      message: `the local chain needs anvil, and the package ${name} is not installed`,
      hint: 'run npm ci without --omit=optional, or point the node at any other EVM chain',
      fields: { package: name },
      cause,
    })
  }
}

let setpriv: boolean | undefined

function hasSetpriv(): boolean {
  setpriv ??=
    process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'SIGKILL', 'true'], { stdio: 'ignore' }).status === 0
  return setpriv
}

function listening(child: ChildProcess): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new TypeError('anvil was started without pipes')
  let complaint = ''
  const fail = (why: string, cause?: unknown) =>
    reject(
      new TallyError('DEVNET_FAILED', {
        message: `the local chain did not start: ${why}`,
        hint: 'is the port or the state file in use?',
        cause,
      }),
    )
  const timer = setTimeout(() => fail(`no answer within ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS)
  const lines = createInterface({ input: stdout })
  lines.on('line', (line) => {
    const port = /^Listening on .*:(\d+)$/.exec(line)?.[1]
    if (port !== undefined) resolve(Number(port))
  })
  stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < 2000) complaint += chunk.toString('utf8')
  })
  child.once('error', (error) => fail(error.message, error))
  child.once('exit', (code) => fail(boundedText(complaint, 300) || `anvil ended with code ${code}`))
  return promise.finally(() => {
    clearTimeout(timer)
    // A pipe that nobody reads would stop anvil when it is full.
    lines.close()
    stdout.resume()
  })
}
