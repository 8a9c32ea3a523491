/** Every command, in the order of the help. */
import { balanceCommand } from './commands/balance.ts'
import { channelCommand } from './commands/channel.ts'
import { connectCommand } from './commands/connect.ts'
import { depositCommand } from './commands/deposit.ts'
import { devCommand } from './commands/dev.ts'
import { findCommand } from './commands/find.ts'
import { getCommand } from './commands/get.ts'
import { initCommand } from './commands/init.ts'
import { offerCommand } from './commands/offer.ts'
import { pipeCommand } from './commands/pipe.ts'
import { proxyCommand } from './commands/proxy.ts'
import { quoteCommand } from './commands/quote.ts'
import { receiptCommand } from './commands/receipt.ts'
import { reportCommand } from './commands/report.ts'
import { serveCommand } from './commands/serve.ts'
import { sessionCommand } from './commands/session.ts'
import { statusCommand } from './commands/status.ts'
import { upCommand } from './commands/up.ts'
import { versionCommand } from './commands/version.ts'
import { walletCommand } from './commands/wallet.ts'
import { withdrawCommand } from './commands/withdraw.ts'
import { demoCommand } from './demo/command.ts'
import type { CommandGroup } from './program.ts'

export const COMMANDS: readonly CommandGroup[] = [
  { heading: 'Start:', commands: [() => demoCommand(), initCommand, upCommand, statusCommand] },
  { heading: 'Sell:', commands: [serveCommand, offerCommand] },
  {
    heading: 'Buy:',
    commands: [findCommand, quoteCommand, getCommand, connectCommand, pipeCommand, proxyCommand, receiptCommand],
  },
  {
    heading: 'Money:',
    commands: [balanceCommand, walletCommand, depositCommand, withdrawCommand, channelCommand, sessionCommand, reportCommand],
  },
  { heading: 'Admin:', commands: [devCommand, versionCommand] },
]
