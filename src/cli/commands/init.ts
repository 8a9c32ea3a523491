import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { fromHex } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'
import { formatAddress } from '../../core/ids.ts'
import type { Cli } from '../context.ts'
import { examples } from '../options.ts'
import { facts } from '../output.ts'
import { askSecret, canAsk } from '../prompt.ts'

const MAX_KEY_FILE_BYTES = 64 * 1024

export function initCommand(cli: Cli): Command {
  return new Command('init')
    .description('makes a node: a key, encrypted with a password, and its settings')
    .option('--import-key <file>', 'use this key: 32 bytes in hex, or a V3 keystore with the same password')
    .addHelpText(
      'after',
      examples(
        'init',
        'init --network dev --home ./alice',
        'init --yes --password-file ./secret --network ./dev.json',
        'init --import-key ./key.hex',
      ),
    )
    .action(async ({ importKey }: { importKey?: string }) => {
      const [{ initHome, homePaths }, { peerIdOfKey }] = await Promise.all([
        import('../../node/home.ts'),
        import('../../../protocols/peer-identity.ts'),
      ])
      const paths = await cli.paths()
      await refuseExisting(paths.keystore, paths.dir)
      const network = await checkedNetwork(cli)
      const { bootstrap } = cli.options
      const password = await newPassword(cli)
      const privateKey = importKey === undefined ? undefined : await readKey(importKey, password)
      const home = await initHome({
        dir: paths.dir,
        password,
        config: {
          ...(network && { network: network.name }),
          ...(bootstrap && { bootstrap: bootstrap.split(',').map((one) => one.trim()) }),
        },
        ...(privateKey && { privateKey }),
      })
      const account = formatAddress(home.address)
      const peer = peerIdOfKey(home.privateKey).toString()
      const next = nextSteps(account, network)
      cli.out.data({ home: home.paths.dir, account, peer, keystore: homePaths(paths.dir).keystore, network: network?.name, next })
      cli.out.text(
        `${cli.out.tick} a node in ${home.paths.dir}`,
        ...facts([
          ['account', account],
          ['peer', peer],
          ['key', `${home.paths.keystore} (keep a copy and its password: together they are the money)`],
        ]),
        ...next.map((line) => `next: ${line}`),
      )
    })
}

async function refuseExisting(keystore: string, dir: string): Promise<void> {
  const there = await readFile(keystore).then(
    () => true,
    () => false,
  )
  if (there)
    throw new TallyError('HOME_EXISTS', {
      message: `there is a node in "${dir}" already`,
      hint: 'Use it as it is, or make another one with `tallystick init --home <folder>`.',
    })
}

/** The network as it is written into the settings: a name stays a name, a file becomes its whole path. */
async function checkedNetwork(cli: Cli): Promise<{ name: string; faucet: boolean } | undefined> {
  const name = cli.options.network ?? cli.env.TALLYSTICK_NETWORK
  if (name === undefined) return undefined
  const { readNetwork } = await import('../../node/network-profile.ts')
  const { faucet = false } = await readNetwork(name, { env: cli.env })
  return { name: name.includes('/') || name.endsWith('.json') ? resolve(name) : name, faucet }
}

async function newPassword(cli: Cli): Promise<string> {
  const { findPassword, requirePassword } = await import('../../node/home.ts')
  const sources = { passwordFile: cli.options.passwordFile, env: cli.env }
  const found = await findPassword(sources)
  if (found !== undefined) return found
  if (!canAsk() || cli.options.yes === true) return await requirePassword(sources)
  const options = { signal: cli.stop.signal }
  const first = await askSecret('a password for the key: ', options)
  if (first === '') throw new TallyError('USAGE', { message: 'an empty password protects nothing' })
  if (first !== (await askSecret('the same again: ', options)))
    throw new TallyError('USAGE', { message: 'the two passwords differ', hint: 'nothing was made; try again' })
  return first
}

async function readKey(path: string, password: string): Promise<Uint8Array> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new TallyError('KEY_INVALID', { message: `the key file "${path}" cannot be read`, cause })
  })
  if (text.length > MAX_KEY_FILE_BYTES) throw new TallyError('KEY_INVALID', { message: `"${path}" is too large to be a key` })
  if (text.trimStart().startsWith('{')) {
    const { openKeystore } = await import('../../chain/keystore.ts')
    return (await openKeystore(text, password)).privateKey
  }
  const hex = text.trim()
  try {
    return fromHex(hex.startsWith('0x') ? hex.toLowerCase() : `0x${hex.toLowerCase()}`, 32)
  } catch (cause) {
    throw new TallyError('KEY_INVALID', { message: `"${path}" holds neither 32 bytes in hex nor a V3 keystore`, cause })
  }
}

function nextSteps(account: string, network: { name: string; faucet: boolean } | undefined): string[] {
  if (network === undefined) return ['name a network with --network, or try it all with play money: tallystick dev']
  if (network.faucet) return [`tallystick dev fund ${account}`]
  return [`send tokens and some of the gas coin to ${account}`]
}
