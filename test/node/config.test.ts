import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseAddress } from '../../src/core/ids.ts'
import { tokenInfo } from '../../src/core/token.ts'
import { envName, loadConfig, requireChain, resolveConfig, SOURCES, writeConfig } from '../../src/node/config.ts'
import { configAmount, DEFAULTS, SETTINGS } from '../../src/node/config-schema.ts'
import { writeNetwork } from '../../src/node/network-profile.ts'
import { tempDir } from '../services/temp-dir.ts'

const address = (digit: string) => `0x${digit.repeat(40)}`
const token = tokenInfo(parseAddress(address('3')), 'USDC', 6)
const profile = {
  rpcUrl: 'http://127.0.0.1:8545',
  chainId: 31337,
  ledger: address('1'),
  token: address('3'),
  confirmationsBlocks: 0,
  faucet: true,
}
const network = { ...profile, path: '/networks/dev.json' }
const file = (content: unknown) => ({ path: '/home/config.json', content })

describe('config: defaults', () => {
  test('without any source every setting has its default, and says so', () => {
    const { config, origin } = resolveConfig({})
    assert.deepEqual(JSON.parse(JSON.stringify(config)), DEFAULTS)
    assert.ok([...origin.values()].every(({ source }) => source === 'default'))
  })

  test('every default amount can be read for any token', () => {
    const { config } = resolveConfig({})
    for (const decimals of [6, 18]) {
      const some = tokenInfo(token.address, 'X', decimals)
      assert.equal(configAmount('consumer.limitAtRisk', config.consumer.limitAtRisk, some), 5n * 10n ** BigInt(decimals - 2))
      for (const text of [config.provider.poolPerHour, config.provider.minReservation, config.provider.settleAt]) {
        configAmount('x', text, some)
      }
    }
  })

  test('every setting is described, and has a variable of its own', () => {
    assert.ok(SETTINGS.every(({ text }) => text.length > 10))
    assert.equal(new Set(SETTINGS.map(({ key }) => envName(key))).size, SETTINGS.length)
    assert.equal(envName('provider.creditSharePpm'), 'TALLYSTICK_PROVIDER_CREDIT_SHARE_PPM')
    assert.equal(envName('listen'), 'TALLYSTICK_LISTEN')
  })
})

describe('config: precedence', () => {
  test('the strongest source that has a value wins: flag, environment, file, network, default', () => {
    fc.assert(
      fc.property(fc.subarray(['flag', 'env', 'file', 'network'] as const), (given) => {
        const values = { flag: 11, env: 12, file: 13, network: 14, default: DEFAULTS.chain.confirmationsBlocks }
        const has = (source: (typeof given)[number]) => given.includes(source)
        const { config, origin } = resolveConfig({
          flags: has('flag') ? { 'chain.confirmationsBlocks': '11' } : {},
          env: has('env') ? { TALLYSTICK_CHAIN_CONFIRMATIONS_BLOCKS: '12' } : {},
          ...(has('file') && { file: file({ chain: { confirmationsBlocks: 13 } }) }),
          ...(has('network') && { network: { ...network, confirmationsBlocks: 14 } }),
        })
        const strongest = SOURCES.find((source) => source === 'default' || given.includes(source)) ?? 'default'
        assert.equal(config.chain.confirmationsBlocks, values[strongest])
        assert.equal(origin.get('chain.confirmationsBlocks')?.source, strongest)
      }),
    )
  })

  test('an origin names the variable or the file', () => {
    const { origin } = resolveConfig({
      env: { TALLYSTICK_LOG_LEVEL: 'debug' },
      file: file({ provider: { maxSessions: 5 } }),
      network,
    })
    assert.equal(origin.get('log.level')?.from, 'TALLYSTICK_LOG_LEVEL')
    assert.equal(origin.get('provider.maxSessions')?.from, '/home/config.json')
    assert.equal(origin.get('chain.ledger')?.from, '/networks/dev.json')
    assert.equal(origin.has('chain.forwarder'), false)
  })

  test('texts from flags and variables are read as the setting demands', () => {
    const { config } = resolveConfig({
      flags: { 'provider.settleOnClose': 'yes', 'chain.ledger': address('A') },
      env: {
        TALLYSTICK_LISTEN: '/ip4/1.2.3.4/tcp/1, /ip6/::1/tcp/2',
        TALLYSTICK_BOOTSTRAP: '',
        TALLYSTICK_PROVIDER_PATIENCE_MS: ' 5000 ',
      },
    })
    assert.equal(config.provider.settleOnClose, true)
    assert.equal(config.chain.ledger, address('a'))
    assert.deepEqual(config.listen, ['/ip4/1.2.3.4/tcp/1', '/ip6/::1/tcp/2'])
    assert.deepEqual(config.bootstrap, [])
    assert.equal(config.provider.patienceMs, 5000)
  })

  test('a flag that was not given changes nothing', () => {
    assert.equal(resolveConfig({ flags: { 'log.level': undefined } }).config.log.level, 'info')
  })
})

describe('config: refusals', () => {
  test('a name that does not exist is CONFIG_INVALID with the nearest one, in every source', () => {
    const cases: [Parameters<typeof resolveConfig>[0], string][] = [
      [{ file: file({ provider: { patiencMs: 1 } }) }, 'provider.patienceMs'],
      [{ file: file({ chian: { rpcUrl: 'x' } }) }, '"chain"'],
      [{ file: file({ listen_: [] }) }, 'listen'],
      [{ flags: { 'consumer.limitAtRisc': '1 USDC' } }, 'consumer.limitAtRisk'],
      [{ env: { TALLYSTICK_CHAIN_RPCURL: 'x' } }, 'TALLYSTICK_CHAIN_RPC_URL'],
      [{ env: { TALLYSTICK_PASWORD: 'x' } }, 'TALLYSTICK_PASSWORD'],
    ]
    for (const [sources, nearest] of cases) {
      assert.throws(
        () => resolveConfig(sources),
        (error: { code: string; hint: string }) => error.code === 'CONFIG_INVALID' && error.hint.includes(nearest),
        nearest,
      )
    }
  })

  test('variables that are no settings are left alone', () => {
    resolveConfig({ env: { TALLYSTICK_HOME: '/x', TALLYSTICK_PASSWORD: 'x', TALLYSTICK_TEST_ANYTHING: 'x', PATH: '/bin' } })
  })

  test('a value that is not possible is CONFIG_INVALID, naming the setting and where it was set', () => {
    const bad: Record<string, unknown[]> = {
      'chain.rpcUrl': ['ftp://x', 'localhost', 5],
      'chain.chainId': [0, -1, 1.5, '0x1', null],
      'chain.ledger': ['0x12', address('g'), '0xFb6916095ca1df60bB79Ce92cE3Ea74c37c5d359'.replace('F', 'f')],
      listen: [['127.0.0.1:80'], '/ip4/1.2.3.4', ['/tcp/'], [5]],
      'provider.poolPerHour': ['1', '-1 USDC', 'USDC', '1e3 USDC', 1],
      'provider.creditSharePpm': [1_000_001, -1, '10%'],
      'provider.patienceMs': [999, Number.NaN],
      'provider.settleOnClose': ['maybe', 1],
      'consumer.limitAtRisk': ['', ' ', '0.5 US DC'],
      'log.level': ['loud'],
    }
    for (const [key, values] of Object.entries(bad)) {
      for (const value of values.filter((each) => !(key === 'listen' && each === '/ip4/1.2.3.4'))) {
        const [group = '', name] = key.split('.')
        const content = name === undefined ? { [group]: value } : { [group]: { [name]: value } }
        assert.throws(
          () => resolveConfig({ file: file(content) }),
          (error: { code: string; message: string }) =>
            error.code === 'CONFIG_INVALID' && error.message.includes(key) && error.message.includes('/home/config.json'),
          `${key} = ${JSON.stringify(value)}`,
        )
      }
    }
  })

  test('a file that is not an object of objects is CONFIG_INVALID', () => {
    for (const content of [null, [], 'x', 5, { chain: [] }, { provider: 'x' }, JSON.parse('{"__proto__":{"x":1}}')]) {
      assert.throws(() => resolveConfig({ file: file(content) }), { code: 'CONFIG_INVALID' })
    }
  })

  test('an amount of another token, or finer than the token, is CONFIG_INVALID when it is used', () => {
    assert.equal(configAmount('k', '0.5 USDC', token), 500_000n)
    assert.equal(configAmount('k', '0.5 token', token), 500_000n)
    for (const text of ['0.5 DAI', '0.0000001 USDC', '0.0000001 token']) {
      assert.throws(() => configAmount('provider.settleAt', text, token), {
        code: 'CONFIG_INVALID',
        message: /^provider\.settleAt: /,
      })
    }
  })
})

describe('config: chain and network', () => {
  test('whoever needs a chain is told all that is missing', () => {
    assert.throws(
      () => requireChain(resolveConfig({ flags: { 'chain.rpcUrl': 'http://x' } })),
      (error: { code: string; message: string; hint: string }) =>
        error.code === 'CONFIG_INVALID' &&
        /chain\.chainId, chain\.ledger, chain\.token are/.test(error.message) &&
        /tallystick dev/.test(error.hint),
    )
    assert.deepEqual(requireChain(resolveConfig({ network })), {
      rpcUrl: profile.rpcUrl,
      chainId: 31337,
      ledger: address('1'),
      token: address('3'),
      confirmationsBlocks: 0,
    })
  })

  test('a network is found by name in the folder of networks, or by path from where it is named', async (t) => {
    const dir = tempDir(t)
    const networksDir = join(dir, 'networks')
    await writeNetwork('dev', profile, { networksDir })
    const byName = await loadConfig({ flags: { network: 'dev' }, env: {}, networksDir })
    assert.equal(byName.config.chain.chainId, 31337)
    assert.equal(byName.network?.faucet, true)
    const byVariable = await loadConfig({ env: { TALLYSTICK_NETWORK: 'dev', TALLYSTICK_NETWORKS: networksDir } })
    assert.equal(byVariable.origin.get('chain.token')?.from, join(networksDir, 'dev.json'))

    const path = join(dir, 'config.json')
    await writeNetwork('./mine.json', { ...profile, chainId: 5 }, { base: dir })
    await writeConfig(path, { network: './mine.json', chain: { confirmationsBlocks: 7 } })
    const { config } = await loadConfig({ path, env: {} })
    assert.deepEqual([config.chain.chainId, config.chain.confirmationsBlocks], [5, 7])
    const flag = await loadConfig({ path, env: {}, flags: { network: 'dev' }, networksDir })
    assert.equal(flag.config.chain.chainId, 31337)
  })

  test('a network that is not there, or is not one, is CONFIG_INVALID', async (t) => {
    const networksDir = tempDir(t)
    await assert.rejects(loadConfig({ env: {}, flags: { network: 'dev' }, networksDir }), {
      code: 'CONFIG_INVALID',
      hint: /tallystick dev/,
    })
    for (const content of ['{', '[]', JSON.stringify({ ...profile, ledger: 'x' }), JSON.stringify({ ...profile, extra: 1 })]) {
      writeFileSync(join(networksDir, 'bad.json'), content)
      await assert.rejects(loadConfig({ env: {}, flags: { network: 'bad' }, networksDir }), { code: 'CONFIG_INVALID' }, content)
    }
    writeFileSync(join(networksDir, 'bad.json'), JSON.stringify({ ...profile, rpcUrl: 'nonsense' }))
    await assert.rejects(loadConfig({ env: {}, flags: { network: 'bad' }, networksDir }), {
      code: 'CONFIG_INVALID',
      message: /bad\.json/,
    })
  })

  test('a config file that is not there is no error; one that cannot be read is', async (t) => {
    const dir = tempDir(t)
    assert.equal((await loadConfig({ path: join(dir, 'none.json'), env: {} })).config.log.level, 'info')
    writeFileSync(join(dir, 'bad.json'), '{"log":')
    await assert.rejects(loadConfig({ path: join(dir, 'bad.json'), env: {} }), { code: 'CONFIG_INVALID', message: /not JSON/ })
    mkdirSync(join(dir, 'folder.json'))
    await assert.rejects(loadConfig({ path: join(dir, 'folder.json'), env: {} }), { code: 'CONFIG_INVALID' })
  })

  test('a config file is checked before it is written, for its owner alone, and leaves no litter', async (t) => {
    const dir = tempDir(t)
    const path = join(dir, 'config.json')
    await assert.rejects(writeConfig(path, { nonsense: 1 }), { code: 'CONFIG_INVALID' })
    await writeConfig(path, { log: { level: 'warn' } })
    await writeConfig(path, { log: { level: 'debug' } })
    assert.equal((await loadConfig({ path, env: {} })).config.log.level, 'debug')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(dir), ['config.json'])
  })
})
