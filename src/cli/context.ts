/** What a command works with: its options, its output, the signal that ends it, and the node, here or in another process. */
import type { Control } from '../api/control.ts'
import { formatDuration } from '../core/duration.ts'
import { TallyError } from '../core/errors.ts'
import type { FlatSettings, ResolvedConfig } from '../node/config.ts'
import type { HomePaths, OpenedHome } from '../node/home.ts'
import type { OpenedNode, OpenNodeOptions } from './open-node.ts'
import type { GlobalOptions } from './options.ts'
import { Output } from './output.ts'
import { askSecret, canAsk } from './prompt.ts'
import { type Stop, stopOnSignals } from './stop.ts'
import { ownTerminal, type Terminal } from './terminal.ts'

/** how long a node that was opened for one command may take to end in order, ms */
const CLOSE_MS = 20_000

/** Another process's command, and the node that it is carried out with. */
export interface Lent {
  readonly opened: OpenedNode
  readonly terminal: Terminal
  readonly stop: Stop
}

export class Cli {
  /** the words behind `tallystick` */
  readonly argv: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly stop: Stop
  readonly terminal: Terminal
  /** of the process, when the command is done */
  exitCode = 0
  #options: GlobalOptions = {}
  readonly #lent: OpenedNode | undefined
  #out: Output

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv, lent?: Lent) {
    this.argv = argv
    this.env = env
    this.stop = lent?.stop ?? stopOnSignals((line) => this.out.note(line))
    this.terminal = lent?.terminal ?? ownTerminal(env)
    this.#lent = lent?.opened
    this.#out = new Output({ json: false, quiet: false, color: undefined, terminal: this.terminal })
  }

  /** Called once, when the command line is understood. */
  configure(options: GlobalOptions): void {
    this.#options = options
    const color = options.color === false ? false : undefined
    this.#out = new Output({ json: options.json === true, quiet: options.quiet === true, color, terminal: this.terminal })
  }

  /** whether it is another process's command */
  get isLent(): boolean {
    return this.#lent !== undefined
  }

  get options(): GlobalOptions {
    return this.#options
  }

  get out(): Output {
    return this.#out
  }

  /** Ends the command: Ctrl-C, or the time that --timeout gives (else `otherwiseMs`). */
  signal(otherwiseMs?: number): AbortSignal {
    const ms = this.#options.timeout ?? otherwiseMs
    if (ms === undefined) return this.stop.signal
    const late = new AbortController()
    setTimeout(
      () =>
        late.abort(
          new TallyError('ABORTED', {
            message: `it was not done within ${formatDuration(ms)}`,
            hint: 'give it longer with --timeout',
          }),
        ),
      ms,
    ).unref()
    return AbortSignal.any([this.stop.signal, late.signal])
  }

  async paths(): Promise<HomePaths> {
    const { homeDir, homePaths } = await import('../node/home.ts')
    return homePaths(homeDir(this.#options.home, this.env))
  }

  /** @throws CONFIG_INVALID */
  async settings(flags: FlatSettings = {}): Promise<ResolvedConfig> {
    const { loadConfig } = await import('../node/config.ts')
    const { network, bootstrap, logLevel } = this.#options
    // a switch of the command line alone, not a setting of a node
    const { TALLYSTICK_DEBUG: _, ...env } = this.env
    return await loadConfig({
      path: (await this.paths()).config,
      env,
      flags: { network, bootstrap, 'log.level': logLevel, ...flags },
    })
  }

  /** @throws USAGE when no source has a password and nobody can be asked */
  async password(): Promise<string> {
    const { findPassword, requirePassword } = await import('../node/home.ts')
    const sources = { passwordFile: this.#options.passwordFile, env: this.env }
    const found = await findPassword(sources)
    if (found !== undefined) return found
    return canAsk() ? await askSecret('password of the key: ', { signal: this.stop.signal }) : await requirePassword(sources)
  }

  /** The home's key, opened. @throws HOME_MISSING, PASSWORD_WRONG, KEY_INVALID, USAGE */
  async openHome(): Promise<OpenedHome> {
    const { openHome, requireHome } = await import('../node/home.ts')
    const paths = await this.paths()
    await requireHome(paths)
    const home = await openHome({ dir: paths.dir, password: await this.password() })
    for (const warning of home.warnings) this.out.warn(warning)
    return home
  }

  /** A node over this home. Whoever opens it stops it: see `withNode`. @throws as createNode, CONFIG_INVALID, HOME_MISSING, PASSWORD_WRONG */
  async openNode(options: OpenNodeOptions = {}, flags: FlatSettings = {}): Promise<OpenedNode> {
    const [{ requireHome }, { requireChain }] = await Promise.all([import('../node/home.ts'), import('../node/config.ts')])
    await requireHome(await this.paths())
    const settings = await this.settings(flags)
    // before anybody is asked for a password
    requireChain(settings)
    const home = await this.openHome()
    const { openNode } = await import('./open-node.ts')
    return await openNode({ home, settings, out: this.out, signal: this.stop.signal }, options)
  }

  /** Opens a node, works with it, stops it, also when the work fails. */
  async withNode<T>(options: OpenNodeOptions, work: (opened: OpenedNode) => Promise<T>): Promise<T> {
    if (this.#lent !== undefined) return await work(this.#lent)
    const opened = await this.openNode(options)
    try {
      return await work(opened)
    } finally {
      await opened.node.stop({ signal: AbortSignal.timeout(CLOSE_MS) })
    }
  }

  /** The node that runs on this home, else one that is opened for as long as the work takes. */
  async withControl<T>(options: Pick<OpenNodeOptions, 'peers'>, work: (control: Control) => Promise<T>): Promise<T> {
    const [{ isAnswered, RemoteControl }, { requireHome }] = await Promise.all([
      import('../api/client.ts'),
      import('../node/home.ts'),
    ])
    const paths = await this.paths()
    await requireHome(paths)
    if (await isAnswered(paths.apiSocket)) return await work(new RemoteControl(paths.apiSocket))
    return await this.withNode(options, ({ control }) => work(control))
  }
}
