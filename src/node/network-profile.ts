import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { TallyError } from '../core/errors.ts'
import { readJson, writeJson } from './json-file.ts'

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'must be an address')

const profileSchema = z.strictObject({
  rpcUrl: z.string(),
  chainId: z.int().positive(),
  ledger: address,
  forwarder: address.optional(),
  registry: address.optional(),
  registryBlock: z.int().nonnegative().optional(),
  token: address,
  confirmationsBlocks: z.int().nonnegative().optional(),
  bootstrap: z.array(z.string()).optional(),
  faucet: z.boolean().optional(),
})

/**
 * What nodes of one network have in common, as a file: its chain, ledger and token. `faucet`: it is a local chain, where anybody may
 * make gas and test tokens. `tallystick dev` writes one; other networks may be handed around as such a file.
 */
export type NetworkProfile = z.infer<typeof profileSchema>

/** A profile and the file that it came from. */
export interface NamedNetwork extends NetworkProfile {
  readonly path: string
}

export interface NetworkPlace {
  /** folder that a relative file name is meant from. @default the working directory */
  readonly base?: string
  /** where networks are kept that are called by name. @default TALLYSTICK_NETWORKS, else ~/.tallystick/networks */
  readonly networksDir?: string
  readonly env?: NodeJS.ProcessEnv
}

/**
 * The file of a network: `./dev.json` and `/etc/dev.json` (a slash or `.json` makes it a file) are themselves, `dev` is `dev.json`
 * in the folder of networks, which all homes of one user share.
 */
export function networkPath(nameOrPath: string, place: NetworkPlace = {}): string {
  if (nameOrPath.includes('/') || nameOrPath.endsWith('.json')) return resolve(place.base ?? process.cwd(), nameOrPath)
  const dir = place.networksDir ?? (place.env ?? process.env).TALLYSTICK_NETWORKS ?? join(homedir(), '.tallystick', 'networks')
  return join(dir, `${nameOrPath}.json`)
}

/** Reads a network. @throws TallyError CONFIG_INVALID when there is none, or its file is not one */
export async function readNetwork(nameOrPath: string, place: NetworkPlace = {}): Promise<NamedNetwork> {
  const path = networkPath(nameOrPath, place)
  const content = await readJson(path)
  if (content === undefined) {
    throw new TallyError('CONFIG_INVALID', {
      message: `there is no network "${nameOrPath}": "${path}" does not exist`,
      hint: nameOrPath === 'dev' ? 'Start a local one with `tallystick dev` and leave it running.' : 'Give the path of its file.',
      fields: { network: nameOrPath, path },
    })
  }
  const parsed = profileSchema.safeParse(content)
  if (parsed.success) return { ...parsed.data, path }
  const [issue] = parsed.error.issues
  throw new TallyError('CONFIG_INVALID', {
    message: `"${path}" is not a network: ${issue?.path.join('.') || 'its content'}: ${issue?.message}`,
    fields: { path },
    cause: parsed.error,
  })
}

/** Writes the file of a network in one step; returns its path. Its folder is made if need be. */
export async function writeNetwork(nameOrPath: string, profile: NetworkProfile, place: NetworkPlace = {}): Promise<string> {
  const path = networkPath(nameOrPath, place)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeJson(path, profileSchema.parse(profile))
  return path
}

/** The settings that a network gives, by dotted name. */
export function networkSettings(network: NetworkProfile): Record<string, unknown> {
  const { rpcUrl, chainId, ledger, forwarder, registry, registryBlock, token, confirmationsBlocks, bootstrap } = network
  const all = {
    'chain.rpcUrl': rpcUrl,
    'chain.chainId': chainId,
    'chain.ledger': ledger,
    'chain.forwarder': forwarder,
    'chain.registry': registry,
    'chain.registryBlock': registryBlock,
    'chain.token': token,
    'chain.confirmationsBlocks': confirmationsBlocks,
    bootstrap,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}
