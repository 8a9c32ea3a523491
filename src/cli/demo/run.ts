/**
 * The demo: a local chain, a provider process and a consumer process that know nothing of each other but one bootstrap address, a real
 * file, and the arithmetic at the end. With a fault or a cheat it shows that nobody loses more than was at risk.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Amount } from '../../core/amount.ts'
import { TallyError } from '../../core/errors.ts'
import { parseSessionId } from '../../core/ids.ts'
import type { TokenInfo } from '../../core/token.ts'
import { type Account, accountOf, type Facts, type Mode, type Wealth } from './account.ts'
import { Actor } from './actor.ts'
import { payeeSums, payerSums, type StorePlace, sha256Of } from './audit.ts'
import { beginRelay, gaslessFacts, withdraw } from './gasless.ts'
import { liveText, type Screen } from './screen.ts'
import type { Setup, ToParent } from './wire.ts'
import { BUDGET, makeWorld, PRICE, type World, wealth } from './world.ts'

export interface DemoOptions {
  readonly mode: Mode
  readonly sizeBytes: number
  /** 0 = as fast as it goes */
  readonly bytesPerSecond: number
  readonly keep: boolean
}

/** which part of the file has come when a process is killed */
const KILL_AT_PERCENT = 40n

interface Actors {
  readonly provider: Actor
  readonly consumer: Actor
}

/** Runs to the end and gives the account. @throws INTERNAL when a sum does not agree; whatever a process of it failed with */
export async function runDemo(options: DemoOptions, screen: Screen): Promise<Account> {
  const home = mkdtempSync(join(tmpdir(), 'tallystick-demo-'))
  const stack = new AsyncDisposableStack()
  stack.defer(() => (options.keep ? screen.lines([`kept: ${home}`]) : rmSync(home, { recursive: true, force: true })))
  try {
    return await new Demo(options, screen, home, stack).run()
  } finally {
    await stack.disposeAsync()
  }
}

class Demo {
  readonly #options: DemoOptions
  readonly #screen: Screen
  readonly #home: string
  readonly #stack: AsyncDisposableStack
  #token: TokenInfo | undefined
  #delivered = 0n
  #payments = 0
  #exposure = 0n
  /** what relays got, base units */
  #fees = { provider: 0n, consumer: 0n }
  #onProgress: (() => void) | undefined

  constructor(options: DemoOptions, screen: Screen, home: string, stack: AsyncDisposableStack) {
    this.#options = options
    this.#screen = screen
    this.#home = home
    this.#stack = stack
  }

  async run(): Promise<Account> {
    const world = await this.#build()
    const before = await wealth(world)
    const relay = this.#isGasless ? this.#start('relay', world.relay) : undefined
    if (relay !== undefined) await beginRelay(world, relay, this.#screen)
    const first = await this.#begin(world)
    const opened = await first.consumer.wait('session')
    this.#screen.step('session', `✔ session    ${opened.id.slice(0, 10)}…, a payment for each 64 KiB`, {
      session: opened.id,
    })
    const actors = this.#options.mode.startsWith('kill') ? await this.#killOne(world, first) : first
    const closed = await actors.consumer.wait('closed', 120_000)
    const ended = await actors.provider.wait('ended', 30_000)
    const how = closed.code === undefined ? 'by both sides, receipt signed by both' : `early: ${closed.code}`
    this.#screen.step('closed', `✔ closed     ${how}`, { code: closed.code ?? null, receipt: closed.receipt ?? null })
    const after = await this.#settle(world, actors)
    const gasless = this.#isGasless ? await gaslessFacts(world, this.#fees) : undefined
    await Promise.all([actors.consumer.stop(), actors.provider.stop(), relay?.stop()])
    return await this.#account(world, { before, after, closed, ended, gasless }, opened.id)
  }

  async #build(): Promise<World> {
    const screen = this.#screen
    const world = await makeWorld(this.#home, this.#stack, this.#options)
    const { chain, watch } = world
    this.#token = watch.token
    screen.step('chain', `✔ chain      a local EVM, chain ${chain.chainId}, ${chain.rpcUrl}`, {
      rpc: chain.rpcUrl,
      chainId: chain.chainId,
    })
    const contracts = `✔ contracts  ledger ${chain.ledger.slice(0, 10)}…, token tUSDC ${chain.token.slice(0, 10)}…`
    screen.step('contracts', contracts, { ledger: chain.ledger, token: chain.token })
    return world
  }

  /** Both processes up; the consumer has found the provider and reserved for it. */
  async #begin(world: World): Promise<Actors> {
    const screen = this.#screen
    const provider = this.#start('provider', world.setups.provider)
    const ready = await provider.wait('ready')
    // a provider that is started again is found where it was
    const listen = ready.addresses[0]?.replace(/\/p2p\/.*$/, '') ?? world.setups.provider.listen
    world.setups.provider = { ...world.setups.provider, listen }
    screen.step('provider', `✔ provider   …${ready.peer.slice(-8)} offers "sample" at 0.01 tUSDC/MiB`, {
      peer: ready.peer,
      address: ready.address,
    })
    const consumer = this.#start('consumer', world.setups.consumer)
    const found = await consumer.wait('found')
    screen.step('found', '✔ consumer   found it on the DHT, from one bootstrap address', {
      provider: found.provider,
      price: found.price,
    })
    const opened = await consumer.wait('opened')
    this.#fees.consumer += BigInt(opened.fee)
    screen.step('reserved', `✔ reserved   ${BUDGET} for this provider alone (${opened.hash.slice(0, 10)}…)`, {
      hash: opened.hash,
      amount: opened.amount,
      fee: opened.fee,
    })
    return { provider, consumer }
  }

  get #isGasless(): boolean {
    return this.#options.mode === 'gasless'
  }

  #start(role: 'provider' | 'consumer' | 'relay', setup: Setup): Actor {
    const actor = new Actor(role, setup, (message) => this.#onMessage(message))
    this.#stack.defer(() => actor.kill())
    return actor
  }

  #onMessage(message: ToParent): void {
    if (message.type === 'exposure') this.#exposure = BigInt(message.exposure)
    if (message.type === 'cut')
      this.#screen.step('cut', '… cut        the connection is gone; the consumer goes on when it is back', {
        code: message.code,
      })
    if (message.type !== 'progress' || this.#token === undefined) return
    this.#delivered = BigInt(message.delivered)
    this.#payments = message.payments
    const [owed, signed, atRisk] = [message.owed, message.signed, message.atRisk].map((text) => BigInt(text) as Amount) as [
      Amount,
      Amount,
      Amount,
    ]
    const sums = { owed, signed, atRisk, exposure: this.#exposure as Amount }
    const size = BigInt(this.#options.sizeBytes)
    this.#screen.live(liveText(this.#delivered, size, sums, this.#token), {
      delivered: this.#delivered,
      size,
      payments: this.#payments,
      ...sums,
    })
    this.#onProgress?.()
  }

  /** SIGKILL in mid-stream, a new process on the same folder, the same session at the same byte. */
  async #killOne(world: World, actors: Actors): Promise<Actors> {
    const target = (BigInt(this.#options.sizeBytes) * KILL_AT_PERCENT) / 100n
    await new Promise<void>((resolve) => {
      this.#onProgress = () => this.#delivered >= target && resolve()
    })
    this.#onProgress = undefined
    const who = this.#options.mode === 'kill-provider' ? 'provider' : 'consumer'
    await actors[who].kill()
    this.#screen.step('killed', `✖ SIGKILL    the ${who}, after ${this.#delivered / 1_048_576n} MiB`, {
      who,
      delivered: this.#delivered,
    })
    const again = this.#start(who, world.setups[who])
    await again.wait('ready')
    const now = { ...actors, [who]: again }
    const resumed = await now.consumer.wait('session')
    this.#screen.step('resumed', `✔ resumed    the same session at byte ${resumed.resumedAt}`, {
      session: resumed.id,
      at: resumed.resumedAt,
    })
    return now
  }

  async #settle(world: World, actors: Actors): Promise<Wealth> {
    const settled = await actors.provider.wait('settled', 30_000)
    this.#screen.step(
      'settled',
      `✔ settled    ${this.#isGasless ? 'for the provider, by the relay' : 'by the provider alone'}, one transaction (${settled.hash.slice(0, 10)}…)`,
      {
        hash: settled.hash,
      },
    )
    actors.consumer.tell({ type: 'release', provider: world.addresses.provider })
    const released = await actors.consumer.wait('released', 30_000)
    this.#screen.step('released', `✔ released   what was left of the reservation (${released.hash.slice(0, 10)}…)`, {
      hash: released.hash,
    })
    this.#fees.consumer += BigInt(released.fee)
    this.#fees.provider += BigInt(settled.fee)
    if (this.#isGasless) this.#fees.provider += await withdraw(actors.provider, this.#screen, world.watch.token)
    return await wealth(world)
  }

  async #account(
    world: World,
    facts: Pick<Facts, 'before' | 'after' | 'closed' | 'ended' | 'gasless'>,
    session: string,
  ): Promise<Account> {
    const { setups, addresses, sha256, watch } = world
    const id = parseSessionId(session)
    const place = (who: 'provider' | 'consumer'): StorePlace => ({
      ...setups[who],
      path: join(setups[who].home, 'db'),
      address: addresses[who],
    })
    const account = accountOf({
      mode: this.#options.mode,
      token: watch.token,
      price: PRICE,
      sizeBytes: BigInt(this.#options.sizeBytes),
      delivered: BigInt(facts.closed.delivered),
      payments: this.#payments,
      ...facts,
      stores: { payee: await payeeSums(place('provider'), id), payer: await payerSums(place('consumer'), id) },
      sent: sha256,
      got: facts.closed.sha256 === undefined ? undefined : await sha256Of(join(setups.consumer.home, setups.consumer.file)),
    })
    this.#screen.lines(account.lines)
    this.#screen.step('result', account.ok ? '✔ every sum agrees' : '✖ a sum does not agree', account.facts)
    if (account.ok) return account
    const hint = 'this is a bug: please report it with the output of `tallystick demo --json`'
    throw new TallyError('INTERNAL', { message: 'the sums of the demo do not agree', hint })
  }
}
