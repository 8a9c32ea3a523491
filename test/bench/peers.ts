/** Programs of others that the benchmark can be told to measure beside ours: in a folder of their own, outside of this program's packages. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const PEERS_FOLDER = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '.bench-peers')
export const INSTALL_COMMAND = 'npm run bench:peers -- install'

/** What is installed there, in the very versions that were tried. */
export const PEER_PACKAGES = {
  mppx: '0.11.0',
  '@x402/evm': '2.27.0',
  '@statechannels/nitro-protocol': '0.17.3',
  viem: '2.57.0',
} as const
export type PeerPackage = keyof typeof PEER_PACKAGES

const folderOf = (name: PeerPackage): string => join(PEERS_FOLDER, 'node_modules', ...name.split('/'))

export const isInstalled = (name: PeerPackage): boolean => existsSync(join(folderOf(name), 'package.json'))

/** The version that is there. */
export function versionOf(name: PeerPackage): string {
  return JSON.parse(readFileSync(join(folderOf(name), 'package.json'), 'utf8')).version
}

/** A module of that folder, such as `mppx/tempo`. Its types are not known here: say what is used of it. */
export async function peerModule<T>(specifier: string): Promise<T> {
  const { resolve } = createRequire(join(PEERS_FOLDER, 'package.json'))
  return (await import(pathToFileURL(resolve(specifier)).href)) as T
}
