/** Where a command prints and what its file names are relative to: this process's own terminal, or that of another process. */

export interface Terminal {
  readonly cwd: string
  /** whether a person watches stderr: a terminal, and no build server */
  readonly live: boolean
  /** whether there are colours, unless an option says otherwise */
  readonly color: boolean
  readonly columns: number
  /** what is typed or piped into the command; read only by whoever iterates it */
  stdin(): AsyncIterable<Uint8Array>
  /** Resolves when more may be printed: false = nobody reads any more. */
  stdout(bytes: string | Uint8Array): Promise<boolean>
  stderr(text: string): void
}

export function ownTerminal(env: NodeJS.ProcessEnv): Terminal {
  const watched = process.stderr.isTTY === true && env.TERM !== 'dumb'
  return {
    cwd: process.cwd(),
    live: watched && (env.CI ?? '') === '',
    color: watched && (env.NO_COLOR ?? '') === '',
    get columns() {
      return process.stderr.columns ?? 120
    },
    stdin: () => process.stdin,
    stdout: (bytes) =>
      new Promise((resolve) => process.stdout.write(bytes, (error) => resolve(error === undefined || error === null))),
    stderr: (text) => void process.stderr.write(text),
  }
}
