/** What the two child processes of the demo have in common: a node of their own, and a parent that tells them what to do. */

import { fromHex } from '../../core/bytes.ts'
import { asTallyError } from '../../core/errors.ts'
import { parseAddress } from '../../core/ids.ts'
import { createNode } from '../../node/create-node.ts'
import type { TallyNode } from '../../node/node.ts'
import type { ProviderOptions } from '../../node/options.ts'
import { type Setup, type ToChild, tell } from './wire.ts'

export async function startNode(setup: Setup, listens: boolean, provider: ProviderOptions = {}): Promise<TallyNode> {
  const node = await createNode({
    privateKey: fromHex(setup.privateKey),
    store: { path: `${setup.home}/db` },
    chain: { rpcUrl: setup.rpcUrl, chainId: setup.chainId, ledger: parseAddress(setup.ledger), confirmations: 0 },
    token: parseAddress(setup.token),
    listen: listens ? [setup.listen] : [],
    bootstrap: [setup.bootstrap],
    provider,
    relays: { peers: setup.relays },
    ...(setup.coinPrice !== '' && { relay: { coinPrice: setup.coinPrice } }),
  })
  return node
}

/** Runs a child: `begin` gets the set-up, its answer is called with what the parent says later. A failure is told, with its code. */
export function runChild(begin: (setup: Setup) => Promise<(message: ToChild) => Promise<void>>): void {
  let act: ((message: ToChild) => Promise<void>) | undefined
  const fail = (thrown: unknown): void => {
    const error = asTallyError(thrown)
    tell({ type: 'failed', code: error.code, message: error.code === 'INTERNAL' ? String(error.cause) : error.message })
  }
  process.on('message', (message: ToChild) => {
    const work = message.type === 'setup' ? begin(message.setup).then((handler) => (act = handler)) : act?.(message)
    work?.catch(fail)
  })
  // a child never outlives the demo
  process.on('disconnect', () => process.exit(0))
  process.on('SIGINT', () => undefined)
}
