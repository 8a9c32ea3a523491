import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Wallet } from 'ethers'
import { createKeystore, openKeystore, readKeystore, writeKeystore } from '../../src/chain/keystore.ts'
import { toHex } from '../../src/core/bytes.ts'
import { formatAddress } from '../../src/core/ids.ts'
import { tempDir } from '../services/temp-dir.ts'

const scryptN = 2

// Ethereum's own example of a V3 keystore (Web3 Secret Storage Definition), by PBKDF2
const FOREIGN = JSON.stringify({
  crypto: {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
    ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
    kdf: 'pbkdf2',
    kdfparams: {
      c: 262144,
      dklen: 32,
      prf: 'hmac-sha256',
      salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
    },
    mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
  },
  id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
  version: 3,
})

describe('keystore', () => {
  test('opens with its password to the same key and address, which are those of ethers', async () => {
    const made = await createKeystore('p\u00e4ssword', { scryptN })
    const opened = await openKeystore(made.json, 'p\u00e4ssword')
    assert.deepEqual(opened.privateKey, made.privateKey)
    assert.equal(opened.address, made.address)
    const wallet = new Wallet(toHex(made.privateKey))
    assert.equal(formatAddress(made.address), wallet.address)
    assert.equal((await Wallet.fromEncryptedJson(made.json, 'p\u00e4ssword')).address, wallet.address)
    assert.ok(!made.json.includes(toHex(made.privateKey).slice(2)))
  })

  test('encrypts a key that is given, and draws a new one each time otherwise', async () => {
    const privateKey = new Uint8Array(32).fill(7)
    assert.deepEqual((await createKeystore('x', { privateKey, scryptN })).privateKey, privateKey)
    const [a, b] = await Promise.all([createKeystore('x', { scryptN }), createKeystore('x', { scryptN })])
    assert.notEqual(a.address, b.address)
  })

  test('opens a keystore of another wallet', async () => {
    const { privateKey } = await openKeystore(FOREIGN, 'testpassword')
    assert.equal(toHex(privateKey), '0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d')
  })

  test('uses the full cost of scrypt unless told otherwise', async () => {
    const { json } = await createKeystore('x')
    assert.equal(JSON.parse(json).Crypto.kdfparams.n, 131072)
  })

  test('a wrong password is PASSWORD_WRONG, with a hint', async () => {
    const { json } = await createKeystore('right', { scryptN })
    for (const wrong of ['wrong', 'Right', 'right ', '']) {
      await assert.rejects(
        openKeystore(json, wrong),
        (error: { code: string; hint: string }) => error.code === 'PASSWORD_WRONG' && /backup/.test(error.hint),
      )
    }
  })

  test('an empty password is refused when a key is made', async () => {
    await assert.rejects(createKeystore('', { scryptN }), { code: 'USAGE' })
  })

  test('bytes that are no key are refused', async () => {
    for (const privateKey of [new Uint8Array(32), new Uint8Array(32).fill(255), new Uint8Array(31).fill(1)]) {
      await assert.rejects(createKeystore('x', { privateKey, scryptN }), { code: 'KEY_INVALID' })
    }
  })

  test('a damaged file is KEY_INVALID', async () => {
    const { json } = await createKeystore('x', { scryptN })
    const file = JSON.parse(json)
    const damaged: unknown[] = ['', '{', 'null', '[]', '{}', json.slice(0, -5), JSON.stringify({ ...file, version: 2 })]
    for (const [key, value] of [
      ['ciphertext', 'ab'],
      ['mac', 'zz'],
      ['cipher', 'aes-256'],
      ['kdf', 'none'],
      ['cipherparams', {}],
    ] as const) {
      damaged.push(JSON.stringify({ ...file, Crypto: { ...file.Crypto, [key]: value } }))
    }
    damaged.push(JSON.stringify({ ...file, address: '00'.repeat(20) }))
    for (const text of damaged) await assert.rejects(openKeystore(String(text), 'x'), { code: 'KEY_INVALID' }, String(text))
  })

  test('a file that would keep the processor or the memory busy for ever is KEY_INVALID, at once', async () => {
    const file = JSON.parse((await createKeystore('x', { scryptN })).json)
    for (const params of [{ n: 2 ** 30 }, { n: 3 }, { n: 2 ** 20, r: 64 }, { p: 2 ** 30 }, { n: 0 }, { n: 1.5 }]) {
      const kdfparams = { ...file.Crypto.kdfparams, ...params }
      const hostile = JSON.stringify({ ...file, Crypto: { ...file.Crypto, kdfparams } })
      await assert.rejects(openKeystore(hostile, 'x'), { code: 'KEY_INVALID' }, JSON.stringify(params))
    }
    const slow = FOREIGN.replace('262144', '1000000000')
    await assert.rejects(openKeystore(slow, 'testpassword'), { code: 'KEY_INVALID' })
  })

  test('a key file is readable by its owner alone, and never replaced', async (t) => {
    const path = join(tempDir(t), 'keystore.json')
    const before = process.umask(0)
    t.after(() => process.umask(before))
    await writeKeystore(path, '{"a":1}')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    await assert.rejects(writeKeystore(path, 'other'), { code: 'HOME_EXISTS' })
    assert.equal(readFileSync(path, 'utf8'), '{"a":1}')
    assert.equal(await readKeystore(path), '{"a":1}')
  })

  test('a key file that is missing or far too large is KEY_INVALID', async (t) => {
    const dir = tempDir(t)
    await assert.rejects(readKeystore(join(dir, 'none')), { code: 'KEY_INVALID', hint: /backup/ })
    writeFileSync(join(dir, 'large'), 'x'.repeat(70_000))
    await assert.rejects(readKeystore(join(dir, 'large')), { code: 'KEY_INVALID' })
  })
})
