/**
 * A payer in the payee's own process: one channel, one session, and payments that are signed and encoded before the clock starts. Its
 * bytes reach the desk through the real control link; only the transport is left out.
 */
import { randomBytes } from 'node:crypto'
import { encodeFrame, FRAME_HEADER_BYTES } from '../../protocols/framing/frame-codec.ts'
import { peerIdentity, peerIdOfKey } from '../../protocols/peer-identity.ts'
import { decodeFromPayee, decodeFromPayer, encodeMessage } from '../../protocols/session/codec.ts'
import { controlLink } from '../../protocols/session/control-link.ts'
import { MAX_SESSION_FRAME_BYTES, MESSAGES } from '../../protocols/session/protocol.ts'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, signerOf } from '../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../src/core/eip712.ts'
import { SALT_BYTES, type WordChain } from '../../src/core/head.ts'
import { type ChannelId, type ChannelParties, channelId, type Seconds, sessionIdFromBytes } from '../../src/core/ids.ts'
import { MAX_STEPS } from '../../src/core/lock.ts'
import { ZERO_METER } from '../../src/core/meter.ts'
import { preparePromises } from '../../src/core/promise.ts'
import type { FromPayee, FromPayer, Hello } from '../../src/core/session/messages.ts'
import { signTerms } from '../../src/core/terms.ts'
import { systemClock } from '../../src/node/create-node.ts'
import type { PayeeLink } from '../../src/ports/link.ts'
import { wordChainsOf } from '../../src/session/word-chain.ts'
import { StandInStream } from './stand-in-stream.ts'

/** What every payment here is worth, base units: a chunk of 64 KiB at 0.01 tokens per MiB */
export const CHUNK_COST = 625n

/** where the low 64 bits of `paid` lie in the frame of a meter message: after header, type, session, meter and 32 bits more */
const PAID_AT = FRAME_HEADER_BYTES + 1 + 16 + 40 + 4

export interface ScriptedPayerInit {
  readonly domain: Domain
  readonly target: ChannelParties['target']
  readonly token: ChannelParties['token']
  /** steps of its first chain; the later ones have 1,024 */
  readonly firstSteps: number
  /** bytes for the payee, to be brought when the loop comes to it */
  readonly deliver: (payer: ScriptedPayer, bytes: Uint8Array) => void
}

/** Its newest chain, and how much of it is revealed. The words are not kept: a heap full of them would be the payee's to clean. */
interface Chain {
  readonly salt: Uint8Array
  readonly steps: number
  k: number
}

/** A chain while its words are at hand. */
interface OpenChain extends Chain {
  readonly words: WordChain
}

/** Encoded payments one after the other, and where each of them ends. */
interface Script {
  readonly bytes: Uint8Array
  readonly ends: Uint32Array
}

export class ScriptedPayer {
  readonly session = sessionIdFromBytes(randomBytes(16))
  readonly channel: ChannelId
  /** the payee's end of its control stream */
  readonly link: PayeeLink
  readonly #init: ScriptedPayerInit
  readonly #key = randomBytes(32)
  readonly #sign = signerOf(this.#key)
  readonly #address = addressOfKey(this.#key)
  readonly #promises: ReturnType<typeof preparePromises>
  readonly #stream = new StandInStream((bytes) => this.#onBytes(bytes))
  readonly #live = Promise.withResolvers<void>()
  #chain: Chain | undefined
  /** what all prepared payments come to, base units: what the payee must hold when the last of them is durable */
  total = 0n
  #script: Script = { bytes: new Uint8Array(0), ends: new Uint32Array(0) }
  /** what was paid before this script */
  #base = 0n
  #sent = 0
  #window = 1
  #done = Promise.withResolvers<void>()
  #refused: ((code: number) => void) | undefined

  constructor(init: ScriptedPayerInit) {
    this.#init = init
    const parties = { owner: this.#address, signer: this.#address, target: init.target, token: init.token }
    this.channel = channelId(parties)
    this.#promises = preparePromises(init.domain, parties)
    this.link = controlLink<FromPayer, FromPayee>({
      stream: this.#stream.asStream,
      peer: peerIdentity(peerIdOfKey(this.#key)),
      decode: decodeFromPayer,
      nowMs: systemClock.nowMs,
      lingerMs: 1_000,
    })
  }

  /** Agrees on a session. */
  async open(service: string): Promise<void> {
    const hello: Hello = {
      type: 'hello', session: this.session, resume: false, owner: this.#address, token: this.#init.token, service, inputs: new Uint8Array(0),
      signed: 0n as Amount, acked: ZERO_METER,
    } // biome-ignore format: a record
    this.#say(hello)
    await this.#live.promise
  }

  /** Signs and encodes the next `count` payments; answers how many of them are promises. */
  prepare(count: number, pay: 'promise' | 'tick'): number {
    this.#base = this.total
    let promises = 0
    let chain = pay === 'tick' && this.#chain !== undefined ? this.#withWords(this.#chain) : undefined
    const frames = Array.from({ length: count }, () => {
      const isTick = chain !== undefined && chain.k < chain.steps
      if (!isTick) promises += 1
      if (!isTick && pay === 'tick') chain = this.#newChain(chain)
      const message = isTick && chain !== undefined ? this.#tick(chain) : this.#promise(chain)
      this.total += CHUNK_COST
      return encodeFrame(encodeMessage(message), MAX_SESSION_FRAME_BYTES)
    })
    this.#chain = chain === undefined ? undefined : { salt: chain.salt, steps: chain.steps, k: chain.k }
    let end = 0
    const ends = Uint32Array.from(frames, (frame) => (end += frame.length))
    this.#script = { bytes: Buffer.concat(frames), ends }
    this.#sent = 0
    return promises
  }

  /** Pays what is prepared, up to `window` payments on their way; resolves when the last one is durable and told. */
  async pay(window: number): Promise<void> {
    this.#window = window
    this.#done = Promise.withResolvers<void>()
    this.#send(0)
    await this.#done.promise
  }

  /** Sends all that is prepared with the word of payment `at` forged; resolves with the number that the payee refuses it with. */
  async payForged(at: number): Promise<number> {
    const { bytes, ends } = this.#script
    const last = (ends[at] ?? 0) - 1
    bytes[last] = (bytes[last] ?? 0) ^ 1
    const refused = new Promise<number>((resolve) => (this.#refused = resolve))
    this.#window = ends.length
    this.#send(0)
    return await refused
  }

  /** Bytes of its own, brought to the payee's end. */
  arrive(bytes: Uint8Array): void {
    this.#stream.arrive(bytes)
  }

  #withWords(chain: Chain): OpenChain {
    return { ...chain, words: wordChainsOf(this.#key)(this.#init.domain, this.channel, chain.salt, chain.steps) }
  }

  #newChain(before: Chain | undefined): OpenChain {
    return this.#withWords({
      salt: randomBytes(SALT_BYTES),
      steps: before === undefined ? this.#init.firstSteps : MAX_STEPS,
      k: 0,
    })
  }

  #tick(chain: OpenChain): FromPayer {
    chain.k += 1
    return { type: 'tick', session: this.session, k: chain.k, word: chain.words.word(chain.k) }
  }

  /** A promise that pays a chunk and folds the chain before it; with a chain it begins that one. */
  #promise(chain: OpenChain | undefined): FromPayer {
    const total = (this.total + CHUNK_COST) as Amount
    const unit = CHUNK_COST as Amount
    const locks = chain === undefined ? [] : [{ anchor: chain.words.anchor, unit, steps: chain.steps, expiry: 0 as Seconds }]
    const promise = this.#promises.sign(total, locks, this.#sign)
    return { type: 'promise', session: this.session, total, promise, salt: chain?.salt }
  }

  /** As much as the window allows in one run of bytes, as a socket that was not read for a moment hands it over. */
  #send(durable: number): void {
    const { bytes, ends } = this.#script
    const until = Math.min(ends.length, durable + this.#window)
    if (until <= this.#sent) return
    const from = this.#sent === 0 ? 0 : ends[this.#sent - 1]
    this.#sent = until
    this.#init.deliver(this, bytes.subarray(from, ends[until - 1]))
  }

  #say(message: FromPayer): void {
    this.#init.deliver(this, encodeFrame(encodeMessage(message), MAX_SESSION_FRAME_BYTES))
  }

  /** Whole frames, as the payee's link writes them. Meter messages are read where their figure lies: this is not the payee's work. */
  #onBytes(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at < bytes.length; ) {
      const end = at + FRAME_HEADER_BYTES + view.getUint32(at)
      if (bytes[at + FRAME_HEADER_BYTES] === MESSAGES.meter.type) this.#onPaid(view.getBigUint64(at + PAID_AT))
      else this.#onMessage(decodeFromPayee(bytes.subarray(at + FRAME_HEADER_BYTES, end)))
      at = end
    }
  }

  #onMessage(message: FromPayee | undefined): void {
    if (message?.type === 'terms')
      this.#say({ type: 'accept', session: this.session, signature: signTerms(this.#init.domain, message.terms, this.#sign) })
    else if (message?.type === 'ready') this.#live.resolve()
    else if (message?.type === 'fault' && this.#refused !== undefined) this.#refused(message.code)
    else if (message?.type !== 'receipt') stop(`the desk said ${message?.type}`)
  }

  #onPaid(paid: bigint): void {
    if (this.#refused !== undefined) return
    const durable = Number((paid - this.#base) / CHUNK_COST)
    if (durable === this.#script.ends.length) this.#done.resolve()
    else this.#send(durable)
  }
}

/** Ends the process: thrown where it is noticed it would only end the stream. */
function stop(why: string): void {
  setImmediate(() => {
    throw new Error(why)
  })
}
