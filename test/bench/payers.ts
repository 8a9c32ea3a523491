/** A process of the benchmark: several payers with several sessions each, paid for as fast as they may, or at a given rate. */
import type { SessionId } from '../../src/core/ids.ts'
import { busySince } from './busy.ts'
import { answer } from './child.ts'
import { beginPayer, type PayersInit, type PayingSession } from './payer.ts'

let sessions: readonly PayingSession[] = []

export interface Paid {
  readonly ms: number
  /** payments of each sort that left in this time */
  readonly promises: number
  readonly ticks: number
}

const answers = {
  async begin(init: PayersInit): Promise<void> {
    sessions = (await Promise.all(Array.from({ length: init.payers }, (_, index) => beginPayer(init, index)))).flat()
  },

  /**
   * Every session pays, with up to `window` of its payments on their way, until all have paid `payments` times together; the time is until
   * the last one was durable. A chunk is used only when it can be paid by itself, so that no two become one payment.
   */
  async pay({ payments, window }: { payments: number; window: number }): Promise<Paid> {
    const before = sent()
    const done = Promise.withResolvers<void>()
    let begun = 0
    let durable = 0
    const pump = (session: PayingSession): void => {
      while (begun < payments && session.open < window && !session.isReserving) {
        begun += 1
        session.use()
      }
    }
    listen((session, newly) => {
      durable += newly
      if (durable === payments) done.resolve()
      else pump(session)
    })
    const begin = performance.now()
    for (const session of sessions) pump(session)
    await done.promise
    const ms = performance.now() - begin
    const after = sent()
    return { ms, promises: after.promises - before.promises, ticks: after.ticks - before.ticks }
  },

  /** One session pays, one payment at a time; answers each payment's time from signing to the meter message, in microseconds. */
  async roundTrips({ payments }: { payments: number }): Promise<Float64Array> {
    const [session] = sessions
    if (session === undefined) throw new Error('begin first')
    const times = new Float64Array(payments)
    for (let at = 0; at < payments; at++) {
      const durable = new Promise<void>((resolve) => listen((_, newly) => newly > 0 && resolve()))
      const begin = performance.now()
      session.use()
      await durable
      times[at] = (performance.now() - begin) * 1000
    }
    return times
  },

  /**
   * Payments become due at random moments, `perSecond` of them on average, whether or not the ones before are paid (open loop): a slow moment
   * delays all that fall into it, and each is counted from the moment at which it was due. Answers microseconds until it was told to be durable.
   */
  async load({ payments, perSecond }: { payments: number; perSecond: number }): Promise<Float64Array> {
    const done = Promise.withResolvers<void>()
    const times = new Float64Array(payments)
    const waiting = new Map<PayingSession, number[]>(sessions.map((session) => [session, []]))
    let durable = 0
    listen((session, newly) => {
      const now = performance.now()
      for (const due of waiting.get(session)?.splice(0, newly) ?? []) times[durable++] = (now - due) * 1000
      if (durable === payments) done.resolve()
    })
    let due = performance.now()
    let begun = 0
    // it never sleeps: a timer would be late by more than a payment takes
    const arrivals = (): void => {
      for (const now = performance.now(); due <= now && begun < payments; begun++) {
        const session = sessions[begun % sessions.length]
        if (session === undefined) throw new Error('begin first')
        waiting.get(session)?.push(due)
        session.use()
        due -= (Math.log(1 - Math.random()) * 1000) / perSecond
      }
      if (begun < payments) setImmediate(arrivals)
    }
    arrivals()
    await done.promise
    return times
  },

  /** What every session has paid, base units, as its provider said. */
  paid(): Map<SessionId, bigint> {
    return new Map(sessions.map(({ id, paid }) => [id, paid]))
  },

  busy: busySince,
}
export type PayersAnswers = typeof answers

function listen(onProgress: PayingSession['onProgress']): void {
  for (const session of sessions) session.onProgress = onProgress
}

function sent(): { readonly promises: number; readonly ticks: number } {
  const sum = (what: 'promises' | 'ticks'): number => sessions.reduce((all, session) => all + session[what], 0)
  return { promises: sum('promises'), ticks: sum('ticks') }
}

answer(answers)
