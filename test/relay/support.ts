/** Relays and signers over one real chain, and relays that do not keep their word. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { getBytes } from 'ethers'
import { libp2pKey } from '../../protocols/peer-identity.ts'
import { NO_HASH, type Submission } from '../../protocols/relay/codec.ts'
import { type RelayHandler, type RelayService, relayService } from '../../protocols/relay/service.ts'
import type { ChainInit } from '../../src/chain/chain.ts'
import type { Devnet } from '../../src/chain/devnet.ts'
import { encodeAction } from '../../src/chain/ledger-calls.ts'
import type { Amount } from '../../src/core/amount.ts'
import { addressOfKey, sign } from '../../src/core/crypto/secp256k1.ts'
import type { Address, Seconds } from '../../src/core/ids.ts'
import { encodeMulticall, feeCall } from '../../src/core/relay/calls.ts'
import { type ForwardRequest, forwardDigest, type SignedForward } from '../../src/core/relay/request.ts'
import { parsePeer } from '../../src/node/lines.ts'
import type { Chain, ChainSigner, LedgerAction } from '../../src/ports/chain.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { Store } from '../../src/ports/store.ts'
import { RelayDesk, type RelayInit } from '../../src/relay/desk.ts'
import { RelayPeers } from '../../src/relay/peers.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { chainOn, closing, fundedSigner, newSigner } from '../chain/support/fixture.ts'
import { addressOf, testNode } from '../support/libp2p.ts'

export const FEE = 1_000_000n as Amount
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined }

/** A clock of the test's own. */
export class TestClock implements Clock {
  ms = 1_000
  nowMs = (): number => this.ms
  nowS = (): Seconds => Math.floor(Date.now() / 1000) as Seconds
}

export interface TestRelay {
  readonly desk: RelayDesk
  readonly chain: Chain
  readonly signer: ChainSigner
  readonly clock: TestClock
  readonly store: Store
}

/** A relay with gas, not on the network. */
export async function testRelay(
  t: TestContext,
  net: Devnet,
  given: { readonly init?: Partial<RelayInit>; readonly store?: Store; readonly signer?: ChainSigner } = {},
): Promise<TestRelay> {
  const signer = given.signer ?? (await fundedSigner(net, 0n))
  const store = given.store ?? openMemoryStore()
  const chain = chainOn(net, { signer, store })
  closing(t, chain)
  await chain.start()
  const clock = new TestClock()
  const policy = { perCoin: 100_000_000n as Amount, marginPpm: 300_000n, minFee: 1_000n as Amount }
  const desk = new RelayDesk(
    { store, chain, clock, log: quiet },
    { self: signer.address, fees: new Map([[net.token, policy]]), maxGas: 2_000_000, lostGasPerHour: 2_000_000n, ...given.init },
  )
  await desk.start()
  t.after(() => desk.stop())
  return { desk, chain, signer, clock, store }
}

/** Serves a relay, or one that lies, on a node of its own. Gives its multiaddr and its account. */
export async function served(
  t: TestContext,
  handler: RelayHandler,
  key = randomBytes(32),
): Promise<{ peer: string; account: Address }> {
  const node = await testNode<{ relay: RelayService }>({
    privateKey: libp2pKey(key),
    services: { relay: relayService({ handler }) },
  })
  t.after(() => node.stop())
  return { peer: addressOf(node).toString(), account: addressOfKey(key) }
}

/** A relay that says yes to everything, keeps what it gets, and does nothing. It is cheap. */
export function silentRelay(fee = 1n): { handler: RelayHandler; got: Submission[] } {
  const got: Submission[] = []
  const taken = { state: 'taken', hash: NO_HASH } as const
  const handler: RelayHandler = {
    quote: async () => ({ fee: fee as Amount, validS: 60, id: new Uint8Array(16) }),
    submit: async (submission) => {
      got.push(submission)
      return taken
    },
    status: async () => taken,
  }
  return { handler, got }
}

/** An account that has tokens in the ledger and no coin, and asks these relays. */
export async function gasless(
  t: TestContext,
  net: Devnet,
  peers: readonly string[],
  init: Partial<ChainInit> & { readonly signer?: ChainSigner } = {},
): Promise<Chain> {
  const client = await testNode<{ relay: RelayService }>({ listen: false, services: { relay: relayService() } })
  t.after(() => client.stop())
  const signer = init.signer ?? (await holder(net))
  const relays = new RelayPeers(
    { service: () => client.services.relay, resolve: parsePeer, find: async function* () {}, self: signer.address, log: quiet },
    { peers, maxFee: () => FEE },
  )
  const chain = chainOn(net, { relays, resendAfterMs: 50, ...init, signer })
  closing(t, chain)
  await chain.start()
  return chain
}

/** A new account with 100 tokens in its ledger balance, and nothing else. */
export async function holder(net: Devnet, wei = 0n): Promise<ChainSigner> {
  const key = randomBytes(32)
  const signer = { address: addressOfKey(key), sign: (digest: Uint8Array) => sign(digest, key) }
  const probe = chainOn(net, { signer: await fundedSigner(net, 100_000_000n) })
  try {
    const action = { kind: 'deposit', token: net.token, account: signer.address, amount: 100_000_000n as Amount } as const
    await probe.transactions.wait(await probe.transactions.submit(action))
  } finally {
    await probe.close()
  }
  if (wei > 0n) await net.fund(signer.address, { wei })
  return signer
}

/** A request as its signer makes it. */
export async function requestOf(
  chain: Chain,
  net: Devnet,
  signer: ChainSigner,
  relay: Address,
  given: { readonly action?: LedgerAction; readonly fee?: Amount; readonly request?: Partial<ForwardRequest> } = {},
): Promise<SignedForward> {
  const { action = transfer(net), fee = FEE } = given
  const calls = [getBytes(encodeAction(action, net.ledger).data), feeCall({ token: net.token, to: relay, amount: fee })]
  const request: ForwardRequest = {
    from: signer.address,
    to: net.ledger,
    gas: 300_000,
    nonce: await chain.forwarder.nonce(signer.address),
    deadline: ((await chain.time()) + 300) as Seconds,
    data: encodeMulticall(calls),
    ...given.request,
  }
  return { request, signature: Uint8Array.from(await signer.sign(forwardDigest(await chain.forwarder.domain(), request))) }
}

/** Ten tokens to somebody new, inside the ledger. */
export function transfer(net: Devnet, to: Address = newSigner().address): Extract<LedgerAction, { kind: 'transfer' }> {
  return { kind: 'transfer', token: net.token, to, amount: 10_000_000n as Amount }
}

/** Hands a request in as an account that anvil signs for; the hash of its transaction. */
export async function give(chain: Chain, net: Devnet, signed: SignedForward, more: object = {}): Promise<unknown> {
  const action = await chain.forwarder.execute(signed)
  assert.ok(action.kind === 'call')
  const [from] = net.accounts
  const data = `0x${Buffer.from(action.data).toString('hex')}`
  return await net.rpc('eth_sendTransaction', [{ from: from?.address, to: action.to, data, gas: '0xf4240', ...more }])
}

/** The same on a chain that mines by itself; whether it went well. */
export async function handIn(chain: Chain, net: Devnet, signed: SignedForward): Promise<boolean> {
  const hash = await give(chain, net, signed)
  // the local chain answers with the hash before it has mined
  for (;;) {
    const receipt = (await net.rpc('eth_getTransactionReceipt', [hash])) as { status: string } | null
    if (receipt !== null) return receipt.status === '0x1'
  }
}

export const NO_QUOTE = new Uint8Array(16)
