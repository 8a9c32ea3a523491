import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { findPassword, homeDir, homePaths, initHome, openHome, requirePassword } from '../../src/node/home.ts'
import { tempDir } from '../services/temp-dir.ts'

const scryptN = 2
const password = 'secret'

describe('home', () => {
  test('is made with a key and settings that its owner alone can reach, and opens again', async (t) => {
    const before = process.umask(0)
    t.after(() => process.umask(before))
    const dir = join(tempDir(t), 'deep', 'home')
    const made = await initHome({ dir, password, scryptN, config: { log: { level: 'warn' } } })
    assert.deepEqual(readdirSync(dir).sort(), ['config.json', 'keystore.json'])
    assert.equal(statSync(dir).mode & 0o777, 0o700)
    assert.equal(statSync(made.paths.keystore).mode & 0o777, 0o600)
    assert.equal(statSync(made.paths.config).mode & 0o777, 0o600)
    const opened = await openHome({ dir, password })
    assert.equal(opened.address, made.address)
    assert.deepEqual(opened.privateKey, made.privateKey)
    assert.deepEqual(opened.warnings, [])
    assert.equal(opened.paths.apiSocket, join(dir, 'api.sock'))
  })

  test('a second init is HOME_EXISTS, and the key stays what it was', async (t) => {
    const dir = tempDir(t)
    const { paths } = await initHome({ dir, password, scryptN })
    const key = readFileSync(paths.keystore, 'utf8')
    await assert.rejects(initHome({ dir, password: 'other', scryptN }), { code: 'HOME_EXISTS', hint: /tallystick init --home/ })
    assert.equal(readFileSync(paths.keystore, 'utf8'), key)
  })

  test('two inits at once: one makes the home, the other is HOME_EXISTS', async (t) => {
    const dir = join(tempDir(t), 'home')
    const both = await Promise.allSettled([1, 2].map(() => initHome({ dir, password, scryptN })))
    const made = both.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const refused = both.flatMap((each) => (each.status === 'rejected' ? [each.reason.code] : []))
    assert.deepEqual([made.length, refused], [1, ['HOME_EXISTS']])
    assert.equal((await openHome({ dir, password })).address, made[0]?.address)
  })

  test('an init that was cut before the key can be repeated, and keeps the settings that are there', async (t) => {
    const dir = tempDir(t)
    const { paths } = await initHome({ dir, password, scryptN, config: { log: { level: 'warn' } } })
    rmSync(paths.keystore)
    await initHome({ dir, password, scryptN, config: { log: { level: 'debug' } } })
    assert.match(readFileSync(paths.config, 'utf8'), /warn/)
  })

  test('a folder without a key is HOME_MISSING, with the command that makes one', async (t) => {
    const dir = join(tempDir(t), 'my home')
    await assert.rejects(openHome({ dir, password }), { code: 'HOME_MISSING', hint: /tallystick init --home '.*my home'/ })
    mkdirSync(dir)
    await assert.rejects(openHome({ dir, password }), { code: 'HOME_MISSING' })
    assert.ok(!existsSync(homePaths(dir).config))
  })

  test('a wrong password is PASSWORD_WRONG, a damaged key file KEY_INVALID', async (t) => {
    const dir = tempDir(t)
    const { paths } = await initHome({ dir, password, scryptN })
    await assert.rejects(openHome({ dir, password: 'wrong' }), { code: 'PASSWORD_WRONG' })
    writeFileSync(paths.keystore, readFileSync(paths.keystore, 'utf8').slice(0, 100))
    await assert.rejects(openHome({ dir, password }), { code: 'KEY_INVALID' })
  })

  test('nothing is made when the password is empty, the key is none, or the settings are wrong', async (t) => {
    const dir = join(tempDir(t), 'home')
    await assert.rejects(initHome({ dir, password: '', scryptN }), { code: 'USAGE' })
    await assert.rejects(initHome({ dir, password, scryptN, privateKey: new Uint8Array(32) }), { code: 'KEY_INVALID' })
    assert.ok(!existsSync(dir))
    await assert.rejects(initHome({ dir, password, scryptN, config: { nonsense: 1 } }), { code: 'CONFIG_INVALID' })
    assert.ok(!existsSync(homePaths(dir).keystore))
  })

  test('a folder that cannot be made is USAGE', async (t) => {
    const file = join(tempDir(t), 'file')
    writeFileSync(file, '')
    await assert.rejects(initHome({ dir: join(file, 'home'), password, scryptN }), { code: 'USAGE' })
  })

  test('a folder or key that others can reach is a warning with the command that mends it', async (t) => {
    const dir = tempDir(t)
    const { paths } = await initHome({ dir, password, scryptN })
    chmodSync(dir, 0o755)
    chmodSync(paths.keystore, 0o644)
    const { warnings } = await openHome({ dir, password })
    assert.equal(warnings.length, 2)
    assert.match(warnings[0] ?? '', /chmod 700 /)
    assert.match(warnings[1] ?? '', /chmod 600 .*keystore\.json/)
  })

  test('the folder is the one that is given, else the variable, else in the home of the user', () => {
    assert.equal(homeDir('/a', { TALLYSTICK_HOME: '/b' }), '/a')
    assert.equal(homeDir(undefined, { TALLYSTICK_HOME: '/b' }), '/b')
    assert.equal(homeDir(undefined, {}), join(homedir(), '.tallystick'))
  })
})

describe('password', () => {
  test('comes from the first source that has one: given, file, variable, file of the variable', async (t) => {
    const dir = tempDir(t)
    const [passwordFile, other] = [join(dir, 'a'), join(dir, 'b')]
    writeFileSync(passwordFile, 'from file\n')
    writeFileSync(other, 'from other file\r\nsecond line')
    const env = { TALLYSTICK_PASSWORD: 'from variable', TALLYSTICK_PASSWORD_FILE: other }
    assert.equal(await findPassword({ password: 'given', passwordFile, env }), 'given')
    assert.equal(await findPassword({ passwordFile, env }), 'from file')
    assert.equal(await findPassword({ env }), 'from variable')
    assert.equal(await findPassword({ env: { TALLYSTICK_PASSWORD_FILE: other } }), 'from other file')
    assert.equal(await findPassword({ env: {} }), undefined)
  })

  test('spaces belong to a password, the line break at the end of a file does not', async (t) => {
    const passwordFile = join(tempDir(t), 'a')
    writeFileSync(passwordFile, ' a b \n')
    assert.equal(await requirePassword({ passwordFile, env: {} }), ' a b ')
  })

  test('without any source it is USAGE with the ways to give one; so is a file that is missing, empty or too large', async (t) => {
    const dir = tempDir(t)
    await assert.rejects(requirePassword({ env: {} }), { code: 'USAGE', hint: /TALLYSTICK_PASSWORD_FILE/ })
    writeFileSync(join(dir, 'empty'), '\n')
    writeFileSync(join(dir, 'large'), 'x'.repeat(5_000))
    for (const name of ['none', 'empty', 'large'])
      await assert.rejects(findPassword({ passwordFile: join(dir, name), env: {} }), { code: 'USAGE' })
  })
})
