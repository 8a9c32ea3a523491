/**
 * What was earned or spent, from the books: sessions and channels in, lines out. On every line, and so in the totals,
 * delivered >= billed >= signed >= settled; what was paid beyond a bill stands apart.
 *
 * A session says what was delivered, billed and paid for it; a channel says what of all its promises is settled. A payment that took over
 * arrears belongs to the sessions that had left them; what is settled of a channel, to its oldest sessions: so a settlement works.
 */
import { TallyError } from './errors.ts'
import type { Address, ChannelId, Seconds } from './ids.ts'
import { METER_KINDS, type Meter, type MeterKind } from './meter.ts'

export const REPORT_KEYS = ['day', 'offer', 'peer'] as const
export type ReportKey = (typeof REPORT_KEYS)[number]

const DAY_S = 86_400

/** One session as the report counts it. Amounts in base units of its token. */
export interface ReportEntry {
  readonly token: Address
  readonly channel: ChannelId
  /** the other end */
  readonly peer: Address
  /** the name of the service */
  readonly offer: string
  readonly opened: Seconds
  /** what was billed, count by count */
  readonly meter: Meter
  /** the price of what was given away */
  readonly delivered: bigint
  /** the price of what was acknowledged, without arrears */
  readonly billed: bigint
  /** all that was signed for the session, arrears included */
  readonly paid: bigint
  /** what of earlier sessions is paid in this one before its own bill */
  readonly arrears: bigint
}

/** A channel as the report counts it: the highest promise, and what the ledger paid of it. */
export interface ReportChannel {
  readonly id: ChannelId
  readonly token: Address
  readonly signed: bigint
  readonly settled: bigint
}

/** Figures in base units of one token. */
export interface ReportFigures {
  readonly sessions: number
  readonly counts: Meter
  readonly delivered: bigint
  readonly billed: bigint
  readonly signed: bigint
  readonly settled: bigint
  /** paid beyond what was billed: ahead of a delivery that did not come, or for arrears of which there is no record */
  readonly beyond: bigint
}

/** The keys by which it is not grouped are absent. */
export interface ReportLine extends ReportFigures {
  readonly token: Address
  /** days since 1970, UTC: of the session's opening */
  readonly day?: number
  readonly offer?: string
  readonly peer?: Address
}

/** All channels of one token, whatever the days; `unexplained` is what their promises are more than all sessions on record paid. */
export interface ReportBooks {
  readonly token: Address
  readonly signed: bigint
  readonly settled: bigint
  readonly unexplained: bigint
}

export interface Report {
  /** by token, then day, offer, peer */
  readonly lines: readonly ReportLine[]
  /** one for each token; the sum of its lines */
  readonly totals: readonly ReportLine[]
  readonly books: readonly ReportBooks[]
}

export interface ReportInit {
  readonly by: readonly ReportKey[]
  /** sessions opened from here on */
  readonly since?: Seconds | undefined
  /** sessions opened before */
  readonly until?: Seconds | undefined
  /** lines that are held while it is summed, for each channel apart. @default 200,000 */
  readonly maxCells?: number
}

/** earlier and later sessions are not shown, but have their part of arrears and settlements */
type Phase = 'before' | 'within' | 'after'
const PHASES = ['before', 'within', 'after'] as const

type Figures = { -readonly [K in keyof ReportFigures]: ReportFigures[K] }
type Keys = Pick<ReportLine, 'token' | 'day' | 'offer' | 'peer'>

interface Cell extends Figures {
  readonly phase: Phase
  readonly keys: Keys
  /** paid for what earlier sessions left */
  arrears: bigint
}

interface Channel {
  readonly cells: Map<string, Cell>
  settled: bigint
}

const MAX_CELLS = 200_000

/** Sessions first, each once and in any order, then channels, then `report`. Holds a line for each group and channel, no sessions. */
export class ReportSheet {
  readonly #init: ReportInit
  readonly #channels = new Map<ChannelId, Channel>()
  readonly #books = new Map<Address, { signed: bigint; settled: bigint; paid: bigint }>()
  #cells = 0

  constructor(init: ReportInit) {
    this.#init = init
  }

  /** @throws USAGE when there are too many lines */
  session(entry: ReportEntry): void {
    this.#booksOf(entry.token).paid += entry.paid
    const cell = this.#cell(entry)
    const taken = least(entry.paid, entry.arrears)
    const signed = least(entry.paid - taken, entry.billed)
    cell.sessions += 1
    cell.counts = sumCounts(cell.counts, entry.meter)
    // a record of a lower clock than was acknowledged does not make a bill without a delivery
    cell.delivered += entry.delivered > entry.billed ? entry.delivered : entry.billed
    cell.billed += entry.billed
    cell.signed += signed
    cell.beyond += entry.paid - taken - signed
    cell.arrears += taken
  }

  channel({ id, token, signed, settled }: ReportChannel): void {
    const books = this.#booksOf(token)
    books.signed += signed
    books.settled += settled
    const channel = this.#channels.get(id)
    if (channel !== undefined) channel.settled = settled
  }

  report(): Report {
    const lines = new Map<string, Figures & Keys>()
    const totals = new Map<string, Figures & Keys>()
    for (const channel of this.#channels.values()) {
      for (const cell of spread(channel)) {
        if (cell.phase !== 'within') continue
        add(lines, cell.keys, cell)
        add(totals, { token: cell.keys.token }, cell)
      }
    }
    return {
      lines: [...lines.values()].sort(byKeys),
      totals: [...totals.values()].sort(byKeys),
      books: [...this.#books].map(([token, { signed, settled, paid }]) => ({
        token,
        signed,
        settled,
        unexplained: signed - paid,
      })),
    }
  }

  #booksOf(token: Address): { signed: bigint; settled: bigint; paid: bigint } {
    const known = this.#books.get(token) ?? { signed: 0n, settled: 0n, paid: 0n }
    this.#books.set(token, known)
    return known
  }

  #cell({ token, channel: id, peer, offer, opened }: ReportEntry): Cell {
    const { by, since, until, maxCells = MAX_CELLS } = this.#init
    const phase = since !== undefined && opened < since ? 'before' : until !== undefined && opened >= until ? 'after' : 'within'
    const keys: Keys =
      phase === 'within'
        ? {
            token,
            ...(by.includes('day') && { day: Math.floor(opened / DAY_S) }),
            ...(by.includes('offer') && { offer }),
            ...(by.includes('peer') && { peer }),
          }
        : { token }
    const channel = this.#channels.get(id) ?? { cells: new Map(), settled: 0n }
    this.#channels.set(id, channel)
    const name = phase + nameOf(keys)
    const known = channel.cells.get(name)
    if (known !== undefined) return known
    if (++this.#cells > maxCells) {
      throw new TallyError('USAGE', {
        message: `the report would have more than ${maxCells} lines`,
        hint: 'take fewer days with --since and --until, or group by less',
      })
    }
    const cell: Cell = { ...nothing(), phase, keys, arrears: 0n }
    channel.cells.set(name, cell)
    return cell
  }
}

/** The cells of a channel, oldest first, when arrears and settlements have found theirs. */
function spread({ cells, settled }: Channel): Cell[] {
  const sorted = [...cells.values()].sort((a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase) || byKeys(a.keys, b.keys))
  const arrears = sorted.reduce((sum, cell) => sum + cell.arrears, 0n)
  const left = fill(sorted, arrears, (cell) => cell.billed - cell.signed, 'signed')
  // no session on record had left these
  fill(sorted.toReversed(), left, (cell) => cell.arrears, 'beyond')
  fill(sorted, settled, (cell) => cell.signed, 'settled')
  return sorted
}

/** Gives each cell what it has room for, in their order. @returns what is left */
function fill(cells: readonly Cell[], sum: bigint, room: (cell: Cell) => bigint, where: 'signed' | 'settled' | 'beyond'): bigint {
  let left = sum
  for (const cell of cells) {
    const part = least(left, room(cell))
    cell[where] += part
    left -= part
  }
  return left
}

const FIGURES = ['delivered', 'billed', 'signed', 'settled', 'beyond'] as const

function add(lines: Map<string, Figures & Keys>, keys: Keys, cell: Cell): void {
  const name = nameOf(keys)
  const line = lines.get(name) ?? { ...keys, ...nothing() }
  lines.set(name, line)
  line.sessions += cell.sessions
  line.counts = sumCounts(line.counts, cell.counts)
  for (const figure of FIGURES) line[figure] += cell[figure]
}

const ZERO_COUNTS: Meter = { down: 0n, up: 0n, ms: 0n, calls: 0n, units: 0n }
const nothing = (): Figures => ({
  sessions: 0,
  counts: ZERO_COUNTS,
  delivered: 0n,
  billed: 0n,
  signed: 0n,
  settled: 0n,
  beyond: 0n,
})
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b)
/** Unlike a meter's, a sum over sessions may be any number. */
const sumCounts = (a: Meter, b: Meter): Meter =>
  Object.fromEntries(METER_KINDS.map((kind) => [kind, a[kind] + b[kind]])) as Record<MeterKind, bigint>

const nameOf = ({ token, day, offer, peer }: Keys): string => `/${token}/${day ?? ''}/${offer ?? ''}/${peer ?? ''}`

function byKeys(a: Keys, b: Keys): number {
  const text = (one: string | undefined, other: string | undefined): number =>
    (one ?? '') < (other ?? '') ? -1 : (one ?? '') > (other ?? '') ? 1 : 0
  return text(a.token, b.token) || (a.day ?? 0) - (b.day ?? 0) || text(a.offer, b.offer) || text(a.peer, b.peer)
}
