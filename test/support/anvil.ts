import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(import.meta.url)

/** A running chain: its RPC address, and how to end it. */
export interface Anvil {
  readonly url: string
  /** Ends the process and resolves when it is gone. Safe to call twice. */
  stop(): Promise<void>
}

/**
 * Starts a private anvil (chain id 31337) on a free port of the loopback interface.
 *
 * It dies with this process, also when a test forgets to stop it. Rejects with what anvil wrote when it does not start.
 */
export async function startAnvil(args: readonly string[] = []): Promise<Anvil> {
  // the binary itself: the wrapper script of the npm package leaves it orphaned when it is killed
  const binary = require.resolve('@foundry-rs/anvil-linux-amd64/bin/anvil')
  const child = spawn(binary, ['--port', '0', '--chain-id', '31337', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const reap = (): void => void child.kill('SIGKILL')
  process.once('exit', reap)
  const gone = once(child, 'exit').then(() => process.off('exit', reap))
  let complaint = ''
  child.stderr.on('data', (data: Buffer) => {
    complaint += data.toString()
  })
  // the lines go on being read after the start: a full pipe would stop the chain
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /Listening on .*:(\d+)/.exec(line)?.[1]
      if (found !== undefined) resolve(found)
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`anvil ended with ${code}: ${complaint}`)))
  })
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      reap()
      await gone
    },
  }
}
