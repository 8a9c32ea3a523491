import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { moveMoney } from '../money.ts'
import { examples, type RelayFlags, relayOptions, relayWish } from '../options.ts'

export function depositCommand(cli: Cli): Command {
  return relayOptions(new Command('deposit'))
    .description('puts tokens from the wallet into the ledger')
    .argument('<amount>', 'such as "5 USDC"')
    .addHelpText('after', examples("deposit '5 tUSDC'", "deposit '5 tUSDC' --dry-run", "deposit '5 tUSDC' --yes --json"))
    .action(
      async (amount: string, flags: RelayFlags) => await moveMoney(cli, { kind: 'deposit', amount, relay: relayWish(flags) }),
    )
}
