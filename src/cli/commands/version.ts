import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { ownVersion } from '../version.ts'

export function versionCommand(cli: Cli): Command {
  return new Command('version').description('the version of tallystick and of Node').action(() => {
    const versions = { tallystick: ownVersion(), node: process.versions.node, platform: `${process.platform}-${process.arch}` }
    cli.out.data(versions)
    cli.out.text(`tallystick ${versions.tallystick} (Node ${versions.node}, ${versions.platform})`)
  })
}
