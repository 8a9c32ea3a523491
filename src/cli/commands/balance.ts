import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { examples } from '../options.ts'
import { facts } from '../output.ts'

export function balanceCommand(cli: Cli): Command {
  return new Command('balance')
    .description('what is in the wallet, in the ledger and in channels')
    .addHelpText('after', examples('balance', 'balance --json | jq -r .ledger'))
    .action(async () => {
      const balance = await cli.withControl({ peers: false }, (control) => control.balance({ signal: cli.signal(30_000) }))
      cli.out.data(balance)
      cli.out.text(
        ...facts([
          ['account', balance.account],
          ['wallet', balance.wallet],
          ['ledger', `${balance.ledger}  (free; withdraw it, or reserve it for a provider)`],
          ...(balance.waiting.startsWith('0 ')
            ? []
            : [['waiting', `${balance.waiting}  (at the deposit address; tallystick wallet sweep)`] as const]),
          ['reserved', `${balance.reserved}  (in channels, not promised)`],
          ['unsettled', `${balance.unsettled}  (promised to you, not settled)`],
          ['gas', balance.gas],
        ]),
      )
    })
}
