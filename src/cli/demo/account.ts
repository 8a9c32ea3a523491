/** The demo's final account: what was delivered, signed, settled and lost, and whether all of it agrees. */
import type { Amount } from '../../core/amount.ts'
import { meterOf } from '../../core/meter.ts'
import { chunkCost, due } from '../../core/price.ts'
import { parseChunk, parsePrice } from '../../core/price-text.ts'
import { formatAmountPadded, type TokenInfo } from '../../core/token.ts'
import type { StoreSums } from './audit.ts'
import { type GaslessFacts, gaslessChecks } from './gasless.ts'
import type { ToParent } from './wire.ts'

export type Mode = 'plain' | 'gasless' | 'kill-provider' | 'kill-consumer' | 'cheat-consumer' | 'cheat-provider'

/** One line of the account; `ok` false makes the demo fail. */
export interface Check {
  readonly text: string
  readonly ok: boolean
}

export type Wealth = Readonly<Record<'provider' | 'consumer', bigint>>

export interface Facts {
  readonly mode: Mode
  readonly token: TokenInfo
  readonly price: string
  readonly sizeBytes: bigint
  /** bytes that the consumer acknowledged */
  readonly delivered: bigint
  readonly payments: number
  readonly before: Wealth
  readonly after: Wealth
  /** without gas: what went to relays */
  readonly gasless?: GaslessFacts | undefined
  readonly closed: Extract<ToParent, { type: 'closed' }>
  readonly ended: Extract<ToParent, { type: 'ended' }>
  readonly stores: { readonly payee: StoreSums; readonly payer: StoreSums }
  readonly sent: string
  readonly got: string | undefined
}

/** the most that one owner may owe, in chunks, and the most that the consumer prepays: the defaults of both ends */
const CREDIT_CHUNKS = 64n
const LIMIT_AT_RISK = 50_000n

export interface Account {
  readonly ok: boolean
  readonly checks: readonly Check[]
  /** the table and the checks, for people */
  readonly lines: readonly string[]
  /** the same as data */
  readonly facts: Readonly<Record<string, unknown>>
}

export function accountOf(facts: Facts): Account {
  const { mode, token, before, after, closed, ended, stores, sent, got, delivered, sizeBytes } = facts
  const show = (value: bigint): string =>
    `${value < 0n ? '−' : ''}${formatAmountPadded((value < 0n ? -value : value) as Amount, token)}`
  const signed = BigInt(closed.signed)
  // fees of relays stand apart from what was sold
  const settled = after.provider - before.provider + (facts.gasless?.provider ?? 0n)
  const spent = before.consumer - after.consumer - (facts.gasless?.consumer ?? 0n)
  const price = parsePrice(facts.price, token)
  const cost = due(price, meterOf({ down: delivered }))
  const credit = chunkCost(price, parseChunk('64 KiB', price)) * CREDIT_CHUNKS
  const lost = { provider: BigInt(ended.lost), consumer: signed > BigInt(closed.owed) ? signed - BigInt(closed.owed) : 0n }
  const honest = mode === 'plain' || mode === 'gasless' || mode.startsWith('kill')
  const all = (sums: StoreSums): boolean => sums.session === signed && sums.promised === signed
  const checks: Check[] = [
    {
      text: `delivered ${mib(delivered)} MiB x ${facts.price} = ${show(cost)}`,
      ok: honest ? cost === signed && delivered === sizeBytes : cost <= signed && signed - cost <= LIMIT_AT_RISK,
    },
    {
      text: `signed ${show(signed)} = settled ${show(settled)} = spent ${show(spent)}`,
      ok: signed === settled && spent === settled,
    },
    {
      text: `in both stores: session ${show(stores.payee.session)} and ${show(stores.payer.session)}, promised ${show(stores.payee.promised)} and ${show(stores.payer.promised)}`,
      ok: all(stores.payee) && all(stores.payer),
    },
    {
      text: `lost: provider ${show(lost.provider)} (at risk at most ${show(credit)}), consumer ${show(lost.consumer)} (at risk at most ${show(LIMIT_AT_RISK)})`,
      ok:
        lost.provider <= credit &&
        lost.consumer <= LIMIT_AT_RISK &&
        (!honest || lost.consumer === 0n) &&
        (mode.startsWith('kill') || !honest || lost.provider === 0n),
    },
  ]
  if (honest)
    checks.push({ text: `sha256 of the file that came = of the file that was sent (${sent.slice(0, 18)}…)`, ok: got === sent })
  else checks.push({ text: `the cheat ended the session: ${closed.code ?? 'no'}`, ok: closed.code !== undefined })
  if (facts.gasless !== undefined) checks.push(...gaslessChecks(facts.gasless, show))
  const ok = checks.every((check) => check.ok)
  const change = (by: bigint): string => (by < 0n ? show(by) : `+${show(by)}`)
  const row = (who: keyof Wealth): string =>
    `  ${who.padEnd(10)} ${show(before[who]).padStart(16)} ${show(after[who]).padStart(16)} ${change(after[who] - before[who]).padStart(17)}`
  return {
    ok,
    checks,
    lines: [
      '', `${''.padEnd(12)} ${'before'.padStart(16)} ${'after'.padStart(16)} ${'change'.padStart(17)}`, row('consumer'), row('provider'), '',
      ...checks.map((check) => `  ${check.ok ? '✔' : '✖'} ${check.text}`), `  ${facts.payments} payments, ${facts.gasless === undefined ? 3 : 4} transactions`,
    ],
    facts: { mode, ok, delivered, cost, signed, settled, spent, payments: facts.payments, lost, sha256: { sent, got: got ?? null }, stores, before, after, relay: facts.gasless ?? null, checks },
  } // biome-ignore format: a table
}

const mib = (bytes: bigint): string =>
  `${bytes / 1_048_576n}.${String(((bytes % 1_048_576n) * 100n) / 1_048_576n).padStart(2, '0')}`
