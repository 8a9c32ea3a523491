import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { concat, type Wallet } from 'ethers'
import fc from 'fast-check'
import {
  type Chain,
  type Contract,
  fundWallet,
  LEDGER,
  newParties,
  newWallet,
  readBalance,
  readChannel,
  startChain,
} from './fixture.ts'
import { settleCall, signClose, signedRow } from './messages.ts'
import { Model, type Step } from './model.ts'

const OWNERS = 2
const TARGETS = 2

const owner = fc.nat({ max: OWNERS - 1 })
const target = fc.nat({ max: TARGETS - 1 })
const amount = fc.bigInt(0n, 60n)

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('deposit' as const, 'withdraw' as const), owner, amount }),
  fc.record({ kind: fc.constant('transfer' as const), owner, to: owner, amount }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('open' as const), owner, target, amount, term: fc.bigInt(0n, 300n) }) },
  fc.record({ kind: fc.constant('topUp' as const), owner, target, by: owner, amount }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('settle' as const, 'direct' as const, 'close' as const),
      owner,
      target,
      amount: fc.bigInt(0n, 200n),
    }),
  },
  fc.record({
    kind: fc.constant('batch' as const),
    target,
    amounts: fc.array(fc.bigInt(0n, 200n), { minLength: OWNERS, maxLength: OWNERS }),
  }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reclaim' as const), owner, target }) },
  fc.record({ kind: fc.constant('wait' as const), seconds: fc.bigInt(1n, 200n) }),
)

describe('ledger invariants', () => {
  let chain: Chain
  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  function pick(wallets: readonly Wallet[], index: number): Wallet {
    const wallet = wallets[index]
    assert.ok(wallet !== undefined)
    return wallet
  }

  /** Plays a sequence on the chain and in the model, and compares after each step. */
  async function play(steps: readonly Step[]): Promise<void> {
    const owners = Array.from({ length: OWNERS }, newWallet)
    const targets = Array.from({ length: TARGETS }, newWallet)
    const token = await chain.deploy('test/NoReturnToken')
    const model = new Model()
    for (const [i, { address }] of owners.entries()) {
      await fundWallet(chain, address, 150n, token)
      model.wallets.set(`o${i}`, 150n)
    }
    let time = (await chain.now()) + 10n
    for (const next of steps) {
      time += next.kind === 'wait' ? next.seconds : 1n
      if (next.kind === 'wait') continue
      const [from, fn, args] = await toCall(next, owners, targets, token.address, model, time)
      await chain.nextBlockAt(time)
      const settledBefore = new Map([...model.channels].map(([key, c]) => [key, c.settled]))
      if (model.apply(next, time)) await chain.ledger.send(from, fn, ...args)
      else await chain.ledger.fails(from, fn, ...args)
      for (const [key, c] of model.channels) {
        assert.ok(c.settled >= (settledBefore.get(key) ?? 0n), 'settled never falls')
        assert.ok(c.deposit >= c.settled, 'settled never exceeds the deposit')
      }
      await compare(owners, targets, token, model)
      assert.equal((await token.read('balanceOf', LEDGER))[0], model.held(), 'the ledger holds all balances and all reservations')
    }
  }

  async function compare(owners: readonly Wallet[], targets: readonly Wallet[], token: Contract, model: Model): Promise<void> {
    for (const [kind, wallets] of [['o', owners] as const, ['t', targets] as const]) {
      for (const [i, { address }] of wallets.entries()) {
        assert.equal(await readBalance(chain, address, token.address), model.balance(`${kind}${i}`))
        assert.equal((await token.read('balanceOf', address))[0], model.wallets.get(`${kind}${i}`) ?? 0n)
      }
    }
    for (const [key, channel] of model.channels) {
      const [o = 0, t = 0] = key.split('>').map(Number)
      const parties = await newParties(chain, {
        owner: pick(owners, o),
        signer: pick(owners, o),
        target: pick(targets, t),
        token: token.address,
      })
      assert.deepEqual(await readChannel(chain, parties.id), channel)
    }
  }

  async function toCall(
    next: Exclude<Step, { kind: 'wait' }>,
    owners: readonly Wallet[],
    targets: readonly Wallet[],
    token: string,
    model: Model,
    time: bigint,
  ): Promise<[from: string, fn: string, args: unknown[]]> {
    const partiesOf = (o: number, t: number) =>
      newParties(chain, { owner: pick(owners, o), signer: pick(owners, o), target: pick(targets, t), token })
    switch (next.kind) {
      case 'deposit':
      case 'withdraw': {
        const { address } = pick(owners, next.owner)
        return [address, next.kind, [token, address, next.amount]]
      }
      case 'transfer':
        return [pick(owners, next.owner).address, 'transfer', [token, pick(owners, next.to).address, next.amount]]
      case 'batch': {
        const rows = await Promise.all(next.amounts.map(async (sum, o) => signedRow(await partiesOf(o, next.target), sum)))
        return [pick(targets, next.target).address, 'settleBatch', [pick(targets, next.target).address, token, concat(rows)]]
      }
      default: {
        const p = await partiesOf(next.owner, next.target)
        const [o, s, t] = [p.owner.address, p.signer.address, p.target.address]
        if (next.kind === 'open') return [o, 'open', [s, t, token, next.amount, time + next.term]]
        if (next.kind === 'topUp') return [pick(owners, next.by).address, 'topUp', [o, s, t, token, next.amount]]
        if (next.kind === 'reclaim') return [o, 'reclaim', [s, t, token]]
        if (next.kind === 'settle') {
          const [fn, ...args] = await settleCall(p, next.amount)
          return [t, fn, args]
        }
        if (next.kind === 'direct') return [t, 'settleDirect', [token, await signedRow(p, next.amount)]]
        const { epoch } = model.channel(next.owner, next.target)
        return [o, 'close', [s, t, token, next.amount, time, await signClose(p, next.amount, time, epoch)]]
      }
    }
  }

  test('whatever is called in whatever order, the ledger does what the rules say, stays solvent, and settled never falls', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 25, maxLength: 45 }), play), { numRuns: 10, seed: 20 })
  })
})
