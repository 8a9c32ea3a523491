import { Command } from 'commander'
import type { Cli } from '../context.ts'
import { moveMoney } from '../money.ts'
import { examples, type RelayFlags, relayOptions, relayWish } from '../options.ts'

export function withdrawCommand(cli: Cli): Command {
  return relayOptions(new Command('withdraw'))
    .description('takes tokens out of the ledger, to any address')
    .argument('<amount>', 'such as "5 USDC"')
    .requiredOption('--to <address>', 'who gets them')
    .addHelpText('after', examples("withdraw '5 tUSDC' --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"))
    .action(
      async (amount: string, { to, ...flags }: { to: string } & RelayFlags) =>
        await moveMoney(cli, { kind: 'withdraw', amount, to, relay: relayWish(flags) }),
    )
}
