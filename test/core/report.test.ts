import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TallyError } from '../../src/core/errors.ts'
import type { Address, ChannelId, Seconds } from '../../src/core/ids.ts'
import { meterOf } from '../../src/core/meter.ts'
import {
  REPORT_KEYS,
  type Report,
  type ReportEntry,
  type ReportFigures,
  type ReportInit,
  ReportSheet,
} from '../../src/core/report.ts'

const DAY = 86_400
const address = (n: number): Address => `0x${n.toString(16).padStart(40, '0')}` as Address
const channel = (n: number): ChannelId => `0x${n.toString(16).padStart(64, '0')}` as ChannelId

/** A session of 10 that was paid in full on day 0, but for what is said. */
const entry = (of: Partial<Omit<ReportEntry, 'opened'>> & { day?: number } = {}): ReportEntry => {
  const { day = 0, ...rest } = of
  return {
    token: address(1),
    channel: channel(1),
    peer: address(2),
    offer: 'films',
    opened: (day * DAY + 5) as Seconds,
    meter: meterOf({ down: 10n }),
    delivered: 10n,
    billed: 10n,
    paid: 10n,
    arrears: 0n,
    ...rest,
  }
}

interface Books {
  readonly settled: bigint
  readonly signed?: bigint
}

function report(init: ReportInit, entries: readonly ReportEntry[], books: Readonly<Record<ChannelId, Books>> = {}): Report {
  const sheet = new ReportSheet(init)
  for (const one of entries) sheet.session(one)
  for (const [id, { signed = 0n, settled }] of Object.entries(books))
    sheet.channel({ id: id as ChannelId, token: address(1), signed, settled })
  return sheet.report()
}

const figures = ({ delivered, billed, signed, settled, beyond }: ReportFigures): bigint[] => [delivered, billed, signed, settled, beyond] // biome-ignore format: a row

test('a settlement pays the oldest sessions of its channel first', () => {
  const { lines } = report({ by: ['day'] }, [entry({ day: 2 }), entry({ day: 0 }), entry({ day: 1 })], {
    [channel(1)]: { settled: 15n },
  })
  assert.deepEqual(
    lines.map((line) => [line.day, line.settled]),
    [
      [0, 10n],
      [1, 5n],
      [2, 0n],
    ],
  )
})

test('a payment of arrears belongs to the day that had left them', () => {
  const short = entry({ day: 0, paid: 4n })
  const later = entry({ day: 1, paid: 16n, arrears: 6n })
  const { lines, totals } = report({ by: ['day'] }, [later, short])
  assert.deepEqual(lines.map(figures), [
    [10n, 10n, 10n, 0n, 0n],
    [10n, 10n, 10n, 0n, 0n],
  ])
  assert.deepEqual(totals.map(figures), [[20n, 20n, 20n, 0n, 0n]])
})

test('what is paid beyond a bill stands apart: ahead of the delivery, or for arrears that nobody knows', () => {
  const ahead = entry({ paid: 13n })
  const unknown = entry({ day: 1, paid: 15n, arrears: 5n })
  const { lines } = report({ by: ['day'] }, [ahead, unknown], { [channel(1)]: { settled: 28n, signed: 30n } })
  assert.deepEqual(lines.map(figures), [
    [10n, 10n, 10n, 10n, 3n],
    [10n, 10n, 10n, 10n, 5n],
  ])
})

test('what no session on record explains of the promises is told', () => {
  const { books } = report({ by: [] }, [entry()], {
    [channel(1)]: { settled: 3n, signed: 12n },
    [channel(2)]: { settled: 1n, signed: 1n },
  })
  assert.deepEqual(books, [{ token: address(1), signed: 13n, settled: 4n, unexplained: 3n }])
})

test('the days from since on and before until are shown; the others have their part of what was settled', () => {
  const entries = [0, 1, 2, 3].map((day) => entry({ day }))
  const init = { by: ['day'] as const, since: DAY as Seconds, until: (3 * DAY) as Seconds }
  const { lines, totals } = report(init, entries, { [channel(1)]: { settled: 25n } })
  assert.deepEqual(
    lines.map((line) => [line.day, line.settled]),
    [
      [1, 10n],
      [2, 5n],
    ],
  )
  assert.deepEqual([totals[0]?.sessions, totals[0]?.settled], [2, 15n])
})

test('tokens are never added up', () => {
  const { lines, totals } = report({ by: ['offer'] }, [entry(), entry({ token: address(9), channel: channel(9) })])
  assert.deepEqual([lines.length, totals.length], [2, 2])
})

test('a report of more lines than fit is refused, not cut off', () => {
  const sheet = new ReportSheet({ by: ['day'], maxCells: 3 })
  for (const day of [0, 1, 2, 2]) sheet.session(entry({ day }))
  assert.throws(
    () => sheet.session(entry({ day: 3 })),
    (thrown) => thrown instanceof TallyError && thrown.code === 'USAGE',
  )
})

const amounts = fc.bigInt(0n, 50n)
const entries = fc.array(
  fc
    .record({
      token: fc.constantFrom(1, 2).map(address),
      peer: fc.integer({ min: 1, max: 3 }),
      offer: fc.constantFrom('a', 'b'),
      day: fc.integer({ min: 0, max: 5 }),
      lost: amounts,
      billed: amounts,
      paid: amounts,
      arrears: amounts,
    })
    .map(({ peer, lost, token, ...one }) =>
      entry({ ...one, token, peer: address(peer), delivered: one.billed + lost, channel: channel(peer * 10 + Number(token.at(-1))), meter: meterOf({ down: lost }) }),
    ),
  { maxLength: 30 },
) // biome-ignore format: a record
const init = fc.record({
  by: fc.subarray([...REPORT_KEYS]),
  since: fc.option(
    fc.integer({ min: 0, max: 6 * DAY }).map((at) => at as Seconds),
    { nil: undefined },
  ),
  until: fc.option(
    fc.integer({ min: 0, max: 6 * DAY }).map((at) => at as Seconds),
    { nil: undefined },
  ),
})

/** Some of what was paid on each channel is settled. */
function settle(all: readonly ReportEntry[], share: bigint, sheet: ReportSheet): void {
  const channels = new Map<ChannelId, { token: Address; signed: bigint }>()
  for (const { channel: id, token, paid } of all) channels.set(id, { token, signed: (channels.get(id)?.signed ?? 0n) + paid })
  for (const [id, { token, signed }] of channels) sheet.channel({ id, token, signed, settled: (signed * share) / 10n })
}

const sum = (lines: readonly ReportFigures[]): unknown => {
  const all = { sessions: 0, down: 0n, delivered: 0n, billed: 0n, signed: 0n, settled: 0n, beyond: 0n }
  for (const line of lines) {
    all.sessions += line.sessions
    all.down += line.counts.down
    for (const key of ['delivered', 'billed', 'signed', 'settled', 'beyond'] as const) all[key] += line[key]
  }
  return all
}

test('property: every line holds delivered >= billed >= signed >= settled, and the lines add up to the totals', () => {
  fc.assert(
    fc.property(entries, init, fc.bigInt(0n, 10n), (all, how, share) => {
      const sheet = new ReportSheet(how)
      for (const one of all) sheet.session(one)
      settle(all, share, sheet)
      const { lines, totals } = sheet.report()
      for (const line of [...lines, ...totals]) {
        assert.ok(line.delivered >= line.billed && line.billed >= line.signed && line.signed >= line.settled)
        assert.ok(line.settled >= 0n && line.beyond >= 0n)
      }
      assert.deepEqual(sum(lines), sum(totals))
    }),
  )
})

test('property: with all days in it, signed and beyond are all that was paid, and nothing else', () => {
  fc.assert(
    fc.property(entries, fc.subarray([...REPORT_KEYS]), (all, by) => {
      const { totals } = report({ by }, all)
      const told = totals.reduce((total, line) => total + line.signed + line.beyond, 0n)
      assert.equal(
        told,
        all.reduce((total, one) => total + one.paid, 0n),
      )
    }),
  )
})

test('property: the totals do not depend on how it is grouped, nor on the order of the sessions', () => {
  fc.assert(
    fc.property(entries, init, fc.bigInt(0n, 10n), (all, how, share) => {
      const totalsOf = (by: ReportInit['by'], list: readonly ReportEntry[]): unknown => {
        const sheet = new ReportSheet({ ...how, by })
        for (const one of list) sheet.session(one)
        settle(all, share, sheet)
        return sheet.report().totals
      }
      assert.deepEqual(totalsOf(how.by, all), totalsOf([], all.toReversed()))
    }),
  )
})

test('property: two spans of days that follow each other add up to both at once', () => {
  fc.assert(
    fc.property(entries, fc.integer({ min: 0, max: 6 }), fc.bigInt(0n, 10n), (all, day, share) => {
      const at = (day * DAY) as Seconds
      const linesOf = (how: Omit<ReportInit, 'by'>): Report['lines'] => {
        const sheet = new ReportSheet({ ...how, by: ['day', 'peer'] })
        for (const one of all) sheet.session(one)
        settle(all, share, sheet)
        return sheet.report().lines
      }
      const parts = [...linesOf({ until: at }), ...linesOf({ since: at })]
      assert.deepEqual(sum(parts), sum(linesOf({})))
    }),
  )
})
