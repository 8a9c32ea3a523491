import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { LogDescription } from 'ethers'
import fc from 'fast-check'
import type { Address } from '../../../src/core/ids.ts'
import { type Chain, type Contract, fundWallet, LEDGER, startChain } from './fixture.ts'
import { Model, type ModelEvent } from './model.ts'
import { Cast, type Step, step } from './steps.ts'

/** A longer run takes other seeds; a failure prints the one to run again. */
const RUNS = Number(process.env.DIFFERENTIAL_RUNS ?? 16)
const SEED = Number(process.env.DIFFERENTIAL_SEED ?? 20)
const WEALTH = 400n

describe('the ledger and its model', () => {
  let chain: Chain
  let plays = 0
  /** how each kind of call ended, over all sequences */
  const taken = new Map<string, number>()
  const refused = new Map<string, number>()

  before(async () => {
    chain = await startChain()
  })
  after(() => chain.stop())

  /** What the ledger says of everything that the model knows, in one read. */
  async function readAll(cast: Cast, ids: readonly string[]): Promise<unknown[]> {
    const { ledger } = chain
    const reads: [fn: string, args: readonly unknown[]][] = [
      ...cast.accounts.map((account): [string, unknown[]] => ['balanceOf', [account, cast.token]]),
      ...ids.map((id): [string, unknown[]] => ['channel', [id]]),
      ...cast.targets.flatMap((target): [string, unknown[]][] => [
        ['payoutOf', [target]],
        ['proposedPayoutOf', [target]],
        ['payoutNonce', [target]],
        ['maxRelayFee', [target, cast.token]],
      ]),
    ]
    const [results] = (await ledger.read(
      'multicall',
      reads.map(([fn, args]) => ledger.data(fn, ...args)),
    )) as unknown as [string[]]
    return reads.flatMap(([fn], i) => [...ledger.abi.decodeFunctionResult(fn, results[i] ?? '0x')].map(plain))
  }

  function expectAll(cast: Cast, model: Model, ids: readonly string[]): unknown[] {
    return [
      ...cast.accounts.map((account) => model.balance(account)),
      ...ids.flatMap((id) => {
        const { deposit, settled, expiry, epoch } = model.channels.get(id) ?? { deposit: 0n, settled: 0n, expiry: 0n, epoch: 0n }
        return [deposit, settled, expiry, epoch]
      }),
      ...cast.targets.flatMap((target) => [
        model.payoutOf(target),
        model.proposedOf(target),
        model.nonceOf(target),
        model.feeOf(target),
      ]),
    ]
  }

  async function walletsOf(cast: Cast, token: Contract): Promise<bigint[]> {
    return Promise.all(cast.accounts.map(async (account): Promise<bigint> => (await token.read('balanceOf', account))[0]))
  }

  /** Plays a sequence on the chain and in the model, and compares state, events and refusals after each step. */
  async function play(steps: readonly Step[]): Promise<void> {
    plays += 1
    const token = await chain.deploy('test/NoReturnToken')
    const cast = new Cast(`play ${plays}`, token.address.toLowerCase() as Address)
    const model = new Model(cast.token)
    for (const owner of cast.owners) {
      await fundWallet(chain, owner, WEALTH, token)
      model.wallets.set(owner, WEALTH)
    }
    for (const parties of cast.channels) model.channel(parties)
    const ids = [...model.channels.keys()]
    let time = (await chain.now()) + 10n
    for (const next of steps) {
      time += next.fn === 'wait' ? next.time : 1n
      const call = cast.toCall(next, model, time)
      if (call === undefined) continue
      const [from, fn, args] = cast.encode(call)
      const before = expectAll(cast, model, ids)
      const outcome = model.apply(call, time)
      await chain.nextBlockAt(time)
      if (typeof outcome === 'string') {
        assert.deepEqual(expectAll(cast, model, ids), before, 'a refusal changes nothing, also in the model')
        const { name } = await chain.ledger.fails(from, fn, ...args)
        assert.equal(name, outcome, `why ${fn} is refused`)
        count(refused, outcome)
      } else {
        const { events } = await chain.ledger.send(from, fn, ...args)
        assert.deepEqual(events.map(toEvent), outcome, `what ${fn} logs`)
        count(taken, next.fn)
        for (const [name] of outcome) count(taken, name)
      }
      assert.deepEqual(await readAll(cast, ids), expectAll(cast, model, ids), `what ${fn} leaves behind`)
      assert.equal((await token.read('balanceOf', LEDGER))[0], model.held(), 'the ledger holds all balances and all reservations')
    }
    assert.deepEqual(
      await walletsOf(cast, token),
      cast.accounts.map((account) => model.wallets.get(account) ?? 0n),
    )
  }

  test('whatever is called in whatever order, the ledger does, logs and refuses what the model says', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 50, maxLength: 70, size: 'max' }), play), {
      numRuns: RUNS,
      seed: SEED,
    })
  })

  test('the sequences reached every call, every event and every refusal', () => {
    const calls = [
      'deposit',
      'withdraw',
      'transfer',
      'open',
      'depositAndOpen',
      'topUp',
      'reclaim',
      'close',
      'settle',
      'settleBatch',
    ]
    const payout = ['proposePayoutFor', 'acceptPayout', 'setMaxRelayFee']
    const events = ['Deposited', 'Withdrawn', 'Transferred', 'Opened', 'ToppedUp', 'Settled', 'RowSkipped', 'Closed', 'Reclaimed']
    for (const name of [...calls, ...payout, ...events]) assert.ok((taken.get(name) ?? 0) > 0, `${name} never happened`)
    const channel = ['ChannelNotLive', 'ChannelNotOpen', 'NotExpired', 'ExpiryOutOfRange', 'AmountOutOfRange', 'DeadlinePassed']
    const signed = ['InvalidSignature', 'UnknownChannel', 'NothingToSettle', 'InvalidLocks']
    for (const name of [...channel, ...signed, 'InsufficientBalance', 'NotThePayout', 'NotProposed', 'Panic']) {
      assert.ok((refused.get(name) ?? 0) > 0, `${name} never happened`)
    }
  })
})

function count(map: Map<string, number>, name: string): void {
  map.set(name, (map.get(name) ?? 0) + 1)
}

/** Addresses in lower case, as the core writes them. */
function plain(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value
}

function toEvent({ name, args }: LogDescription): ModelEvent {
  return [name, ...[...args].map(plain)]
}
