/** Ctrl-C: the first time everything is ended in order, the second time at once. */
import { TallyError } from '../core/errors.ts'

const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const

export interface Stop {
  /** aborted at the first signal, with ABORTED as its reason */
  readonly signal: AbortSignal
  /** no longer listens to signals */
  release(): void
}

export function stopOnSignals(tell: (line: string) => void): Stop {
  const controller = new AbortController()
  const onSignal = (name: keyof typeof SIGNALS): void => {
    if (controller.signal.aborted) process.exit(128 + SIGNALS[name])
    controller.abort(new TallyError('ABORTED', { message: `stopped by ${name}` }))
    if (name === 'SIGINT') tell('stopping; press Ctrl-C again to stop at once')
  }
  const names = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]
  for (const name of names) process.on(name, onSignal)
  return {
    signal: controller.signal,
    release: () => {
      for (const name of names) process.off(name, onSignal)
    },
  }
}

/** Resolves when the signal is aborted. */
export async function untilStopped(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
