import { chmod, mkdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { addressOfKeystore, createKeystore, type OpenKey, openKeystore, readKeystore, writeKeystore } from '../chain/keystore.ts'
import { TallyError } from '../core/errors.ts'
import type { Address } from '../core/ids.ts'
import { writeConfig } from './config.ts'

/** Where a node keeps its things. */
export interface HomePaths {
  readonly dir: string
  /** the encrypted key; a home without it is no home */
  readonly keystore: string
  readonly config: string
  /** folder of the database */
  readonly db: string
  /** socket that commands talk to a running node through */
  readonly apiSocket: string
  readonly log: string
}

export interface InitHomeInit {
  readonly dir: string
  readonly password: string
  /** 32 bytes. @default a new key */
  readonly privateKey?: Uint8Array
  /** first content of config.json. @default {} */
  readonly config?: object
  /** @default see createKeystore */
  readonly scryptN?: number
}

/** A home whose key is open. */
export interface Home extends OpenKey {
  readonly paths: HomePaths
}

/** A home with what should be put right about it, one sentence each, for the operator. */
export interface OpenedHome extends Home {
  readonly warnings: readonly string[]
}

const MAX_PASSWORD_FILE_BYTES = 4_096

/** The files of the home folder `dir`. Looks at nothing. */
export function homePaths(dir: string): HomePaths {
  const home = resolve(dir)
  return {
    dir: home,
    keystore: join(home, 'keystore.json'),
    config: join(home, 'config.json'),
    db: join(home, 'db'),
    apiSocket: join(home, 'api.sock'),
    log: join(home, 'tallystick.log'),
  }
}

/** The home folder to use: the one that is given, else TALLYSTICK_HOME, else ~/.tallystick. */
export function homeDir(dir: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  return resolve(dir ?? env.TALLYSTICK_HOME ?? join(homedir(), '.tallystick'))
}

/**
 * Makes a home: folder (0700), settings, and last the key (0600), so that a crash in between leaves no half home. A folder that is there
 * may be used as long as it holds no key; a config.json in it is kept.
 *
 * @throws TallyError HOME_EXISTS, USAGE (no password, or the folder cannot be made), KEY_INVALID, CONFIG_INVALID
 */
export async function initHome(init: InitHomeInit): Promise<Home> {
  const paths = homePaths(init.dir)
  if (await exists(paths.keystore)) throw homeExists(paths)
  const { password, config = {}, privateKey, scryptN } = init
  const key = await createKeystore(password, { ...(privateKey && { privateKey }), ...(scryptN !== undefined && { scryptN }) })
  await makeFolder(paths.dir)
  if (!(await exists(paths.config))) await writeConfig(paths.config, config)
  await writeKeystore(paths.keystore, key.json)
  return { paths, privateKey: key.privateKey, address: key.address }
}

/**
 * Opens the key of a home.
 *
 * @throws TallyError HOME_MISSING, PASSWORD_WRONG, KEY_INVALID
 */
export async function openHome(init: { readonly dir: string; readonly password: string }): Promise<OpenedHome> {
  const paths = homePaths(init.dir)
  await requireHome(paths)
  const key = await openKeystore(await readKeystore(paths.keystore), init.password)
  return { ...key, paths, warnings: await looseModes(paths) }
}

/** The account of a home, without its password: the key file names it. @throws TallyError HOME_MISSING, KEY_INVALID */
export async function addressOfHome(dir: string): Promise<Address> {
  const paths = homePaths(dir)
  await requireHome(paths)
  return addressOfKeystore(await readKeystore(paths.keystore))
}

/** Refuses a folder that is no home. @throws TallyError HOME_MISSING */
export async function requireHome(paths: HomePaths): Promise<void> {
  if (await exists(paths.keystore)) return
  throw new TallyError('HOME_MISSING', {
    message: `there is no node in "${paths.dir}"`,
    hint: `Make one with \`tallystick init --home ${shellWord(paths.dir)}\`, or name its folder with --home.`,
    fields: { home: paths.dir },
  })
}

export interface PasswordSources {
  /** typed in, or given by a program */
  readonly password?: string | undefined
  /** path of a file whose first line is the password */
  readonly passwordFile?: string | undefined
  readonly env?: NodeJS.ProcessEnv
}

/**
 * The password from the first source that has one: given, file, TALLYSTICK_PASSWORD, TALLYSTICK_PASSWORD_FILE. Undefined when none has:
 * whoever has a terminal may ask for it.
 *
 * @throws TallyError USAGE for a file that cannot be read, is empty, or is larger than 4 KiB
 */
export async function findPassword(sources: PasswordSources): Promise<string | undefined> {
  const { password, passwordFile, env = process.env } = sources
  if (password !== undefined) return password
  if (passwordFile !== undefined) return passwordFrom(passwordFile)
  if (env.TALLYSTICK_PASSWORD !== undefined) return env.TALLYSTICK_PASSWORD
  if (env.TALLYSTICK_PASSWORD_FILE !== undefined) return passwordFrom(env.TALLYSTICK_PASSWORD_FILE)
  return undefined
}

/** The password, for whoever cannot ask. @throws TallyError USAGE when no source has one, and as `findPassword` */
export async function requirePassword(sources: PasswordSources): Promise<string> {
  const found = await findPassword(sources)
  if (found !== undefined) return found
  throw new TallyError('USAGE', {
    message: 'the password of the key is needed',
    hint: 'Set TALLYSTICK_PASSWORD or TALLYSTICK_PASSWORD_FILE, or give --password-file.',
  })
}

async function passwordFrom(path: string): Promise<string> {
  try {
    const text = await readFile(path, 'utf8')
    if (text.length > MAX_PASSWORD_FILE_BYTES) throw new RangeError('it is too large to be a password')
    // editors end a file with a line break; it is no part of the password
    const [line = ''] = text.split(/\r?\n/, 1)
    if (line === '') throw new RangeError('its first line is empty')
    return line
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TallyError('USAGE', { message: `the password file "${path}" cannot be used: ${why}`, fields: { path }, cause })
  }
}

async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await chmod(dir, 0o700)
  } catch (cause) {
    throw new TallyError('USAGE', {
      message: `the folder "${dir}" cannot be made`,
      hint: 'Choose another one with --home.',
      fields: { dir },
      cause,
    })
  }
}

async function looseModes(paths: HomePaths): Promise<string[]> {
  const warnings: string[] = []
  for (const [path, mode] of [
    [paths.dir, 0o700],
    [paths.keystore, 0o600],
  ] as const) {
    const { mode: actual } = await stat(path)
    if ((actual & 0o077) !== 0)
      warnings.push(`others on this machine can reach "${path}"; run \`chmod ${mode.toString(8)} ${shellWord(path)}\``)
  }
  return warnings
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

function shellWord(text: string): string {
  return /^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

function homeExists(paths: HomePaths): TallyError {
  return new TallyError('HOME_EXISTS', {
    message: `there is a node in "${paths.dir}" already`,
    hint: 'Use it as it is, or make another one with `tallystick init --home <folder>`.',
    fields: { home: paths.dir },
  })
}
