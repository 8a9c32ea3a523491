import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AbiCoder, keccak256, type LogDescription, toBeHex } from 'ethers'
import fc from 'fast-check'
import { type Address, type ChannelParties, channelId } from '../../../src/core/ids.ts'
import type { LedgerEvent } from './calls.ts'
import { Cast } from './cast.ts'
import { type Chain, type Contract, fundWallet, LEDGER, startChain } from './fixture.ts'
import { MAX_EPOCH, Model } from './model.ts'
import { type Step, sequence, timeOf, toCall } from './steps.ts'

/** A longer run takes other seeds; a failure prints the one to run again. */
const RUNS = Number(process.env.DIFFERENTIAL_RUNS ?? 16)
const SEED = Number(process.env.DIFFERENTIAL_SEED ?? 20)
const WEALTH = 400n

/** One token of a play, on the chain and in the model. */
interface Side {
  readonly token: Contract
  readonly cast: Cast
  readonly model: Model
}

/** In the second token what an owner has is worth more than 96 bits. It returns nothing and panics where the other names an error. */
const TOKENS = [
  { artefact: 'test/AuthorizationToken', scale: 1n, authorizes: true, shortError: 'ERC20InsufficientBalance' },
  { artefact: 'test/NoReturnToken', scale: 1n << 90n, authorizes: false, shortError: 'Panic' },
]

/** What no sequence calls. Several calls at once, which the forwarder's and the gasless tests make. */
const OTHER_CALLS = ['multicall']
/** Errors that take a hostile token or signature, or are OpenZeppelin's; the tests of tokens and deposits have them. */
const OTHER_ERRORS = [
  ...['AddressEmptyCode', 'FailedCall', 'InvalidShortString', 'ReentrancyGuardReentrantCall'],
  ...['SafeERC20FailedOperation', 'StringTooLong'],
]
/** The tokens' own. */
const TOKEN_ERRORS = ['ERC20InsufficientBalance', 'Panic', 'Error']

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

  /** What the ledger says of everything that the models know, in one read. */
  async function readAll(sides: readonly Side[]): Promise<unknown[]> {
    const { ledger } = chain
    const reads = sides.flatMap(({ cast: { accounts, channels, targets, token } }): [fn: string, args: readonly unknown[]][] => [
      ...accounts.map((account): [string, unknown[]] => ['balanceOf', [account, token]]),
      ...channels.map((parties): [string, unknown[]] => ['channel', [channelId(parties)]]),
      ...targets.flatMap((target): [string, unknown[]][] =>
        ['payoutOf', 'proposedPayoutOf', 'payoutNonce', 'maxRelayFee'].map((fn) => [fn, [target, token]]),
      ),
    ])
    const [results] = (await ledger.read(
      'multicall',
      reads.map(([fn, args]) => ledger.data(fn, ...args)),
    )) as unknown as [string[]]
    return reads.flatMap(([fn], i) => [...ledger.abi.decodeFunctionResult(fn, results[i] ?? '0x')].map(plain))
  }

  function expectAll(sides: readonly Side[]): unknown[] {
    return sides.flatMap(({ cast, model }) => [
      ...cast.accounts.map((account) => model.balance(account)),
      ...cast.channels.flatMap((parties) => {
        const { deposit, settled, expiry, epoch } = model.channel(parties)
        return [deposit, settled, BigInt(expiry), BigInt(epoch)]
      }),
      ...cast.targets.flatMap((target) => [
        model.payoutOf(target),
        model.proposedOf(target),
        model.nonceOf(target),
        model.feeOf(target),
      ]),
    ])
  }

  async function compareWallets({ token, cast, model }: Side): Promise<void> {
    for (const wallet of [...cast.accounts, ...cast.boxes.values()]) {
      assert.equal((await token.read('balanceOf', wallet))[0], model.wallet(wallet), `what ${wallet} has outside`)
    }
  }

  /** Where SPEC.md says that the ledger stores a channel. */
  async function setEpoch(parties: ChannelParties, epoch: number): Promise<void> {
    const slot = keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256'], [channelId(parties), 5]))
    await chain.rpc('anvil_setStorageAt', LEDGER, slot, toBeHex(BigInt(epoch) << 232n, 32))
  }

  async function newSide(name: string, { artefact, shortError, ...kind }: (typeof TOKENS)[number]): Promise<Side> {
    const token = await chain.deploy(artefact)
    const cast = new Cast(name, { ...kind, token: token.address.toLowerCase() as Address })
    const model = new Model(cast.token, shortError)
    for (const owner of cast.owners) {
      await fundWallet(chain, owner, WEALTH * cast.scale, token)
      model.fundWallet(owner, WEALTH * cast.scale)
    }
    // one channel can be opened once more and never again
    const old = cast.channels.at(-1)
    assert.ok(old !== undefined)
    await setEpoch(old, MAX_EPOCH - 1)
    model.setChannel(old, { ...model.channel(old), epoch: MAX_EPOCH - 1 })
    return { token, cast, model }
  }

  /** Plays a sequence on the chain and in the model, and compares state, events and refusals after each step. */
  async function play(steps: readonly Step[]): Promise<void> {
    plays += 1
    const sides: Side[] = []
    for (const kind of TOKENS) sides.push(await newSide(`play ${plays}`, kind))
    let time = (await chain.now()) + 10n
    for (const next of steps) {
      const side = sides[next.side]
      assert.ok(side !== undefined)
      const { token, cast, model } = side
      time = timeOf(next, cast, model, time)
      const call = toCall(next, cast, model, time)
      if (call === undefined) continue
      const [from, args] = await cast.encode(call)
      const settledBefore = cast.channels.map((parties) => model.channel(parties).settled)
      const outcome = model.apply(call, time)
      await chain.nextBlockAt(time)
      if (typeof outcome === 'string') {
        const { name } = await chain.ledger.fails(from, call.fn, ...args)
        assert.equal(name, outcome, `why ${call.fn} is refused`)
        count(refused, outcome)
      } else {
        const { events } = await chain.ledger.send(from, call.fn, ...args)
        assert.deepEqual(events.map(toEvent), outcome, `what ${call.fn} logs`)
        count(taken, call.fn)
        for (const event of outcome) count(taken, ...kindsOf(event, model))
      }
      // of both tokens: a call in one leaves the other alone
      assert.deepEqual(await readAll(sides), expectAll(sides), `what ${call.fn} leaves behind`)
      assert.equal((await token.read('balanceOf', LEDGER))[0], model.held(), 'the ledger holds all balances and all reservations')
      cast.channels.forEach((parties, i) => {
        const { deposit, settled } = model.channel(parties)
        assert.ok(settled >= (settledBefore[i] ?? 0n), 'settled never falls')
        assert.ok(settled <= deposit, 'settled never exceeds the deposit')
      })
    }
    for (const side of sides) await compareWallets(side)
  }

  test('whatever is called in whatever order, the ledger does, logs and refuses what the model says', async () => {
    await fc.assert(fc.asyncProperty(sequence, play), {
      numRuns: RUNS,
      seed: SEED,
      // a failure is made shorter until then
      interruptAfterTimeLimit: RUNS * 10_000,
      markInterruptAsFailure: true,
    })
  })

  test('the sequences reached every call, every event and every refusal', () => {
    const calls: string[] = []
    const events: string[] = []
    const errors: string[] = [...TOKEN_ERRORS]
    chain.ledger.abi.forEachFunction(({ name, constant }) => void (constant || calls.push(name)))
    chain.ledger.abi.forEachEvent(({ name }) => void events.push(name))
    chain.ledger.abi.forEachError(({ name }) => void errors.push(name))
    const missing = [
      ...calls.filter((name) => !taken.has(name) && !OTHER_CALLS.includes(name)),
      ...events.filter((name) => !taken.has(name) && name !== 'EIP712DomainChanged'),
      ...errors.filter((name) => !refused.has(name) && !OTHER_ERRORS.includes(name)),
    ]
    const kinds = ['RowSkipped for 1', 'RowSkipped for 2', 'RowSkipped for 3', 'paid elsewhere', 'fee kept']
    assert.deepEqual([...missing, ...kinds.filter((kind) => !taken.has(kind))], [])
  })
})

function count(map: Map<string, number>, ...names: readonly string[]): void {
  for (const name of names) map.set(name, (map.get(name) ?? 0) + 1)
}

/** The event's name, and what is special about it. */
function kindsOf([name, target, , third, reason]: LedgerEvent, model: Model): string[] {
  if (name === 'RowSkipped') return [name, `${name} for ${reason}`]
  if ((name !== 'Settled' && name !== 'BatchSettled') || third === target) return [name]
  return model.feeOf(target as Address) === 0n ? [name, 'paid elsewhere'] : [name, 'paid elsewhere', 'fee kept']
}

/** Addresses in lower case, as the core writes them. */
function plain(value: unknown): unknown {
  if (typeof value === 'string') return value.toLowerCase()
  return Array.isArray(value) ? [...value].map(plain) : value
}

function toEvent({ name, args }: LogDescription): LedgerEvent {
  return [name, ...[...args].map(plain)]
}
