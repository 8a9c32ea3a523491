/** What a buyer sees while it buys. */
import { addAmounts } from '../../core/amount.ts'
import { formatAmount, type TokenInfo } from '../../core/token.ts'
import type { Output } from '../output.ts'
import { roughSize } from '../output.ts'
import type { Purchase } from './purchase.ts'

const LOOK_MS = 200

export interface Shown {
  readonly what: string
  /** bytes that are there, and of how many */
  readonly state: () => { readonly bytes: bigint; readonly size: bigint | undefined }
}

/** Shows the purchase until the returned function is called. */
export function showProgress(out: Output, purchase: Purchase, token: TokenInfo, shown: Shown): () => void {
  const begun = performance.now()
  const first = shown.state().bytes
  const line = (): string => {
    const { bytes, size } = shown.state()
    const seconds = (performance.now() - begun) / 1000
    const rate = seconds < 1 ? 0n : ((bytes - first) * 1000n) / BigInt(Math.round(seconds * 1000))
    const figures = purchase.current?.figures
    const of = size === undefined ? '' : ` of ${roughSize(size)}, ${size === 0n ? 100n : (bytes * 100n) / size} %`
    const money = figures === undefined ? 'no connection' : [`owed ${formatAmount(figures.owed, token)}`, `signed ${formatAmount(addAmounts(figures.signed, purchase.earlier), token)}`, `at risk ${formatAmount(figures.atRisk, token)}`, `left ${formatAmount(figures.left, token)}`].join(' │ ') // biome-ignore format: one line
    return `▶ ${shown.what}  ${roughSize(bytes)}${of}  ${roughSize(rate)}/s │ ${money}`
  }
  const timer = setInterval(() => out.progress(line), LOOK_MS)
  return () => {
    clearInterval(timer)
    out.done()
  }
}
