/** `npm run bench:peers -- install`: fetches what others have published, for the optional rows of the benchmark. Nothing else ever does. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { INSTALL_COMMAND, isInstalled, PEER_PACKAGES, PEERS_FOLDER, type PeerPackage, versionOf } from './peers.ts'

if (process.argv[2] !== 'install') {
  process.stdout.write(`${INSTALL_COMMAND}    fetches ${Object.keys(PEER_PACKAGES).join(', ')} into ${PEERS_FOLDER}\n`)
  process.exit(process.argv[2] === undefined || process.argv[2] === '--help' ? 0 : 2)
}
mkdirSync(PEERS_FOLDER, { recursive: true })
// one that cannot be had leaves out its row, and no other
const manifest = { private: true, description: 'measured by the benchmark, used by nothing', optionalDependencies: PEER_PACKAGES }
writeFileSync(join(PEERS_FOLDER, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
// what they would run at installation is not run, and what they merely could be used with is not fetched
const args = ['install', '--ignore-scripts', '--legacy-peer-deps', '--no-package-lock', '--no-audit', '--no-fund']
const { status } = spawnSync('npm', args, { cwd: PEERS_FOLDER, stdio: 'inherit' })
for (const name of Object.keys(PEER_PACKAGES) as PeerPackage[])
  process.stdout.write(
    `${isInstalled(name) ? '✔' : '✖'} ${name} ${isInstalled(name) ? versionOf(name) : 'could not be installed'}\n`,
  )
process.exitCode = status ?? 1
