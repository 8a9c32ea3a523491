/** The command line as a whole. */
import { Command } from 'commander'
import type { Cli } from './context.ts'
import { addGlobalOptions, type GlobalOptions } from './options.ts'
import { ownVersion } from './version.ts'

const EPILOGUE = `
Amounts carry their token: '0.5 USDC'. Prices: 0.01/MiB, 0.001/s, 0.1/GiB+0.0001/s, free.
Exit codes: 0 ok, 1 other, 2 usage, 3 node or chain unreachable, 4 key, 5 not found, 6 no offer within the price, 7 budget reached,
8 not enough funds, 9 refused, 10 dry run, 11 partly delivered, 75 try again.

Begin:  tallystick demo`

export interface CommandGroup {
  readonly heading: string
  readonly commands: readonly ((cli: Cli) => Command)[]
}

export function buildProgram(cli: Cli, groups: readonly CommandGroup[]): Command {
  const program = new Command('tallystick')
    .description('two strangers trade a metered service for tokens: pay as you go, no trust, no hub')
    .version(ownVersion(), '-V, --version', 'the version')
    .helpOption('-h, --help', 'help for a command')
    .helpCommand('help [command]', 'help for a command')
    .configureHelp({ showGlobalOptions: false })
    // failures are told in one place, in one form
    .configureOutput({
      outputError: () => undefined,
      writeOut: (text) => void cli.terminal.stdout(text),
      writeErr: (text) => cli.terminal.stderr(text),
    })
    .exitOverride()
    .addHelpText('after', EPILOGUE)
    .hook('preAction', (_, command) => cli.configure(command.optsWithGlobals<GlobalOptions>()))
  addGlobalOptions(program)
  for (const { heading, commands } of groups) {
    program.commandsGroup(heading)
    for (const make of commands) program.addCommand(adopt(program, make(cli)))
  }
  return program
}

/** Commands that are made by themselves take over how errors and help are told. */
function adopt(parent: Command, command: Command): Command {
  command.copyInheritedSettings(parent)
  if (parent.parent === null) command.addHelpText('after', '\nOptions of every command: tallystick --help')
  for (const inner of command.commands) adopt(command, inner)
  return command
}
