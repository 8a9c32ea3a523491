/**
 * How a session begins, or goes on, at the provider: from a stranger's hello to terms that are on the disk. Whatever costs an RPC, a
 * write or the service's time comes after all that costs nothing.
 * @see protocols/session/SPEC.md section hello
 */
import { takeGrant } from '../core/credit.ts'
import { TallyError } from '../core/errors.ts'
import type { ChannelParties } from '../core/ids.ts'
import { chunkCost } from '../core/price.ts'
import type { Hello, TermsOffered } from '../core/session/messages.ts'
import {
  ackedMeter,
  creditLeft,
  dueOf,
  newPayeeSession,
  onceDurable,
  type PayeeContext,
  type PayeeInput,
} from '../core/session/payee.ts'
import { type HelloFacts, judgeAtDoor, judgeHello, termsFor } from '../core/session/payee-hello.ts'
import { isAgreed } from '../core/session/payee-state.ts'
import type { PayeeDeskComponents, PayeeDeskInit, ServiceOnSale } from './components.ts'
import { payeeCrypto } from './crypto.ts'
import type { Live, PayeeBook, Visit } from './payee-book.ts'
import type { PayeeChannels } from './payee-channels.ts'
import type { ChannelFile, OwnerFile } from './payee-shelf.ts'

/** the session protocol's: live on one stream */
const MAX_SESSIONS_PER_LINK = 64
/** of one owner, over all its signers and streams, those included that were cut and may be resumed */
const MAX_SESSIONS_PER_OWNER = 64
/** of one stream, being answered: each may cost an RPC and the service's time */
const MAX_HELLOS = 8
/** how long a service may take to look at the inputs of a hello */
const PREPARE_MS = 60_000

export interface HelloDeskInit extends PayeeDeskInit {
  readonly components: PayeeDeskComponents
  readonly book: PayeeBook
  readonly channels: PayeeChannels
  readonly services: ReadonlyMap<string, ServiceOnSale>
  /** whether this is still the control stream of its peer */
  readonly isOpen: (visit: Visit) => boolean
  readonly isStopping: () => boolean
  readonly run: (live: Live, input: PayeeInput) => void
  readonly context: (live: Live) => PayeeContext
}

/** What a hello asks for, when everything that takes time is done. */
interface Prepared {
  readonly content: Uint8Array
  readonly channel: ChannelFile
  readonly owner: OwnerFile
}

export class HelloDesk {
  readonly #init: HelloDeskInit

  constructor(init: HelloDeskInit) {
    this.#init = init
  }

  /** Answers with terms, or with the receipt of a session that is over. @throws the first demand that is not met */
  async answer(visit: Visit, hello: Hello): Promise<void> {
    if (visit.hellos >= MAX_HELLOS) throw new TallyError('BUSY')
    visit.hellos += 1
    try {
      if (this.#init.isStopping()) throw new TallyError('SHUTTING_DOWN')
      await (hello.resume ? this.#resume(visit, hello) : this.#begin(visit, hello))
    } finally {
      visit.hellos -= 1
    }
  }

  async #begin(visit: Visit, hello: Hello): Promise<void> {
    const { book, channels } = this.#init
    const parties = this.#partiesOf(visit, hello)
    const service = this.#door(visit, hello, undefined)
    const channel = await channels.lookUp(parties)
    const owner = await book.shelf.owner(hello.owner, hello.token)
    this.#judge(visit, hello, channel, undefined)
    if (book.live(hello.session) !== undefined || (await book.records.session(hello.session)) !== undefined)
      throw new TallyError('WRONG_STATE')
    const content = await service.adapter.prepare(hello.inputs, AbortSignal.timeout(PREPARE_MS))
    // much can have changed while the service looked at the inputs
    if (this.#init.isStopping()) throw new TallyError('SHUTTING_DOWN')
    if (!this.#init.isOpen(visit)) return
    if (book.live(hello.session) !== undefined) throw new TallyError('WRONG_STATE')
    this.#judge(visit, hello, channel, undefined)
    await this.#offer(visit, hello, service, { content, channel, owner })
  }

  async #resume(visit: Visit, hello: Hello): Promise<void> {
    const { book, channels, run } = this.#init
    const known = book.live(hello.session)
    if (known === undefined) return await this.#answerOld(visit, hello)
    const { terms } = known.session
    const isSame = terms.owner === hello.owner && terms.token === hello.token && terms.service === hello.service
    if (terms.signer !== visit.link.address || !isSame) throw new TallyError('SESSION_UNKNOWN')
    // a node that has just come back listens before everything is on sale again: a session that it knows can wait
    if (!this.#init.services.has(hello.service)) throw new TallyError('BUSY')
    this.#door(visit, hello, known)
    const channel = await channels.lookUp(this.#partiesOf(visit, hello))
    // it may have ended while the chain was asked
    if (this.#init.isStopping()) throw new TallyError('SHUTTING_DOWN')
    if (!this.#init.isOpen(visit)) return
    if (book.live(hello.session) !== known) throw new TallyError('SESSION_UNKNOWN')
    this.#judge(visit, hello, channel, known)
    // its last payment or its receipt is on the way to the disk
    if (known.session.status !== 'cut' || (known.visit !== undefined && known.visit !== visit)) throw new TallyError('BUSY')
    known.visit = visit
    visit.lives.add(known)
    run(known, { type: 'resume', acked: hello.acked })
    await this.#sendTerms(known)
  }

  /** A session that is not in memory: closed, and then the receipt is the answer, or never heard of. */
  async #answerOld({ link }: Visit, hello: Hello): Promise<void> {
    const old = await this.#init.book.records.session(hello.session)
    if (old?.receipt === undefined || old.terms.signer !== link.address) throw new TallyError('SESSION_UNKNOWN')
    link.send({ type: 'receipt', session: hello.session, receipt: old.receipt })
  }

  #partiesOf({ link }: Visit, { owner, token }: Hello): ChannelParties {
    return { owner, signer: link.address, target: this.#init.components.self.address, token }
  }

  /** What can be told without the disk and the chain. */
  #door(visit: Visit, hello: Hello, known: Live | undefined): ServiceOnSale {
    const code = judgeAtDoor(hello, this.#atDoor(visit, hello, known))
    const service = this.#init.services.get(hello.service)
    if (code !== undefined || service === undefined) throw new TallyError(code ?? 'SERVICE_UNKNOWN')
    return service
  }

  #atDoor(visit: Visit, hello: Hello, known: Live | undefined): Pick<HelloFacts, 'live' | 'maxSessions' | 'banned' | 'offer'> {
    const { book, policy, banned, services } = this.#init
    const self = known === undefined ? 0 : 1
    const isFull = visit.lives.size - (known !== undefined && visit.lives.has(known) ? 1 : 0) >= MAX_SESSIONS_PER_LINK
    return {
      live: isFull ? policy.maxSessions : book.size - self,
      maxSessions: policy.maxSessions,
      banned: banned?.has(visit.link.address) === true || banned?.has(hello.owner) === true,
      offer: services.get(hello.service)?.offer(),
    }
  }

  /** @throws the first demand of the offer that is not met */
  #judge(visit: Visit, hello: Hello, { channel }: ChannelFile, known: Live | undefined): void {
    const { policy, components } = this.#init
    const code = judgeHello(hello, {
      ...this.#atDoor(visit, hello, known), channel, nowS: components.clock.nowS(),
      marginS: policy.marginS, patienceS: Math.ceil(policy.patienceMs / 1000), unreserved: policy.unreserved,
    }) // biome-ignore format: a record
    if (code !== undefined) throw new TallyError(code)
  }

  async #offer(visit: Visit, hello: Hello, service: ServiceOnSale, { content, channel, owner: file }: Prepared): Promise<void> {
    const { book, policy } = this.#init
    const { self, domain, clock } = this.#init.components
    this.#makeRoom(file)
    const offer = service.offer()
    const taken = takeGrant(book.pool, file.account, chunkCost(offer.price, offer.chunk), policy, clock.nowS())
    book.pool = taken.pool
    file.account = taken.account
    const arrearsTaken = [...file.lives].some((live) => live.session.terms.arrears > 0n)
    const terms = termsFor(hello, offer, file.account, {
      signer: visit.link.address, content, patienceMs: policy.patienceMs, nowS: clock.nowS(), lastS: policy.sessionLastS, arrearsTaken,
      open: [...file.lives].map((live) => live.session.terms),
    }) // biome-ignore format: a record
    const crypto = payeeCrypto(domain, self, this.#partiesOf(visit, hello), visit.link.publicKey, terms)
    const live = book.adopt(
      newPayeeSession(terms, crypto.termsDigest, crypto.termsSignature, clock.nowMs()),
      channel,
      file,
      visit,
      crypto,
    )
    live.adapter = service.adapter
    await this.#sendTerms(live)
  }

  /** An owner at its limit gives up the session that was cut longest ago; first one that owes nothing. @throws BUSY when none is cut */
  #makeRoom(file: OwnerFile): void {
    const open = [...file.lives].filter(({ session }) => session.status !== 'closed')
    if (open.length < MAX_SESSIONS_PER_OWNER) return
    const owes = ({ session, exposed }: Live): number => (exposed > 0n || dueOf(session) > session.paid ? 1 : 0)
    const [oldest] = open
      .filter(({ session }) => session.status === 'cut')
      .toSorted((a, b) => owes(a) - owes(b) || (a.session.waitingSince ?? 0) - (b.session.waitingSince ?? 0))
    if (oldest === undefined) throw new TallyError('BUSY')
    this.#init.run(oldest, { type: 'fault', code: new TallyError('BUSY').wire })
  }

  /** Only what is on the disk is said: a payer takes the head and the total of the terms for confirmed. */
  async #sendTerms(live: Live): Promise<void> {
    const { book, context } = this.#init
    const { session, visit, file } = live
    const state = book.state(live)
    const owner = book.durableOwner(file, [live])
    const message: TermsOffered = {
      type: 'terms', terms: session.terms, signature: session.termsSignature, head: state.channel.best, total: session.total,
      acked: ackedMeter(session), credit: creditLeft(state, context(live)),
    } // biome-ignore format: a record
    const agreed = isAgreed(session) ? book.records.putSession(onceDurable(session, owner).session) : []
    await book.commit([book.records.putPool(book.pool), book.records.putOwner(owner), ...agreed])
    if (live.session.status === 'offered' && live.visit === visit) visit?.link.send(message)
  }
}
