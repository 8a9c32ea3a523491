import { Command } from 'commander'
import type { SessionView, StatusView } from '../../api/views.ts'
import type { Cli } from '../context.ts'
import { examples } from '../options.ts'
import { facts, roughSize, roughTime } from '../output.ts'

export function statusCommand(cli: Cli): Command {
  return new Command('status')
    .description('one screen: the node, its reach, its money, what it sells and buys')
    .addHelpText('after', examples('status', 'status --json | jq .earned'))
    .action(async () => {
      const status = await cli.withControl({ peers: false }, (control) => control.status({ signal: cli.signal(30_000) }))
      cli.out.data(status)
      cli.out.text(...screen(status))
      for (const warning of status.warnings) cli.out.warn(warning)
    })
}

function screen(status: StatusView): string[] {
  const { running, balance, chain, earned, spent } = status
  const rows: (readonly [string, string])[] = [
    ['node', running === undefined ? `not running, v${status.version}` : `running ${roughTime(Date.now() / 1000 - running.since)}, process ${running.pid}, v${status.version}`],
    ['account', status.account],
    ['peer', status.peer],
    ['reach', status.addresses.length === 0 ? 'listens on nothing: it only buys' : `${status.addresses.join(' ')}, ${status.peers} peer${status.peers === 1 ? '' : 's'}`],
    ['chain', chainText(chain)],
    ['wallet', balance === undefined ? 'not known while the chain does not answer' : `${balance.wallet}, gas ${balance.gas}`],
    ...(balance === undefined ? [] : [['ledger', `${balance.ledger} free`] as const]),
    ['earned', `signed ${earned.signed} → settled ${earned.settled}; ${earned.unsettled} unsettled`],
    ['spent', `deposit ${spent.deposit} → signed ${spent.signed} → settled ${spent.settled}; ${spent.free} free`],
  ] // biome-ignore format: a table
  const selling = status.selling.map(
    ({ service, kind, price, chunk }) => ['selling', `${service} (${kind}) at ${price}, paid every ${chunk}`] as const,
  )
  const { relay } = status
  const relaying =
    relay === undefined
      ? []
      : [
          [
            'relay',
            `${relay.handed_in} handed in for ${relay.fees}, gas ${relay.gas}; ${relay.failed} failed, ${relay.under_way} under way`,
          ] as const,
        ]
  const sessions = status.sessions.map((session) => ['session', sessionText(session)] as const)
  const jobs = status.unfinished.map(
    (job) => ['waiting', `${job.summary}: ${job.state}${job.hash === undefined ? '' : ` (${job.hash})`}`] as const,
  )
  return facts([...rows, ...selling, ...relaying, ...sessions, ...jobs])
}

function chainText({ reachable, chain_id, head, error }: StatusView['chain']): string {
  return reachable
    ? `chain ${chain_id}, block ${head ?? '?'}`
    : `chain ${chain_id} does not answer${error === undefined ? '' : `: ${error}`}`
}

function sessionText(session: SessionView): string {
  const way = session.role === 'payee' ? 'to' : 'from'
  return `${session.service} ${way} ${session.with}: ${session.state}, ${roughSize(BigInt(session.delivered_bytes))}, billed ${session.billed}, signed ${session.signed}`
}
