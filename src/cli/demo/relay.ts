/** The demo's relay process: the only one that has the chain's coin. It hands in what the others sign. */
import { runChild, startNode } from './child.ts'
import { tell } from './wire.ts'

runChild(async (setup) => {
  const node = await startNode(setup, true)
  tell({ type: 'ready', address: node.address, peer: node.peerId.toString(), addresses: node.addresses })
  return async (message) => {
    if (message.type !== 'stop') return
    await node.stop({ signal: AbortSignal.timeout(10_000) })
    process.exit(0)
  }
})
