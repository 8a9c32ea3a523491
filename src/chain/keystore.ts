import { open, readFile, stat } from 'node:fs/promises'
import { decryptKeystoreJson, encryptKeystoreJson, isError } from 'ethers'
import { z } from 'zod'
import { fromHex, toHex } from '../core/bytes.ts'
import { addressOfKey, isPrivateKey } from '../core/crypto/secp256k1.ts'
import { TallyError } from '../core/errors.ts'
import { type Address, parseAddress } from '../core/ids.ts'

/**
 * The cost of guessing a password, and of opening a key: 128 MiB of memory and some 0.4 s on the 2-core machine it was chosen on
 * (2^16: 0.2 s, 2^18: 0.8 s). It is what geth and other wallets use, so a key file moves freely between them.
 */
export const DEFAULT_SCRYPT_N = 2 ** 17

/** A key, its address, and the encrypted file that holds it. */
export interface OpenKey {
  /** 32 bytes; whoever has them has the money */
  readonly privateKey: Uint8Array
  readonly address: Address
}

export interface CreateKeyOptions {
  /** the key to encrypt. @default a new random one */
  readonly privateKey?: Uint8Array
  /** a power of two, 2 to 2^20. Below the default only for keys of tests. @default 2^17 */
  readonly scryptN?: number
}

const MAX_FILE_BYTES = 64 * 1024
const MAX_SCRYPT_N = 2 ** 20
/** how long a hostile file may keep us busy: about eight times the default */
const MAX_SCRYPT_WORK = MAX_SCRYPT_N * 8
const MAX_PBKDF2_ROUNDS = 10_000_000

const hexText = z.string().regex(/^(?:0x)?(?:[0-9a-f]{2})+$/i)
const positive = z.int().positive()
const scryptParams = z
  .object({ n: positive.max(MAX_SCRYPT_N), r: positive, p: positive, dklen: z.literal(32), salt: hexText })
  .refine(({ n, r, p }) => Number.isInteger(Math.log2(n)) && n * r * p <= MAX_SCRYPT_WORK)
const pbkdf2Params = z.object({ c: positive.max(MAX_PBKDF2_ROUNDS), prf: z.string(), dklen: z.literal(32), salt: hexText })
const cryptoPart = z.intersection(
  z.object({
    cipher: z.literal('aes-128-ctr'),
    cipherparams: z.object({ iv: hexText.length(32) }),
    ciphertext: hexText.length(64),
    mac: hexText.length(64),
  }),
  z.discriminatedUnion('kdf', [
    z.object({ kdf: z.literal('scrypt'), kdfparams: scryptParams }),
    z.object({ kdf: z.literal('pbkdf2'), kdfparams: pbkdf2Params }),
  ]),
)
const keystoreFile = z
  .object({ version: z.union([z.literal(3), z.literal('3')]), crypto: cryptoPart.optional(), Crypto: cryptoPart.optional() })
  .refine((file) => (file.crypto === undefined) !== (file.Crypto === undefined))

/**
 * Encrypts a key with a password, as a V3 keystore (Web3 Secret Storage).
 *
 * @throws TallyError USAGE for an empty password, KEY_INVALID for bytes that are no secp256k1 key
 */
export async function createKeystore(
  password: string,
  options: CreateKeyOptions = {},
): Promise<OpenKey & { readonly json: string }> {
  if (password === '') {
    throw new TallyError('USAGE', {
      message: 'an empty password protects nothing',
      hint: 'Give a password, by TALLYSTICK_PASSWORD or --password-file.',
    })
  }
  const privateKey = options.privateKey?.slice() ?? newKey()
  if (!isPrivateKey(privateKey)) throw new TallyError('KEY_INVALID', { message: 'these bytes are not a secp256k1 key' })
  const address = addressOfKey(privateKey)
  const account = { address, privateKey: toHex(privateKey) }
  const json = await encryptKeystoreJson(account, password, { scrypt: { N: options.scryptN ?? DEFAULT_SCRYPT_N } })
  return { privateKey, address, json }
}

/**
 * Opens a V3 keystore, also one that another wallet wrote.
 *
 * @throws TallyError PASSWORD_WRONG, KEY_INVALID (not a keystore, damaged, or made to take for ever)
 */
export async function openKeystore(json: string, password: string): Promise<OpenKey> {
  checkKeystore(json)
  try {
    const { privateKey } = await decryptKeystoreJson(json, password)
    const bytes = fromHex(privateKey, 32)
    return { privateKey: bytes, address: addressOfKey(bytes) }
  } catch (cause) {
    if (!isError(cause, 'INVALID_ARGUMENT') || cause.argument !== 'password')
      throw keyInvalid('it does not hold the key that it names', cause)
    throw new TallyError('PASSWORD_WRONG', {
      hint: 'Check TALLYSTICK_PASSWORD or the password file. If the password is right the key file is damaged: take it from your backup.',
      cause,
    })
  }
}

/** Writes a key file that only its owner can read, durably. Never over another: HOME_EXISTS. */
export async function writeKeystore(path: string, json: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause
    throw new TallyError('HOME_EXISTS', {
      message: `there is a key in "${path}" already`,
      hint: 'It is never replaced: it may own money. Choose another home folder with --home.',
      fields: { path },
    })
  })
  try {
    // the mode of open() is cut by the umask, never widened; this makes it exact
    await handle.chmod(0o600)
    await handle.writeFile(json)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The text of a key file. @throws TallyError KEY_INVALID when there is no such file or it is far too large */
export async function readKeystore(path: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > MAX_FILE_BYTES) throw keyInvalid(`it has ${size} bytes`)
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof TallyError) throw cause
    throw new TallyError('KEY_INVALID', {
      message: `the key file "${path}" cannot be read`,
      hint: 'Take keystore.json from your backup, or make a new node with `tallystick init`.',
      fields: { path },
      cause,
    })
  }
}

/** The account that a keystore says it is of; only opening it proves that. @throws TallyError KEY_INVALID */
export function addressOfKeystore(json: string): Address {
  checkKeystore(json)
  const { address } = JSON.parse(json) as { address?: unknown }
  if (typeof address !== 'string' || !/^(0x)?[0-9a-fA-F]{40}$/.test(address)) throw keyInvalid('it does not name its account')
  return parseAddress(`0x${address.replace(/^0x/, '').toLowerCase()}`)
}

function checkKeystore(json: string): void {
  let file: unknown
  try {
    file = JSON.parse(json)
  } catch (cause) {
    throw keyInvalid('it is not JSON', cause)
  }
  const checked = keystoreFile.safeParse(file)
  if (!checked.success) throw keyInvalid('it is not a V3 keystore, or it is damaged', checked.error)
}

function newKey(): Uint8Array {
  for (;;) {
    const key = crypto.getRandomValues(new Uint8Array(32))
    // about one of 2^128 draws is no key
    if (isPrivateKey(key)) return key
  }
}

function keyInvalid(why: string, cause?: unknown): TallyError {
  return new TallyError('KEY_INVALID', {
    message: `the key file cannot be used: ${why}`,
    hint: 'Take keystore.json from your backup.',
    cause,
  })
}
