/** From settings and an open key to a running node. Apart from the context, so that commands that need no node load none. */
import { join } from 'node:path'
import { NodeControl } from '../api/node-control.ts'
import { PeerBook } from '../api/peer-book.ts'
import { TallyError } from '../core/errors.ts'
import { type ResolvedConfig, requireChain } from '../node/config.ts'
import type { Config } from '../node/config-schema.ts'
import { createNode } from '../node/create-node.ts'
import type { OpenedHome } from '../node/home.ts'
import type { TallyNode } from '../node/node.ts'
import type { RelayOptions } from '../node/options.ts'
import { openLog } from './log.ts'
import type { LogLevel } from './log-levels.ts'
import type { Output } from './output.ts'
import { accountOf } from './peer.ts'
import { rememberToken } from './token-book.ts'
import { ownVersion } from './version.ts'

export interface OpenNodeOptions {
  /** multiaddrs to listen on, true = those of the settings. @default none: nobody can call */
  readonly listen?: readonly string[] | true
  /** whether other peers are wanted at all. @default true */
  readonly peers?: boolean
  /** whether it hands in what others sign. @default false */
  readonly gasRelay?: boolean
  /** what is logged unless told otherwise. @default 'error' */
  readonly logLevel?: LogLevel
}

/** @throws CONFIG_INVALID when it is not known what the coin is worth */
function relaySettings({ relay: { coinPrice, ...others } }: Config): RelayOptions {
  if (coinPrice !== undefined) return { coinPrice, ...others }
  throw new TallyError('CONFIG_INVALID', {
    message: "a relay has to know what one of the chain's coin is worth in tokens",
    hint: "set relay.coinPrice, or: tallystick up --gas-relay --coin-price '3000 USDC'",
    fields: { key: 'relay.coinPrice' },
  })
}

export interface OpenedNode {
  readonly node: TallyNode
  readonly home: OpenedHome
  readonly settings: ResolvedConfig
  readonly control: NodeControl
}

/** @throws as createNode, CONFIG_INVALID */
export async function openNode(
  { home, settings, out, signal }: { home: OpenedHome; settings: ResolvedConfig; out: Output; signal: AbortSignal },
  options: OpenNodeOptions,
): Promise<OpenedNode> {
  const { paths, privateKey } = home
  const { config, origin } = settings
  const { token, confirmationsBlocks, ...chain } = requireChain(settings)
  const isSet = origin.get('log.level')?.source !== 'default'
  const node = await createNode({
    privateKey,
    store: { path: paths.db },
    chain: { ...chain, confirmations: confirmationsBlocks },
    token,
    listen: options.listen === true ? config.listen : (options.listen ?? []),
    announce: config.announce,
    reach: options.peers === false ? { ...config.reach, mdns: 'off' } : config.reach,
    bootstrap: options.peers === false ? [] : config.bootstrap,
    provider: config.provider,
    relays: { peers: config.relays, maxFee: config.maxRelayFee },
    ...(options.gasRelay === true && { relay: relaySettings(config) }),
    log: openLog(isSet ? config.log.level : (options.logLevel ?? 'error'), out),
    signal,
  })
  const running = options.listen === undefined ? undefined : { pid: process.pid, since: Math.floor(Date.now() / 1000) }
  const book = new PeerBook(join(paths.dir, 'peers.json'))
  const control = new NodeControl(node, { version: ownVersion(), home: paths.dir, running, book, accountOf })
  await rememberToken(paths.dir, node.token)
  return { node, home, settings, control }
}
