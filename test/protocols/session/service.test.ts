import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { libp2pKey, peerIdOfKey } from '../../../protocols/peer-identity.ts'
import { encodeMessage } from '../../../protocols/session/codec.ts'
import type { PayeeLink } from '../../../protocols/session/control-link.ts'
import { sessionService } from '../../../protocols/session/service.ts'
import type { Amount } from '../../../src/core/amount.ts'
import { addressOfKey, publicKeyOf } from '../../../src/core/crypto/secp256k1.ts'
import { ERRORS, type ErrorCode, TallyError } from '../../../src/core/errors.ts'
import { ZERO_METER } from '../../../src/core/meter.ts'
import type { Ack, FromPayer, MeterReport } from '../../../src/core/session/messages.ts'
import type * as port from '../../../src/ports/link.ts'
import { addressOf, testNode } from '../../support/libp2p.ts'
import { answers, PAYEE_KEY, PAYER_KEY, type SessionPair, sessionPair, take } from './nodes.ts'
import { bytes, PAYEE_SAMPLES, PAYER_SAMPLES, SESSION } from './samples.ts'

const ack = (ms: number): Ack => ({ type: 'ack', session: SESSION, stream: 1, bytes: 1n, ms: BigInt(ms), final: false })
const meter: MeterReport = {
  type: 'meter',
  session: SESSION,
  written: ZERO_METER,
  paid: 0n as Amount,
  credit: 0n as Amount,
  paused: false,
}
const release: FromPayer = PAYER_SAMPLES.find(({ message }) => message.type === 'release')?.message ?? assert.fail()
const hello: FromPayer = PAYER_SAMPLES.find(({ message }) => message.type === 'hello')?.message ?? assert.fail()
const streamFault = (code: ErrorCode): object => {
  const kind = ERRORS[code]
  return { type: 'fault', session: undefined, code: 'wire' in kind ? kind.wire : assert.fail() }
}

describe('control stream', () => {
  let pair: SessionPair
  before(async () => {
    pair = await sessionPair()
  })
  after(() => pair.stop())

  test('is the link that sessions are built on', async () => {
    const { payer, payee } = await pair.open()
    const links: [port.PayerLink, port.PayeeLink] = [payer, payee]
    await Promise.all([...links.map((link) => link.close()), take(payer, 1), take(payee, 1)])
  })

  test('tells each end the Ethereum account of the other, from the handshake', async () => {
    const { payer, payee } = await pair.open()
    assert.equal(payer.address, addressOfKey(PAYEE_KEY))
    assert.equal(payee.address, addressOfKey(PAYER_KEY))
    assert.deepEqual(payee.publicKey, publicKeyOf(PAYER_KEY))
    assert.ok(payee.peer.equals(peerIdOfKey(PAYER_KEY)))
    payer.abort(new TallyError('SHUTTING_DOWN'))
    await take(payee, 9)
  })

  test('carries every message of both sides, in order', async () => {
    const { payer, payee } = await pair.open()
    const fromPayer = PAYER_SAMPLES.map(({ message }) => message)
    const fromPayee = PAYEE_SAMPLES.map(({ message }) => message)
    for (const message of fromPayer) payer.send(message)
    for (const message of fromPayee) payee.send(message)
    assert.deepEqual(await take(payee, fromPayer.length), fromPayer)
    assert.deepEqual(await take(payer, fromPayee.length), fromPayee)
    await Promise.all([payer.close(), payee.close()])
  })

  test('ends cleanly when one side closes: nothing that was sent is lost, and both say so', async () => {
    const { payer, payee } = await pair.open()
    for (let i = 0; i < 500; i++) payer.send(ack(i))
    const [received] = await Promise.all([take(payee, Number.POSITIVE_INFINITY), payer.close()])
    assert.equal(received.length, 500)
    assert.deepEqual(await Promise.all([payer.closed, payee.closed]), [undefined, undefined])
  })

  test('drops what is sent after its end, without an exception', async () => {
    const { payer, payee } = await pair.open()
    await Promise.all([payer.close(), take(payee, 1)])
    payer.send(ack(1))
    payer.abort(new TallyError('INTERNAL'))
    assert.equal(await payer.closed, undefined)
  })

  test('tells a refused peer the number and never the text', async () => {
    const { payer, payee } = await pair.open()
    payee.abort(new TallyError('SIGNER_WRONG', { message: 'secret words', hint: 'and more', fields: { secret: 1 } }))
    assert.deepEqual(await take(payer, 9), [streamFault('SIGNER_WRONG')])
    const told = await payer.closed
    assert.deepEqual([told?.code, told?.message, told?.fields], ['SIGNER_WRONG', ERRORS.SIGNER_WRONG.text, { wire: 101 }])
    assert.equal((await payee.closed)?.message, 'secret words')
  })

  test('tells an internal failure as INTERNAL', async () => {
    const { payer, payee } = await pair.open()
    payee.abort(new TallyError('STORE_CORRUPT'))
    assert.deepEqual(await take(payer, 9), [streamFault('INTERNAL')])
    assert.equal((await payee.closed)?.code, 'STORE_CORRUPT')
  })

  test('ends with INTERNAL when a message has no encoding', async () => {
    const { payer, payee } = await pair.open()
    payer.send({ ...ack(1), stream: -1 })
    assert.deepEqual(await take(payee, 9), [streamFault('INTERNAL')])
    assert.equal((await payer.closed)?.code, 'INTERNAL')
  })

  test('ends with STREAM_CUT when the connection goes away', async () => {
    const { payer, payee } = await pair.open()
    for (const connection of pair.client.getConnections()) connection.abort(new Error('cable pulled'))
    assert.deepEqual(await Promise.all([take(payer, 1), take(payee, 1)]), [[], []])
    assert.deepEqual([(await payer.closed)?.code, (await payee.closed)?.code], ['STREAM_CUT', 'STREAM_CUT'])
  })

  test('cuts a peer that lets 1 MiB wait', async () => {
    const rogue = await pair.rogue() // it never reads
    const payee = await pair.accepted()
    let over: TallyError | undefined
    payee.closed.then(
      (error) => {
        over = error
      },
      () => {},
    )
    const payload = encodeMessage(meter).length
    let sent = 0
    while (over === undefined) {
      for (let i = 0; i < 1000; i++) payee.send(meter)
      sent += 1000 * payload
      assert.ok(sent < 64 << 20, 'the queue must be bounded')
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(over.code, 'STREAM_CUT')
    rogue.abort(new Error('done'))
  })
})

describe('what breaks the rules', () => {
  let pair: SessionPair
  const nowMs = (): number => 0
  before(async () => {
    pair = await sessionPair({ nowMs })
  })
  after(() => pair.stop())

  const accept = encodeMessage({ type: 'accept', session: SESSION, signature: bytes(65) })
  const cases: readonly (readonly [rule: string, frame: Uint8Array, code: ErrorCode])[] = [
    ['garbage', bytes(50, 14), 'FRAME_TOO_LARGE'],
    ['garbage of the right length', Uint8Array.of(14, ...bytes(37, 250)), 'MALFORMED'],
    ['a message of the other side', encodeMessage(meter), 'WRONG_STATE'],
    ['an unknown even type', Uint8Array.of(200, 1), 'UNSUPPORTED'],
    ['a message above the size of its type', Uint8Array.of(...accept, 0), 'FRAME_TOO_LARGE'],
    ['a message that is cut short', accept.subarray(0, -1), 'MALFORMED'],
  ]
  for (const [rule, frame, code] of cases) {
    test(`${rule} is answered with the number of ${code}, and the stream ends; messages before it count`, async () => {
      const [rogue, payee] = await Promise.all([pair.rogue(), pair.accepted()])
      rogue.send(encodeMessage(ack(7)))
      rogue.send(frame)
      rogue.send(encodeMessage(ack(8)))
      assert.deepEqual(await take(payee, Number.POSITIVE_INFINITY), [ack(7)])
      assert.equal((await payee.closed)?.code, code)
      assert.deepEqual(await answers(rogue), [streamFault(code)])
      rogue.abort(new Error('done'))
    })
  }

  for (const [what, length] of [
    ['above 8,192 bytes', 8193],
    ['without a body', 0],
  ] as const) {
    test(`a frame ${what} resets the stream before its body is there`, async () => {
      const [rogue, payee] = await Promise.all([pair.rogue(), pair.accepted()])
      rogue.stream.send(Uint8Array.of(0, 0, length >> 8, length & 0xff))
      assert.deepEqual(await take(payee, 9), [])
      assert.equal((await payee.closed)?.code, length === 0 ? 'MALFORMED' : 'FRAME_TOO_LARGE')
      assert.deepEqual(await answers(rogue), [])
    })
  }

  test('an unknown odd type is skipped', async () => {
    const [rogue, payee] = await Promise.all([pair.rogue(), pair.accepted()])
    rogue.send(Uint8Array.of(201, 1, 2, 3))
    rogue.send(encodeMessage(ack(1)))
    assert.deepEqual(await take(payee, 1), [ack(1)])
    rogue.abort(new Error('done'))
  })

  for (const [what, frame, allowed] of [
    ['hello', encodeMessage(hello), 20],
    ['release', encodeMessage(release), 2],
    ['all others together', Uint8Array.of(201), 50_000],
  ] as const) {
    test(`the ${allowed} messages of a second are allowed, the next one is RATE_EXCEEDED: ${what}`, async () => {
      const [rogue, payee] = await Promise.all([pair.rogue(), pair.accepted()])
      for (let i = 0; i < allowed; i++) rogue.send(frame)
      const received = take(payee, Number.POSITIVE_INFINITY)
      await rogue.ready()
      rogue.send(frame)
      const messages = await received
      assert.equal(messages.length, what === 'all others together' ? 0 : allowed)
      assert.equal((await payee.closed)?.code, 'RATE_EXCEEDED')
      assert.deepEqual(await answers(rogue), [streamFault('RATE_EXCEEDED')])
    })
  }
})

describe('who may connect', () => {
  test('an ed25519 payer is refused with the number of UNSUPPORTED', async () => {
    let links = 0
    const pair = await sessionPair({ onLink: () => links++ }, 'ed25519')
    try {
      const rogue = await pair.rogue()
      assert.deepEqual(await answers(rogue), [streamFault('UNSUPPORTED')])
      assert.equal(links, 0)
    } finally {
      await pair.stop()
    }
  })

  test('an ed25519 payee is refused by the payer', async () => {
    const server = await testNode({ services: { session: sessionService({ onLink: () => {} }) } })
    const client = await testNode({ listen: false, privateKey: libp2pKey(PAYER_KEY), services: { session: sessionService() } })
    try {
      await assert.rejects(client.services.session.connect(addressOf(server)), { code: 'UNSUPPORTED' })
    } finally {
      await client.stop()
      await server.stop()
    }
  })

  test('a peer that sells nothing does not speak the protocol: UNSUPPORTED', async () => {
    const server = await testNode({ privateKey: libp2pKey(PAYEE_KEY), services: { session: sessionService() } })
    const client = await testNode({ listen: false, privateKey: libp2pKey(PAYER_KEY), services: { session: sessionService() } })
    try {
      await assert.rejects(client.services.session.connect(addressOf(server)), { code: 'UNSUPPORTED' })
    } finally {
      await client.stop()
      await server.stop()
    }
  })

  test('a peer that is gone is PEER_UNREACHABLE, and a call that was given up is ABORTED', async () => {
    const pair = await sessionPair()
    const address = addressOf(pair.server)
    await assert.rejects(pair.client.services.session.connect(address, { signal: AbortSignal.abort() }), { code: 'ABORTED' })
    await pair.server.stop()
    await assert.rejects(pair.client.services.session.connect(address), { code: 'PEER_UNREACHABLE' })
    await pair.client.stop()
  })
})

describe('the service', () => {
  test('ends its links with SHUTTING_DOWN when the node stops', async () => {
    const pair = await sessionPair()
    const { payer, payee } = await pair.open()
    const received = Promise.all([take(payer, 9), take(payee, 9)])
    await pair.server.stop()
    assert.deepEqual((await received)[0], [streamFault('SHUTTING_DOWN')])
    assert.deepEqual([(await payer.closed)?.code, (await payee.closed)?.code], ['SHUTTING_DOWN', 'SHUTTING_DOWN'])
    await pair.client.stop()
  })

  test('survives a callback that throws, and tells the peer INTERNAL', async () => {
    const onLink = (_link: PayeeLink): void => {
      throw new Error('a bug with secret words')
    }
    const pair = await sessionPair({ onLink })
    try {
      const payer = await pair.client.services.session.connect(addressOf(pair.server))
      assert.deepEqual(await take(payer, 9), [streamFault('INTERNAL')])
      assert.equal((await payer.closed)?.code, 'INTERNAL')
    } finally {
      await pair.stop()
    }
  })
})
