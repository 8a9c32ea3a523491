/** The anchors that payers have used: none may stand in a second lock. They are looked up when a chain begins, never for a tick; at once, because one look into the database costs less than to wait for it. */
import { LRUCache } from 'lru-cache'
import { carriesOn, type Head } from '../core/head.ts'
import type { Hash32 } from '../core/ids.ts'
import type { StoreOp } from '../ports/store.ts'
import type { PayeeRecords } from './records.ts'

/** remembered without the disk: what is on its way there, and a moment longer */
const MAX_REMEMBERED = 10_000

export class PayeeAnchors {
  readonly #records: PayeeRecords
  readonly #used = new LRUCache<Hash32, true>({ max: MAX_REMEMBERED })
  /** to be written with the next records of the book */
  #waiting: StoreOp[] = []

  constructor(records: PayeeRecords) {
    this.#records = records
  }

  isUsed(anchor: Hash32): boolean {
    return this.#used.has(anchor) || this.#records.hasAnchor(anchor)
  }

  /** The channel's promise begins a chain: its anchor is used from now on. */
  note(before: Head | undefined, after: Head | undefined): void {
    const lock = after?.promise.locks[0]
    if (after === undefined || lock === undefined || after.promise === before?.promise || carriesOn(before, after.promise)) return
    this.#used.set(lock.anchor, true)
    this.#waiting.push(this.#records.putAnchor(lock.anchor))
  }

  /** What is to be written with whatever is written next. */
  take(): StoreOp[] {
    const ops = this.#waiting
    if (ops.length > 0) this.#waiting = []
    return ops
  }
}
