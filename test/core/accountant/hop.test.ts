// What a payee takes, and what a provider counts. @see protocols/clearing/SPEC.md section 3
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Hop, type HopLink, newHop, replaceLink } from '../../../src/core/accountant/hop.ts'
import { type HopRules, judgeUpdate } from '../../../src/core/accountant/judge.ts'
import { updateTaken, writeUpdate } from '../../../src/core/accountant/payer.ts'
import { type ProviderContext, type ProviderInput, providerStep } from '../../../src/core/accountant/provider.ts'
import { equalBytes } from '../../../src/core/bytes.ts'
import { NO_CHANNEL } from '../../../src/core/channel.ts'
import { channelId, type Seconds } from '../../../src/core/ids.ts'
import type { Lock } from '../../../src/core/lock.ts'
import type { SignedPromise } from '../../../src/core/promise.ts'
import { anchorOf, type Chain, newChain } from '../../sim/clearing-chains.ts'
import { TOKEN } from '../../sim/clearing-ledger.ts'
import { mutate } from '../../sim/clearing-mutants.ts'
import { Random } from '../../sim/random.ts'
import { A, ACCOUNTANT, lockOf, PROVIDER, sign } from './bench.ts'

const NOW = 1_000_000
const parties = { owner: ACCOUNTANT, signer: ACCOUNTANT, target: PROVIDER, token: TOKEN }
const facts = { ...NO_CHANNEL, deposit: A(100_000), expiry: (NOW + 50_000) as Seconds }
const empty = newHop(channelId(parties), parties, facts)
const rules = (of: Partial<HopRules> = {}): HopRules => ({
  nowS: NOW as Seconds, chainS: NOW as Seconds, marginS: 100, longestS: 20_000, forwards: false, isAnchorUsed: () => false,
  verify: ({ amount, locks, signature }) => equalBytes(sign(empty, amount, locks).signature, signature), ...of,
}) // biome-ignore format: a record
const promised = (amount: number, locks: readonly Lock[]): SignedPromise => sign(empty, A(amount), locks)

/** A hop with these locks, of which so much is known. */
function hopOf(
  amount: number,
  ...links: readonly { chain: Chain; unit: number; expiry: number; known?: number; freed?: boolean }[]
): Hop {
  const locks = links.map(({ chain, unit, expiry }) => lockOf(chain, unit, expiry))
  return {
    ...empty,
    promise: promised(amount, locks),
    links: links.map(({ chain, known = 0, freed = false }, i) => {
      const { anchor, unit, steps, expiry } = locks[i] as Lock
      return { anchor, unit, steps, expiry, folded: 0, known, word: chain.words[known] as Uint8Array, freed }
    }),
  }
}
const verdict = (hop: Hop, amount: number, locks: readonly Lock[], of: Partial<HopRules> = {}, adds?: bigint): string => {
  const judged = judgeUpdate(hop, promised(amount, locks), adds, rules(of))
  return typeof judged === 'string'
    ? judged
    : `${judged.promise?.amount} ${judged.links.map(({ folded, known }) => `${folded}/${known}`).join(' ')}`
}

describe('K2 and K3: which promise follows which', () => {
  const [a, b] = [newChain(10), newChain(10)]
  const T = NOW + 1_000
  const hop = hopOf(50, { chain: a, unit: 3, expiry: T, known: 4 }, { chain: b, unit: 3, expiry: T })
  const rest = (chain: Chain, folded = 0, expiry = T): Lock => lockOf(chain, 3, expiry, folded)

  test('one that carries all on, folded as far as it is paid', () => {
    assert.equal(verdict(hop, 50, [rest(a), rest(b)]), 'same')
    assert.equal(verdict(hop, 51, [rest(a), rest(b)]), '51 0/4 0/0')
    assert.equal(verdict(hop, 62, [rest(a, 4), rest(b)]), '62 4/4 0/0')
    assert.equal(verdict(hop, 61, [rest(a, 4), rest(b)]), 'LOCKS_REFUSED', 'no hash is made that is not paid')
    assert.equal(verdict(hop, 56, [rest(a, 2), rest(b)]), '56 2/4 0/0')
  })
  test('one that folds words which the payee has not seen: it learns them', () => {
    assert.equal(verdict(hop, 71, [rest(a, 7), rest(b)]), '71 7/7 0/0')
    const wrong = { ...rest(a, 7), anchor: anchorOf(newChain(3)) }
    assert.equal(verdict(hop, 71, [wrong, rest(b)]), 'LOCKS_REFUSED')
  })
  test('none that leaves a rest out, unless it is paid in full', () => {
    assert.equal(verdict(hop, 62, [rest(b)]), 'AMOUNT_TOO_LOW')
    assert.equal(verdict(hop, 79, [rest(b)]), 'AMOUNT_TOO_LOW')
    assert.equal(verdict(hop, 80, [rest(b)]), '80 0/0')
  })
  test('one that leaves out what is freed, when what is known of it is paid', () => {
    const freed = replaceLink(hop, { ...(hop.links[0] as HopLink), freed: true })
    assert.equal(verdict(freed, 61, [rest(b)]), 'AMOUNT_TOO_LOW')
    assert.equal(verdict(freed, 62, [rest(b)]), '62 0/0')
  })
  test('one that leaves out what is over: what nobody claimed is lost, what was claimed is paid', () => {
    const over = { nowS: (T + 100) as Seconds, chainS: T as Seconds }
    assert.equal(verdict(hop, 50, [], over), '50 ')
    assert.equal(verdict(hop, 50, [], { ...over, chainS: (T - 1) as Seconds }), 'AMOUNT_TOO_LOW', 'not before a block says so')
    const settled = { ...hop, facts: { ...facts, settled: A(62) } }
    assert.equal(verdict(settled, 61, [], over), 'AMOUNT_TOO_LOW')
    assert.equal(verdict(settled, 62, [], over), '62 ')
    const more = { ...hop, facts: { ...facts, settled: A(70) } }
    assert.equal(verdict(more, 69, [], over), 'AMOUNT_TOO_LOW', 'somebody showed the ledger more than the payee knows')
    assert.equal(verdict(more, 70, [], over), '70 ')
    const later = hopOf(50, { chain: a, unit: 3, expiry: T, known: 4 }, { chain: b, unit: 3, expiry: T + 900 })
    const claimed = { ...later, facts: { ...facts, settled: A(53) } }
    assert.equal(verdict(claimed, 61, [rest(b, 0, T + 900)], over), 'AMOUNT_TOO_LOW')
    assert.equal(verdict(claimed, 62, [rest(b, 0, T + 900)], over), '62 0/0')
  })
  test('none with another unit, an earlier expiry, another order, a lock too many, or less in the amount', () => {
    assert.equal(verdict(hop, 50, [{ ...rest(a), unit: A(2) }, rest(b)]), 'LOCKS_REFUSED')
    assert.equal(verdict(hop, 50, [rest(a, 0, T - 1), rest(b)]), 'LOCKS_REFUSED')
    assert.equal(verdict(hop, 50, [rest(b), rest(a)]), 'LOCKS_REFUSED')
    assert.equal(verdict(hop, 50, [rest(a), rest(b), rest(newChain(2))]), 'LOCKS_REFUSED')
    assert.equal(verdict(hop, 49, [rest(a), rest(b)]), 'AMOUNT_TOO_LOW')
  })
  test('K8: of a payee that forwards all locks expire together, and may be moved together', () => {
    const more = rest(newChain(5), 0, T + 500)
    assert.equal(verdict(hop, 50, [rest(a), rest(b), more], { forwards: true }, 0n), 'EXPIRY_REFUSED')
    assert.equal(verdict(hop, 50, [rest(a), rest(b), more], {}, 0n), '50 0/4 0/0 0/0')
    assert.equal(verdict(hop, 50, [rest(a, 0, T + 500), rest(b, 0, T + 500), more], { forwards: true }, 0n), '50 0/4 0/0 0/0')
  })

  test('K5: none whose lock outlasts the reservation less the margin, or never expires; a new one runs neither too short nor too long', () => {
    const link = (expiry: number): string => verdict(empty, 0, [rest(a, 0, expiry)], {}, 0n)
    assert.equal(link(facts.expiry - 100), 'EXPIRY_REFUSED', 'longer than this payee wants')
    const moved = [rest(a, 0, facts.expiry - 100), rest(b)]
    assert.equal(verdict(hop, 50, moved), '50 0/4 0/0')
    assert.equal(verdict(hop, 50, [rest(a, 0, facts.expiry - 99), rest(b)]), 'EXPIRY_REFUSED')
    assert.equal(link(0), 'EXPIRY_REFUSED')
    assert.equal(link(NOW + 100), 'EXPIRY_REFUSED')
    assert.equal(link(NOW + 101), '0 0/0')
    assert.equal(link(NOW + 20_001), 'EXPIRY_REFUSED')
  })
  test('K1 and K7: none with a wrong signature, a unit of zero, or an anchor that was used before', () => {
    const one = promised(0, [rest(a)])
    assert.equal(judgeUpdate(empty, { ...one, signature: new Uint8Array(65) }, 0n, rules()), 'SIGNER_WRONG')
    assert.equal(judgeUpdate(empty, one, 0n, rules({ isAnchorUsed: (anchor) => anchor === anchorOf(a) })), 'LOCKS_REFUSED')
    assert.equal(verdict(empty, 0, [{ ...rest(a), unit: A(0) }], {}, 0n), 'LOCKS_REFUSED')
    assert.equal(verdict(empty, 0, [rest(a), rest(a)], {}, 0n), 'LOCKS_REFUSED')
    assert.equal(verdict(empty, 0, [], {}, 0n), 'LOCKS_REFUSED', 'a link brings a lock')
  })

  test('whatever is taken is worth no less than all before, with every set of words, at every time', () => {
    for (let seed = 1; seed <= 150; seed++) holdsForOne(new Random(seed), seed)
  })
})

/** One hop whose payer says many things; what is taken of them is compared with all that was taken before. */
function holdsForOne(random: Random, seed: number): void {
  const chains = new Map<string, Chain>()
  const taken: SignedPromise[] = []
  let payer = empty
  let payee = empty
  let now = NOW
  for (let i = 0; i < 30; i++) {
    now += random.int(0, 60)
    const chain = newChain(random.int(1, 8))
    const adds = random.chance(0.4) ? lockOf(chain, random.int(1, 9), now + random.int(101, 600)) : undefined
    const written = writeUpdate(payer, adds === undefined ? {} : { adds }, {
      chainS: now as Seconds,
      uniform: false,
      sign: (...what) => sign(empty, ...what),
    })
    const honest = typeof written === 'string' ? payee.promise : written.update?.promise
    if (honest === undefined) continue
    const said = random.chance(0.5) ? mutate(honest, random) : honest
    const promise = sign(empty, said.amount, said.locks)
    const judged = judgeUpdate(
      payee,
      promise,
      adds === undefined ? undefined : 0n,
      rules({ nowS: now as Seconds, chainS: now as Seconds }),
    )
    if (typeof judged !== 'string') {
      if (adds !== undefined) chains.set(adds.anchor, chain)
      taken.push(promise)
      payee = judged
      payer = typeof written !== 'string' && said === honest ? updateTaken(written) : { ...judged, update: undefined }
    }
    for (const link of payee.links) {
      const words = chains.get(link.anchor)?.words
      const known = random.int(link.known, link.steps)
      if (words === undefined || random.chance(0.5)) continue
      const freed = link.freed || random.chance(0.1)
      payee = replaceLink(payee, {
        ...link,
        known: link.freed ? link.known : known,
        word: words[link.freed ? link.known : known] as Uint8Array,
        freed,
      })
      payer = { ...payer, links: payee.links }
    }
    assertWorth(payee, taken, chains, now, random, seed)
  }
}

function assertWorth(
  payee: Hop,
  taken: readonly SignedPromise[],
  chains: ReadonlyMap<string, Chain>,
  now: number,
  random: Random,
  seed: number,
): void {
  const deepest = new Map<string, number>()
  for (const [anchor, { words }] of chains) {
    const link = payee.links.find((one) => one.anchor === anchor)
    // of what was left out: it was paid in full, is over, or was freed, and then the payee takes no further word
    deepest.set(anchor, link === undefined ? 0 : link.freed ? link.known : random.int(link.known, words.length - 1))
  }
  const at = now + random.int(0, 700)
  const worth = ({ amount, locks }: SignedPromise): bigint => locks.reduce((sum, lock) => {
    for (const [anchor, { words }] of chains) {
      const begins = words.findIndex((word) => anchorOf({ words: [word] }) === lock.anchor)
      const k = (deepest.get(anchor) ?? 0) - begins
      if (begins >= 0 && k > 0 && lock.expiry > at) return sum + BigInt(k) * lock.unit
    }
    return sum
  }, amount as bigint) // biome-ignore format: one expression
  const best = payee.promise === undefined ? 0n : worth(payee.promise)
  for (const older of taken) assert.ok(best >= worth(older), `seed ${seed}: an older promise is worth more`)
}

describe('K9: a provider counts only what it can claim alone', () => {
  const [a, b] = [newChain(10), newChain(10)]
  const hop = hopOf(0, { chain: a, unit: 5, expiry: NOW + 1_000 }, { chain: b, unit: 5, expiry: NOW + 3_000 })
  const at = (nowS: number): ProviderContext => ({
    ...rules({ nowS: nowS as Seconds, chainS: (nowS - 20) as Seconds }),
    askS: 50,
  })
  const tick = (chain: Chain, known: number): ProviderInput => ({
    type: 'tick', shown: { anchor: anchorOf(chain), known, word: chain.words[known] as Uint8Array },
  }) // biome-ignore format: a record
  const what = (of: Hop, input: ProviderInput, nowS: number): string =>
    providerStep(of, input, at(nowS))
      .effects.map((effect) => (effect.type === 'refused' ? effect.code : effect.type))
      .join(' ')

  test('a word is stored, then counted; an older one is counted as before; a wrong one is not', () => {
    const { hop: next } = providerStep(hop, tick(a, 3), at(NOW))
    assert.equal(what(hop, tick(a, 3), NOW), 'store counted')
    assert.equal(what(next, tick(a, 2), NOW), 'counted')
    const wrong = { anchor: anchorOf(a), known: 4, word: b.words[4] as Uint8Array }
    assert.equal(what(next, { type: 'tick', shown: wrong }, NOW), 'WORD_WRONG')
    assert.equal(what(next, { type: 'tick', shown: { ...wrong, known: 11 } }, NOW), 'WORD_WRONG')
  })
  test('up to its margin before the expiry of the lock', () => {
    assert.equal(what(hop, tick(a, 1), NOW + 899), 'store counted')
    assert.equal(what(hop, tick(a, 1), NOW + 900), 'CHANNEL_EXPIRED')
    assert.equal(what(hop, tick(b, 1), NOW + 900), 'store counted', 'nothing of the first is open')
  })
  test('and of no lock any more when another one is open that near to its expiry', () => {
    const { hop: open } = providerStep(hop, tick(a, 3), at(NOW))
    assert.equal(what(open, tick(b, 1), NOW + 899), 'store counted')
    assert.equal(what(open, tick(b, 1), NOW + 900), 'CHANNEL_EXPIRED')
    const folded = judgeUpdate(open, promised(15, [lockOf(a, 5, NOW + 1_000, 3), lockOf(b, 5, NOW + 3_000)]), undefined, rules())
    assert.ok(typeof folded !== 'string')
    assert.equal(what(folded, tick(b, 1), NOW + 900), 'store counted', 'a fold opens it again')
  })
  test('it asks for a fold before that time, and settles at that time', () => {
    const { hop: open } = providerStep(hop, tick(a, 3), at(NOW))
    assert.equal(what(open, { type: 'clock' }, NOW + 849), '')
    assert.equal(what(open, { type: 'clock' }, NOW + 850), 'send')
    assert.equal(what(open, { type: 'clock' }, NOW + 900), 'send settle')
    const settled = { ...open, facts: { ...facts, settled: A(15) } }
    assert.equal(what(settled, { type: 'clock' }, NOW + 900), 'send', 'once')
  })
  test('it forwards nothing', () => {
    const message = {
      type: 'link',
      owner: ACCOUNTANT,
      token: TOKEN,
      consumer: ACCOUNTANT,
      promise: promised(0, [lockOf(a, 5, NOW + 1_000)]),
    } as const
    const hops = [{ peer: new Uint8Array(33), unit: A(1), rent: A(0), expiry: NOW as Seconds }]
    const { effects } = providerStep(empty, { type: 'link', message: { ...message, hops } }, at(NOW))
    assert.deepEqual(effects, [{ type: 'send', message: { type: 'fault', anchor: anchorOf(a), code: 116 } }])
    assert.equal(what(empty, { type: 'link', message: { ...message, hops: [] } }, NOW), 'store send')
  })
})
