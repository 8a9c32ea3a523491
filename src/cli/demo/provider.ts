import { dueOf, exposureOf } from '../../core/session/payee.ts'
import type { ServiceAdapter, ServiceAnswer, ServiceCall } from '../../ports/service.ts'
import { filesService } from '../../services/files/index.ts'
import { runChild, startNode } from './child.ts'
import { withdrawAll } from './gasless.ts'
import { type Setup, tell } from './wire.ts'

/** Delivers no faster than so many bytes a second, so that one can watch; and, when it cheats, garbage from a byte on. */
function staged(files: ServiceAdapter, setup: Setup): ServiceAdapter {
  async function* body(answer: ServiceAnswer): AsyncGenerator<Uint8Array> {
    const started = performance.now()
    let sent = 0
    for await (const piece of answer.body) {
      const ahead = setup.bytesPerSecond === 0 ? 0 : (sent / setup.bytesPerSecond) * 1000 - (performance.now() - started)
      if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead))
      sent += piece.length
      yield setup.cheatAt >= 0 && sent > setup.cheatAt ? piece.map((byte) => byte ^ 0xff) : piece
    }
  }
  return {
    kind: files.kind,
    inputs: files.inputs,
    outputs: files.outputs,
    prepare: (inputs, signal) => files.prepare(inputs, signal),
    open: async (call: ServiceCall) => {
      const answer = await files.open(call)
      return answer.free ? answer : { ...answer, body: body(answer) }
    },
    close: () => files.close(),
  }
}

runChild(async (setup) => {
  const node = await startNode(setup, true, { settleOnClose: true, patienceMs: setup.patienceMs })
  let most = 0n
  // what was out and unpaid when the session ended: afterwards it is written off, and the session shows none of it
  let last = { exposure: 0n, paid: 0n }
  node.events.on('payee:session', ({ session, exposure }) => {
    if (session.status !== 'closed') last = { exposure, paid: session.paid }
    if (exposure > most) most = exposure
  })
  node.events.on('payee:ended', ({ session, code }) => {
    // a last payment may have become durable with the end
    const covered = session.paid - last.paid
    const lost = last.exposure > covered ? last.exposure - covered : 0n
    tell({ type: 'ended', code, paid: `${session.paid}`, due: `${dueOf(session)}`, lost: `${lost}` })
  })
  const timer = setInterval(() => {
    const now = [...node.selling].reduce((sum, session) => sum + exposureOf(session), 0n)
    tell({ type: 'exposure', exposure: `${now}`, most: `${most}` })
  }, 200)
  timer.unref()
  node.chain.transactions.observe((job) => {
    if (job.state === 'confirmed' && job.hash !== undefined && job.kind.startsWith('settle'))
      tell({ type: 'settled', hash: job.hash, fee: `${job.relay?.fee ?? 0n}` })
  })
  await node.serve({
    name: 'sample',
    service: staged(filesService({ root: setup.folder }), setup),
    price: setup.price,
    description: 'a file of random bytes',
  })
  tell({ type: 'ready', address: node.address, peer: node.peerId.toString(), addresses: node.addresses })
  return async (message) => {
    if (message.type === 'withdraw') await withdrawAll(node)
    if (message.type !== 'stop') return
    clearInterval(timer)
    await node.stop({ signal: AbortSignal.timeout(10_000) })
    process.exit(0)
  }
})
