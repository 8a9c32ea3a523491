import { dirname } from 'node:path'
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import { type Config, configSchema, SETTINGS, type Setting } from './config-schema.ts'
import { readJson, writeJson } from './json-file.ts'
import { type NamedNetwork, networkSettings, readNetwork } from './network-profile.ts'

/** Where the value of a setting comes from, the strongest first. */
export const SOURCES = ['flag', 'env', 'file', 'network', 'default'] as const
export type Source = (typeof SOURCES)[number]

/** Who set a setting, in words that a person can follow: a flag, a variable, a file. */
export interface Origin {
  readonly source: Source
  readonly from: string
}

/** The settings of a node, each with its origin. */
export interface ResolvedConfig {
  readonly config: Config
  /** by dotted name, for every setting that has a value */
  readonly origin: ReadonlyMap<string, Origin>
  /** the network that `config.network` names */
  readonly network?: NamedNetwork
}

/** Values by dotted name, such as `provider.patienceMs`; texts are read as the setting demands. Undefined = not given. */
export type FlatSettings = Readonly<Record<string, unknown>>

export interface ConfigSources {
  readonly flags?: FlatSettings
  readonly env?: NodeJS.ProcessEnv
  /** the config file: its path, and what JSON.parse made of it */
  readonly file?: { readonly path: string; readonly content: unknown }
  readonly network?: NamedNetwork
}

/** The chain part of the settings, complete. */
export interface ChainSettings {
  readonly rpcUrl: string
  readonly chainId: number
  readonly ledger: Address
  readonly forwarder?: Address
  readonly registry?: Address
  readonly registryBlock?: number
  readonly token: Address
  readonly confirmationsBlocks: number
}

const PREFIX = 'TALLYSTICK_'
/** Variables with our prefix that are no settings. */
const OTHER_VARIABLES = ['TALLYSTICK_HOME', 'TALLYSTICK_PASSWORD', 'TALLYSTICK_PASSWORD_FILE', 'TALLYSTICK_NETWORKS']
const OTHER_PREFIXES = ['TALLYSTICK_TEST_', 'TALLYSTICK_BENCH_']

/** The environment variable of a setting: `provider.patienceMs` is TALLYSTICK_PROVIDER_PATIENCE_MS. */
export function envName(key: string): string {
  return PREFIX + key.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()
}

/**
 * Joins all sources: flag before environment before file before network before default.
 *
 * @throws TallyError CONFIG_INVALID for a value that is not possible, or a name that does not exist, in any source; the sentence
 * names the setting, where it was set, and the nearest name that exists
 */
export function resolveConfig(sources: ConfigSources): ResolvedConfig {
  const layers: Record<Exclude<Source, 'default'>, Layer> = {
    flag: flagLayer(sources.flags ?? {}),
    env: envLayer(sources.env ?? {}),
    file: sources.file ? fileLayer(sources.file.content, sources.file.path) : new Map(),
    network: sources.network ? networkLayer(sources.network) : new Map(),
  }
  const origin = new Map<string, Origin>()
  const nested: Record<string, unknown> = {}
  for (const { key } of SETTINGS) {
    for (const source of SOURCES) {
      const found = source === 'default' ? undefined : layers[source].get(key)
      if (!found) continue
      origin.set(key, { source, from: found.from })
      put(nested, key, found.value)
      break
    }
  }
  const parsed = configSchema.safeParse(nested)
  if (!parsed.success) throw badValue(parsed.error.issues[0], origin, nested)
  for (const { key } of SETTINGS) {
    if (!origin.has(key) && get(parsed.data, key) !== undefined) origin.set(key, { source: 'default', from: 'default' })
  }
  return { config: parsed.data, origin, ...(sources.network && { network: sources.network }) }
}

export interface LoadConfigInit {
  /** the config file; it need not be there */
  readonly path?: string
  readonly flags?: FlatSettings
  readonly env?: NodeJS.ProcessEnv
  /** where networks are kept that are called by name. @default ~/.tallystick/networks */
  readonly networksDir?: string
}

/**
 * Reads the config file and the network that is named, then joins all sources as `resolveConfig`.
 *
 * @throws TallyError CONFIG_INVALID, also for a file that cannot be read, and for a network that is not there
 */
export async function loadConfig(init: LoadConfigInit): Promise<ResolvedConfig> {
  const { flags = {}, env = process.env, path } = init
  const content = path === undefined ? undefined : await readJson(path)
  const file = path !== undefined && content !== undefined ? { path, content } : undefined
  const sources = { flags, env, ...(file && { file }) }
  const own = resolveConfig(sources)
  const named = own.config.network
  if (named === undefined) return own
  // a file names a network from where the file is, a person from where the person is
  const base = own.origin.get('network')?.source === 'file' && path !== undefined ? dirname(path) : process.cwd()
  const network = await readNetwork(named, {
    base,
    env,
    ...(init.networksDir !== undefined && { networksDir: init.networksDir }),
  })
  return resolveConfig({ ...sources, network })
}

/**
 * The chain settings, for whoever needs a chain.
 *
 * @throws TallyError CONFIG_INVALID naming all that is missing
 */
export function requireChain({ config }: Pick<ResolvedConfig, 'config'>): ChainSettings {
  const { rpcUrl, chainId, ledger, token, forwarder, registry, registryBlock, confirmationsBlocks } = config.chain
  if (rpcUrl === undefined || chainId === undefined || ledger === undefined || token === undefined) {
    const missing = Object.entries({ rpcUrl, chainId, ledger, token }).flatMap(([name, value]) =>
      value === undefined ? [`chain.${name}`] : [],
    )
    throw new TallyError('CONFIG_INVALID', {
      message: `no chain is configured: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not set`,
      hint: `Name a network (\`--network dev\` while \`tallystick dev\` runs), or set ${missing.map(envName).join(', ')}.`,
      fields: { missing: missing.join(',') },
    })
  }
  return {
    rpcUrl,
    chainId,
    ledger,
    token,
    confirmationsBlocks,
    ...(forwarder !== undefined && { forwarder }),
    ...(registry !== undefined && { registry }),
    ...(registryBlock !== undefined && { registryBlock }),
  }
}

/** Writes a config file, after checking it, for its owner alone; a crash leaves the old one or the new one. CONFIG_INVALID. */
export async function writeConfig(path: string, content: unknown): Promise<void> {
  resolveConfig({ file: { path, content } })
  await writeJson(path, content)
}

type Layer = ReadonlyMap<string, { readonly value: unknown; readonly from: string }>

const byKey = new Map(SETTINGS.map((setting) => [setting.key, setting]))
const groups = new Set(SETTINGS.flatMap(({ key }) => (key.includes('.') ? [key.slice(0, key.indexOf('.'))] : [])))
const byEnv = new Map(SETTINGS.map((setting) => [envName(setting.key), setting]))

function flagLayer(flags: FlatSettings): Layer {
  const layer = new Map<string, { value: unknown; from: string }>()
  for (const [key, value] of Object.entries(flags)) {
    const setting = byKey.get(key)
    if (!setting) throw unknown(key, 'the command line', [...byKey.keys()])
    if (value !== undefined) layer.set(key, { value: fromText(setting, value), from: 'command line' })
  }
  return layer
}

function envLayer(env: NodeJS.ProcessEnv): Layer {
  const layer = new Map<string, { value: unknown; from: string }>()
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || OTHER_VARIABLES.includes(name) || OTHER_PREFIXES.some((prefix) => name.startsWith(prefix)))
      continue
    const setting = byEnv.get(name)
    if (!setting) throw unknown(name, 'the environment', [...byEnv.keys(), ...OTHER_VARIABLES])
    if (value !== undefined) layer.set(setting.key, { value: fromText(setting, value), from: name })
  }
  return layer
}

function fileLayer(content: unknown, path: string): Layer {
  const layer = new Map<string, { value: unknown; from: string }>()
  const walk = (value: unknown, prefix: string) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new TallyError('CONFIG_INVALID', {
        message: `${prefix === '' ? 'the settings' : prefix.slice(0, -1)} in "${path}" must be an object`,
        fields: { path },
      })
    }
    for (const [name, inner] of Object.entries(value)) {
      const key = prefix + name
      if (byKey.has(key)) layer.set(key, { value: inner, from: path })
      else if (groups.has(key)) walk(inner, `${key}.`)
      else throw unknown(key, `"${path}"`, [...byKey.keys(), ...groups])
    }
  }
  walk(content, '')
  return layer
}

function networkLayer(network: NamedNetwork): Layer {
  return new Map(Object.entries(networkSettings(network)).map(([key, value]) => [key, { value, from: network.path }]))
}

/** A text from a flag or a variable as the setting's own type; what cannot be read stays a text, and is refused by the schema. */
function fromText({ type }: Setting, value: unknown): unknown {
  if (typeof value !== 'string') return value
  const text = value.trim()
  if (type === 'number') return /^\d{1,15}$/.test(text) ? Number.parseInt(text, 10) : text
  if (type === 'yes-no')
    return { true: true, yes: true, '1': true, false: false, no: false, '0': false }[text.toLowerCase()] ?? text
  if (type === 'list') return text === '' ? [] : text.split(',').map((part) => part.trim())
  return text
}

function put(target: Record<string, unknown>, key: string, value: unknown): void {
  const [group = '', name] = key.split('.')
  if (name === undefined) target[group] = value
  else target[group] = { ...(target[group] as object | undefined), [name]: value }
}

function get(source: Config, key: string): unknown {
  return key.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], source)
}

function badValue(
  issue: { path: PropertyKey[]; message: string } | undefined,
  origin: ReadonlyMap<string, Origin>,
  nested: unknown,
): TallyError {
  const path = (issue?.path ?? []).map(String)
  const key = SETTINGS.find((setting) => path.join('.').startsWith(setting.key))?.key ?? path.join('.')
  const from = origin.get(key)?.from ?? 'default'
  const value = JSON.stringify(get(nested as Config, key))?.slice(0, 100)
  return new TallyError('CONFIG_INVALID', {
    message: `${key} = ${value} (${from}): ${issue?.message ?? 'is not possible'}`,
    hint: byKey.get(key)?.text ? `${key}: ${byKey.get(key)?.text}.` : 'Correct it and try again.',
    fields: { key, from },
  })
}

function unknown(name: string, where: string, known: readonly string[]): TallyError {
  const nearest = known.toSorted((a, b) => distance(name, a) - distance(name, b))[0] ?? ''
  return new TallyError('CONFIG_INVALID', {
    message: `there is no setting "${name.slice(0, 100)}" (in ${where})`,
    hint: `Did you mean "${nearest}"?`,
    fields: { name: name.slice(0, 100), nearest },
  })
}

/** Levenshtein distance, upper and lower case alike. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, left] of [...a.toLowerCase().slice(0, 100)].entries()) {
    const next = [i + 1]
    for (const [j, right] of [...b.toLowerCase()].entries()) {
      const change = (row[j] ?? 0) + (left === right ? 0 : 1)
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
