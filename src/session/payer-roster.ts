/** The sessions of a consumer that somebody may still speak for: those that go on, and those whose receipt may come yet. */
import type { SessionId } from '../core/ids.ts'
import type { PayerSession } from '../core/session/payer.ts'
import type { LiveSession } from './live-session.ts'
import type { ProviderLine } from './payer-line.ts'
import type { PayerFile } from './payer-shelf.ts'

export class PayerRoster {
  readonly #live = new Map<SessionId, LiveSession>()
  /** sessions that ended without a receipt: the provider's may still come on the same stream */
  readonly #late = new Map<SessionId, LiveSession>()

  add(live: LiveSession): void {
    this.#live.set(live.session.id, live)
  }

  /** The session goes on no more. */
  drop(live: LiveSession): void {
    this.#live.delete(live.session.id)
  }

  /** The session has ended; if it was agreed on and has no receipt, that is still waited for. */
  end(live: LiveSession): void {
    this.drop(live)
    if (live.session.receipt === undefined && live.session.terms !== undefined) this.#late.set(live.session.id, live)
  }

  get(id: SessionId): LiveSession | undefined {
    return this.#live.get(id)
  }

  /** Whether it is this one that counts: once a session was cut it is resumed as another. */
  holds(live: LiveSession): boolean {
    const { id } = live.recorded
    return this.#live.get(id) === live || this.#late.get(id) === live
  }

  /** Whose receipt this may be, where none goes on by this id. */
  late(id: SessionId): LiveSession | undefined {
    return this.#late.get(id)
  }

  /** It has heard something; with a receipt, none is waited for. */
  heard(live: LiveSession): void {
    if (live.session.receipt !== undefined) this.#late.delete(live.session.id)
  }

  /** Sessions that go on, as they are now: the list does not change. */
  all(): LiveSession[] {
    return [...this.#live.values()]
  }

  of(line: ProviderLine): LiveSession[] {
    return this.all().filter((live) => live.line === line)
  }

  /** The other sessions of the same channel. */
  beside(live: LiveSession): LiveSession[] {
    return this.all().filter((one) => one !== live && one.file === live.file)
  }

  /** Nothing more comes on this line. */
  leave(line: ProviderLine): void {
    for (const [id, live] of this.#late) if (live.line === line) this.#late.delete(id)
  }

  /** These sessions and all that go on beside them; one that was resumed meanwhile is there as it is now. */
  withBeside(lives: Iterable<LiveSession>): {
    files: Set<PayerFile>
    sessions: Iterable<readonly [PayerSession, PayerFile]>
  } {
    const sessions = new Map<SessionId, readonly [PayerSession, PayerFile]>()
    const files = new Set<PayerFile>()
    for (const { session, file } of lives) {
      sessions.set(session.id, [session, file])
      files.add(file)
    }
    for (const { file, session } of this.#live.values()) if (files.has(file)) sessions.set(session.id, [session, file])
    return { files, sessions: sessions.values() }
  }
}
