/** The demo's consumer process: finds the provider on the DHT, reserves, buys the file, goes on after every cut. */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '../../core/bytes.ts'
import { asTallyError, TallyError } from '../../core/errors.ts'
import { type Address, parseAddress, type Seconds } from '../../core/ids.ts'
import { formatPrice } from '../../core/price-text.ts'
import { receiptDocumentJson } from '../../core/receipt-document.ts'
import { parseAmount } from '../../core/token.ts'
import type { Found } from '../../discovery/market.ts'
import type { TallyNode } from '../../node/node.ts'
import type { NodeSession } from '../../node/node-session.ts'
import { checkFile, saveFile } from '../../services/files/index.ts'
import { encodeRequest } from '../../services/files/requests.ts'
import { runChild, startNode } from './child.ts'
import { type Setup, tell } from './wire.ts'

const DAY_S = 86_400
/** how long the consumer looks for a provider that is not there yet, or not again */
const SEARCH_MS = 20_000

runChild(async (setup) => {
  const node = await startNode(setup, false)
  tell({ type: 'ready', address: node.address, peer: node.peerId.toString(), addresses: [] })
  let payments = 0
  node.events.on('payer:paid', () => payments++)
  void buy(node, setup, () => payments).catch((thrown: unknown) => {
    const error = asTallyError(thrown)
    tell({ type: 'failed', code: error.code, message: error.code === 'INTERNAL' ? String(error.cause) : error.message })
  })
  return async (message) => {
    if (message.type === 'release') await release(node, parseAddress(message.provider))
    if (message.type !== 'stop') return
    await node.stop()
    process.exit(0)
  }
})

async function buy(node: TallyNode, setup: Setup, payments: () => number): Promise<void> {
  const found = await search(node)
  tell({ type: 'found', provider: found.provider, price: formatPrice(found.offer.price, node.token) })
  await reserve(node, setup, found.provider)
  for (;;) {
    const session = await begin(node, setup, found)
    const timer = setInterval(() => progress(session, payments()), 100)
    try {
      const sha256 = setup.cheatAt < 0 ? await honest(session, setup) : await stopPaying(session, setup)
      progress(session, payments())
      return await finish(session, setup, undefined, sha256)
    } catch (thrown) {
      const { code } = asTallyError(thrown)
      if (code === 'CONTENT_WRONG') return await finish(session, setup, code, undefined)
      if (code !== 'STREAM_CUT' && code !== 'PEER_UNREACHABLE') throw thrown
      tell({ type: 'cut', code })
    } finally {
      clearInterval(timer)
    }
  }
}

/** Looks on the DHT until the provider is there. */
async function search(node: TallyNode): Promise<Found> {
  const until = performance.now() + SEARCH_MS
  while (performance.now() < until) {
    for await (const found of node.find('sample', { signal: AbortSignal.timeout(2_000) })) return found
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new TallyError('OFFER_NOT_FOUND')
}

async function reserve(node: TallyNode, setup: Setup, provider: Address): Promise<void> {
  const known = node.money.payingTo(provider)
  if (known !== undefined && known.deposit > 0n) return
  const amount = parseAmount(setup.budget, node.token)
  const expiry = (Math.floor(Date.now() / 1000) + 30 * DAY_S) as Seconds
  const job = await node.money.send(await node.money.openAction(provider, amount, expiry), { provider })
  tell({ type: 'opened', hash: job.hash ?? '', amount: `${amount}`, fee: `${job.relay?.fee ?? 0n}` })
}

/** A session that was cut goes on, at the byte that is on the disk; otherwise a new one. */
async function begin(node: TallyNode, setup: Setup, found: Found): Promise<NodeSession> {
  const until = performance.now() + SEARCH_MS
  for (;;) {
    const [cut] = [...node.resumable]
    try {
      const session =
        cut === undefined
          ? await node.open({
              service: found,
              inputs: setup.file,
              budget: setup.budget,
              limitAtRisk: setup.limitAtRisk,
              expectBytes: BigInt(statSync(join(setup.folder, setup.file)).size),
            })
          : await node.resume(cut.id, found, { usedBytes: BigInt(kept(setup)) })
      tell({ type: 'session', id: session.id, resumedAt: cut === undefined ? 0 : Number(session.figures.delivered.down) })
      return session
    } catch (thrown) {
      const { code } = asTallyError(thrown)
      if (cut !== undefined && code === 'SESSION_UNKNOWN') await node.forget(cut.id)
      else if (!['PEER_UNREACHABLE', 'STREAM_CUT', 'BUSY'].includes(code) || performance.now() > until) throw thrown
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

/** whole chunks of the unfinished file that are on the disk, in bytes */
function kept(setup: Setup): number {
  const size = statSync(`${setup.home}/${setup.file}.part`, { throwIfNoEntry: false })?.size ?? 0
  return size - (size % 65_536)
}

async function honest(session: NodeSession, setup: Setup): Promise<string> {
  const saved = await saveFile(session, { path: setup.file, to: `${setup.home}/${setup.file}`, overwrite: true })
  return toHex(saved.sha256)
}

/** The cheat: reads on and acknowledges, that is pays, nothing more from a byte on. */
async function stopPaying(session: NodeSession, setup: Setup): Promise<undefined> {
  const file = await checkFile(session, { path: setup.file })
  const stream = await session.open(encodeRequest({ type: 'range', offset: 0n, length: BigInt(file.size) }))
  let got = 0
  try {
    for await (const piece of stream.unacknowledged) {
      got += piece.length
      if (got <= setup.cheatAt) stream.acknowledge(piece.length)
    }
  } catch {
    // the provider has had enough
  }
  return undefined
}

function progress(session: NodeSession, payments: number): void {
  const { delivered, owed, signed, atRisk } = session.figures
  tell({ type: 'progress', delivered: `${delivered.down}`, owed: `${owed}`, signed: `${signed}`, atRisk: `${atRisk}`, payments })
}

async function finish(
  session: NodeSession,
  setup: Setup,
  why: 'CONTENT_WRONG' | undefined,
  sha256: string | undefined,
): Promise<void> {
  const end = await session.close({ ...(why === undefined ? {} : { code: why }), signal: AbortSignal.timeout(15_000) })
  let receipt: string | undefined
  if (end.receipt !== undefined) {
    receipt = join(setup.home, 'receipt.json')
    writeFileSync(receipt, `${JSON.stringify(receiptDocumentJson(end.receipt), null, 2)}\n`)
  }
  const { delivered, signed, owed } = end.figures
  tell({
    type: 'closed',
    code: end.code ?? why,
    delivered: `${delivered.down}`,
    signed: `${signed}`,
    owed: `${owed}`,
    receipt,
    sha256,
  })
}

/** Ends the channel with the provider's signature: what is left comes back at once. */
async function release(node: TallyNode, provider: Address): Promise<void> {
  const found = await search(node)
  const { line } = await node.lineTo(found.peer.toString())
  const job = await node.money.send(await node.money.closeAction(line, provider), { provider })
  tell({ type: 'released', hash: job.hash ?? '', fee: `${job.relay?.fee ?? 0n}` })
}
