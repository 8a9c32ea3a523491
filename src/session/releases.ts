/**
 * Asking a provider to sign the end of a channel, and checking what it signed: its answer becomes a transaction of ours, so it must say
 * exactly what was asked, no more.
 * @see protocols/session/SPEC.md section release
 */
import type { Amount } from '../core/amount.ts'
import { verifyClosing } from '../core/closing.ts'
import type { Domain } from '../core/eip712.ts'
import { TallyError } from '../core/errors.ts'
import type { Address, ChannelId, ChannelParties } from '../core/ids.ts'
import type { Released } from '../core/session/messages.ts'
import type { Clock } from '../ports/clock.ts'
import type { PayerLink } from '../ports/link.ts'

/** how long a provider may take to answer, ms */
const ANSWER_MS = 15_000

export interface ReleasesInit {
  readonly domain: Domain
  readonly clock: Clock
  /** how long a provider may take to answer, ms @default 15,000 */
  readonly answerMs?: number
}

interface Asked {
  /** where it was asked, and where alone it is answered */
  readonly link: PayerLink
  readonly target: Address
  readonly amount: Amount
  readonly epoch: number
  readonly answer: PromiseWithResolvers<Released>
}

export interface Ending {
  readonly id: ChannelId
  readonly parties: ChannelParties
  /** all that was promised on the channel, cumulative, base units */
  readonly amount: Amount
  readonly epoch: number
}

export class Releases {
  readonly #domain: Domain
  readonly #clock: Clock
  readonly #answerMs: number
  readonly #asked = new Map<ChannelId, Asked>()

  constructor({ domain, clock, answerMs = ANSWER_MS }: ReleasesInit) {
    this.#domain = domain
    this.#clock = clock
    this.#answerMs = answerMs
  }

  /**
   * The target's signature for exactly this ending.
   * @throws HEAD_DISAGREES (it signed something else), PEER_UNREACHABLE (no answer in time), CHANNEL_IN_USE (it is being asked already), ABORTED,
   * and what it refuses with
   */
  async ask(link: PayerLink, ending: Ending, signal: AbortSignal | undefined): Promise<Released> {
    const { id, parties, amount, epoch } = ending
    if (this.#asked.has(id))
      throw new TallyError('CHANNEL_IN_USE', { message: 'the provider is being asked to release this channel already' })
    // an answer binds the target, whether or not anybody waits for it: it is not asked for nothing
    if (signal?.aborted === true) throw new TallyError('ABORTED', { cause: signal.reason })
    const answer = Promise.withResolvers<Released>()
    const late = setTimeout(
      () => answer.reject(new TallyError('PEER_UNREACHABLE', { message: 'the provider did not answer the release in time' })),
      this.#answerMs,
    )
    const stop = (): void => answer.reject(new TallyError('ABORTED'))
    signal?.addEventListener('abort', stop, { once: true })
    this.#asked.set(id, { link, target: parties.target, amount, epoch, answer })
    link.send({ type: 'release', owner: parties.owner, token: parties.token, amount, epoch })
    return await answer.promise.finally(() => {
      clearTimeout(late)
      signal?.removeEventListener('abort', stop)
      this.#asked.delete(id)
    })
  }

  /** An answer on that stream; one that nobody asked for there is ignored. */
  onReleased(link: PayerLink, message: Released): void {
    const asked = this.#asked.get(message.channel)
    if (asked?.link !== link) return
    const closing = { channel: message.channel, amount: asked.amount, deadline: message.deadline, epoch: asked.epoch }
    const same = message.amount === asked.amount && message.epoch === asked.epoch && message.deadline > this.#clock.nowS()
    if (same && verifyClosing(this.#domain, closing, message.signature, asked.target)) return asked.answer.resolve(message)
    asked.answer.reject(
      new TallyError('HEAD_DISAGREES', {
        message: 'the provider signed another end of the channel than it was asked for',
        fields: { channel: message.channel },
      }),
    )
  }

  /** The peer refused, or its stream is over: whatever waits for it is told. @returns whether anything did */
  fail(link: PayerLink, error: TallyError): boolean {
    const waiting = [...this.#asked.values()].filter((asked) => asked.link === link)
    for (const { answer } of waiting) answer.reject(error)
    return waiting.length > 0
  }
}
