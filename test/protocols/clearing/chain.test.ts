// Linked locks on the real contract: real keys and signatures, the real rules of all three, and the words as the ledger's log tells them.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Wallet } from 'ethers'
import { accountantStep } from '../../../src/core/accountant/accountant.ts'
import { type AccountantContext, type AccountantInput, type Books, NO_BOOKS } from '../../../src/core/accountant/books.ts'
import { signGrant, verifyGrant } from '../../../src/core/accountant/grant.ts'
import { type Hop, newHop, revealedOf } from '../../../src/core/accountant/hop.ts'
import { type ProviderContext, providerStep } from '../../../src/core/accountant/provider.ts'
import { fromHex, toHex } from '../../../src/core/bytes.ts'
import type { ChannelFacts } from '../../../src/core/channel.ts'
import { signerOf } from '../../../src/core/crypto/secp256k1.ts'
import { type Address, channelId, type Hash32, type Seconds } from '../../../src/core/ids.ts'
import type { Lock, Reveal } from '../../../src/core/lock.ts'
import { encodeRows, preparePromises, type SignedPromise, settleRow } from '../../../src/core/promise.ts'
import { A, lockOf } from '../../core/accountant/bench.ts'
import { anchorOf, newChain, type Chain as Words } from '../../sim/clearing-chains.ts'
import { type Chain, fundBalance, LEDGER, newWallet, readChannel, startChain } from '../ledger/fixture.ts'

const MARGIN_S = 600
const DOMAIN = { chainId: 31337n, ledger: LEDGER.toLowerCase() as Address }
const low = ({ address }: Wallet): Address => address.toLowerCase() as Address

/** Consumer, accountant and provider with one channel from each to the next. */
class Three {
  readonly #chain: Chain
  readonly consumer = newWallet()
  readonly accountant = newWallet()
  readonly provider = newWallet()
  books: Books = NO_BOOKS
  inward!: Hop
  outward!: Hop
  now = 0 as Seconds

  constructor(chain: Chain) {
    this.#chain = chain
  }

  async open(): Promise<this> {
    this.inward = await this.#reserve(this.consumer, this.accountant, 5_000n)
    this.outward = await this.#reserve(this.accountant, this.provider, 4_000n)
    this.books = {
      ins: new Map([[this.inward.id, this.inward]]),
      outs: new Map([[this.outward.id, this.outward]]),
      routes: new Map(),
    }
    await this.look()
    return this
  }

  async #reserve(payer: Wallet, payee: Wallet, amount: bigint): Promise<Hop> {
    const token = this.#chain.token.address.toLowerCase() as Address
    await fundBalance(this.#chain, payer.address, amount)
    const expiry = (await this.#chain.now()) + 100_000n
    await this.#chain.ledger.send(payer.address, 'open', payer.address, payee.address, token, amount, expiry)
    const parties = { owner: low(payer), signer: low(payer), target: low(payee), token }
    return newHop(channelId(parties), parties, await this.#facts(channelId(parties)))
  }

  async #facts(id: string): Promise<ChannelFacts> {
    const { deposit, settled, expiry, epoch } = await readChannel(this.#chain, id)
    return { deposit: A(deposit), settled: A(settled), expiry: Number(expiry) as Seconds, epoch: Number(epoch) }
  }

  sign(hop: Hop, amount: bigint, locks: readonly Lock[]): SignedPromise {
    const wallet = hop.id === this.inward.id ? this.consumer : this.accountant
    return preparePromises(DOMAIN, hop.parties).sign(A(amount), locks, signerOf(fromHex(wallet.privateKey)))
  }

  step(input: AccountantInput): Hop {
    const context: AccountantContext = {
      nowS: this.now, chainS: this.now, isUp: () => true, forwards: () => false, isAnchorUsed: () => false,
      policy: {
        tariff: { forwards: true, perStep: A(1), share: 0, rent: A(5), longestS: 50_000, marginS: MARGIN_S },
        claimS: 60, maxPerPayer: A(9_000), maxPerPayee: A(9_000), maxLinksPerPayer: 8,
      },
      verify: (hop, promise) => preparePromises(DOMAIN, hop.parties).verify(promise),
      sign: (hop, amount, locks) => this.sign(hop, amount, locks),
      signGrant: (grant) => signGrant(DOMAIN, grant, signerOf(fromHex(this.accountant.privateKey))),
    } // biome-ignore format: a record
    const { books, effects } = accountantStep(this.books, input, context)
    this.books = books
    this.settles = effects.some(({ type }) => type === 'settle')
    const sent = effects.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []))
    for (const message of sent) {
      if (message.type === 'fault') throw new Error(`fault ${message.code}`)
      if (message.type === 'grant') this.granted = message.signature
      if (message.type !== 'link' && message.type !== 'fold') continue
      // the provider judges and takes it, by its own rules
      const judged = providerStep(this.outward, { type: message.type, message } as never, this.#providerContext())
      assert.equal(judged.effects[0]?.type, 'store')
      this.outward = judged.hop
    }
    return books.ins.get(this.inward.id) as Hop
  }
  settles = false
  granted: Uint8Array | undefined

  /** A link of ten steps at 100 and 101, granted. */
  link(words: Words, locks: readonly Lock[], amount: number, expiry: number): void {
    const { owner, token } = this.inward.parties
    const hops = [{ peer: new Uint8Array(33), unit: A(100), rent: A(0), expiry: expiry as Seconds }]
    const message = {
      type: 'link',
      owner,
      token,
      consumer: owner,
      promise: this.sign(this.inward, BigInt(amount), locks),
      hops,
    } as const
    this.step({ type: 'link', hop: this.inward.id, message, outHop: this.outward.id })
    this.step({ type: 'taken', hop: this.outward.id, anchor: anchorOf(words) })
  }

  tick(words: Words, known: number): void {
    const shown = { anchor: anchorOf(words), known, word: words.words[known] as Uint8Array }
    const { hop, effects } = providerStep(this.outward, { type: 'tick', shown }, this.#providerContext())
    assert.equal(effects.at(-1)?.type, 'counted')
    this.outward = hop
  }

  /** The provider takes no further word, and clears. */
  done(words: Words): void {
    const { hop, effects } = providerStep(this.outward, { type: 'done', anchor: anchorOf(words) }, this.#providerContext())
    this.outward = hop
    for (const effect of effects)
      if (effect.type === 'send' && effect.message.type === 'clear')
        this.step({ type: 'clear', hop: hop.id, entries: effect.message.entries })
  }

  #providerContext(): ProviderContext {
    return {
      nowS: this.now, chainS: this.now, marginS: 300, longestS: 50_000, askS: 0, isAnchorUsed: () => false,
      verify: (promise) => preparePromises(DOMAIN, this.outward.parties).verify(promise),
    } // biome-ignore format: a record
  }

  /** Settles a promise of a hop with what is shown of it; the accountant reads the words in the log. */
  async settle({ parties }: Hop, promise: SignedPromise, shown: ReadonlyMap<Hash32, Reveal>, at?: number): Promise<void> {
    if (at !== undefined) await this.#chain.nextBlockAt(BigInt(at))
    const row = toHex(encodeRows([settleRow(parties, promise, shown)]))
    const { events } = await this.#chain.ledger.send(parties.target, 'settle', parties.target, parties.token, row)
    this.now = Number(await this.#chain.now()) as Seconds
    for (const { name, args } of events)
      if (name === 'WordShown')
        this.step({ type: 'word', anchor: args[0], word: fromHex(args[1]), k: Number(args[2]), blockS: this.now })
    await this.look()
  }

  async look(): Promise<void> {
    this.now = Number(await this.#chain.now()) as Seconds
    for (const hop of [this.inward.id, this.outward.id]) this.step({ type: 'facts', hop, facts: await this.#facts(hop) })
    this.outward = { ...this.outward, facts: await this.#facts(this.outward.id) }
    this.step({ type: 'clock' })
  }

  async passTo(time: number): Promise<void> {
    await this.#chain.nextBlockAt(BigInt(time))
    await this.#chain.rpc('evm_mine')
    await this.look()
  }

  async settled(): Promise<{ paid: bigint; claimed: bigint }> {
    return { paid: (await this.#facts(this.outward.id)).settled, claimed: (await this.#facts(this.inward.id)).settled }
  }
}

describe('linked locks on the real ledger', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  test('a provider whose accountant is gone settles alone; the accountant reads the word in the log, and claims it', async () => {
    const three = await new Three(chain).open()
    const words = newChain(10)
    const out = three.now + 3_000
    three.link(words, [lockOf(words, 101, out + MARGIN_S)], 5, out)
    const { owner: consumer } = three.inward.parties
    const grant = {
      consumer,
      parties: three.outward.parties,
      anchor: anchorOf(words),
      unit: A(100),
      steps: 10,
      expiry: out as Seconds,
    }
    assert.ok(verifyGrant(DOMAIN, grant, three.granted as Uint8Array))
    three.tick(words, 3)
    three.tick(words, 7)
    await three.settle(three.outward, three.outward.promise as SignedPromise, revealedOf(three.outward))
    const hopIn = three.books.ins.get(three.inward.id) as Hop
    assert.equal(hopIn.links[0]?.known, 7)
    await three.settle(three.inward, hopIn.promise as SignedPromise, revealedOf(hopIn))
    assert.deepEqual(await three.settled(), { paid: 700n, claimed: 5n + 707n })
  })

  test('the promise before a clear, settled with deeper words in the last second before its expiry, is claimed inwards all the same', async () => {
    const three = await new Three(chain).open()
    const words = newChain(10)
    const out = three.now + 3_000
    three.link(words, [lockOf(words, 101, out + MARGIN_S)], 5, out)
    const first = three.outward.promise as SignedPromise
    three.tick(words, 4)
    three.done(words)
    three.step({ type: 'stored', hop: three.outward.id, signature: new Uint8Array(65) })
    assert.equal(three.outward.promise?.amount, 400n)
    const { owner, token } = three.inward.parties
    const folded = three.sign(three.inward, 5n + 404n, [lockOf(words, 101, out + MARGIN_S, 4)])
    three.step({ type: 'fold', hop: three.inward.id, message: { type: 'fold', owner, token, promise: folded } })
    const all = new Map([[anchorOf(words), { word: words.words[10] as Uint8Array, k: 10 }]])
    await three.settle(three.outward, first, all, out - 1)
    await three.passTo(out + 10)
    assert.ok(three.settles, 'within its margin it settles, whoever is there')
    const hopIn = three.books.ins.get(three.inward.id) as Hop
    assert.equal(hopIn.promise, folded)
    await three.settle(three.inward, hopIn.promise as SignedPromise, revealedOf(hopIn))
    assert.deepEqual(await three.settled(), { paid: 1_000n, claimed: 5n + 1_010n })
  })

  test('the trap of K8 and K9: what was claimed of a lock that is over shadows what another one earns, until it is folded', async () => {
    const three = await new Three(chain).open()
    const [early, late] = [newChain(10), newChain(10)]
    const [first, second] = [three.now + 1_000, three.now + 2_000]
    const locks = [lockOf(early, 100, first), lockOf(late, 100, second)]
    const promise = three.sign(three.outward, 0n, locks)
    const show = (words: Words, k: number): [Hash32, Reveal] => [anchorOf(words), { word: words.words[k] as Uint8Array, k }]
    await three.settle(three.outward, promise, new Map([show(early, 6)]))
    assert.equal((await three.settled()).paid, 600n)
    await three.passTo(first + 1)
    const earned = new Map([show(late, 6)])
    await assert.rejects(three.settle(three.outward, promise, earned), 'six steps more, and nothing is paid')
    const folded = three.sign(three.outward, 600n, [locks[1] as Lock])
    await three.settle(three.outward, folded, earned)
    assert.equal((await three.settled()).paid, 1_200n)
  })
})
