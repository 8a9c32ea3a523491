import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { moveMoney } from '../money.ts'
import { examples, type RelayFlags, relayOptions, relayWish } from '../options.ts'

const LOOK_MS = 30_000

export function walletCommand(cli: Cli): Command {
  return new Command('wallet')
    .description('how tokens come in without gas: an address that takes plain transfers')
    .addCommand(addressCommand(cli))
    .addCommand(sweepCommand(cli))
}

function addressCommand(cli: Cli): Command {
  return new Command('deposit-address')
    .description('where tokens for this node may be sent, from an exchange for instance; never send the gas coin there')
    .addHelpText('after', examples('wallet deposit-address', 'wallet deposit-address --json | jq -r .deposit_address'))
    .action(async () => {
      const { deposit_address, waiting } = await cli.withControl({ peers: false }, (control) =>
        control.balance({ signal: cli.signal(LOOK_MS) }),
      )
      cli.out.data({ deposit_address, waiting })
      cli.out.text(deposit_address)
      cli.out.note(`${waiting} lie there; what comes is taken in by the next reservation, or: tallystick wallet sweep`)
    })
}

function sweepCommand(cli: Cli): Command {
  return relayOptions(new Command('sweep'))
    .description('takes what lies at the deposit address into the ledger')
    .addHelpText('after', examples('wallet sweep', 'wallet sweep --relay auto --yes'))
    .action(async (flags: RelayFlags) => await moveMoney(cli, { kind: 'sweep', relay: relayWish(flags) }))
}
