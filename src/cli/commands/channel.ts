import { Command } from 'commander'
import { checked } from '../../api/checked.ts'
import { channelRequest } from '../../api/control.ts'
import type { ChannelView } from '../../api/views.ts'
import { TallyError } from '../../core/errors.ts'
import type { Cli } from '../context.ts'
import { moveMoney } from '../money.ts'
import { examples, type RelayFlags, relayOptions, relayWish, whole } from '../options.ts'
import { facts, roughTime, table } from '../output.ts'

const LOOK_MS = 30_000

export function channelCommand(cli: Cli): Command {
  const command = new Command('channel').description('reservations: what is set aside for one provider, and what it earned')
  for (const make of [openCommand, listCommand, showCommand, settleCommand, closeCommand, reclaimCommand])
    command.addCommand(make(cli))
  return command
}

function openCommand(cli: Cli): Command {
  return relayOptions(new Command('open'))
    .description('reserves tokens for one provider; on a channel that is open, tops it up and extends it')
    .argument('<provider>', 'its peer id, multiaddr or address, or the name of its service')
    .argument('<amount>', 'such as "1 USDC", out of the ledger or else the wallet')
    .option('--days <n>', 'how long it is reserved', whole(1, 730))
    .addHelpText(
      'after',
      examples(
        "channel open films '1 tUSDC'",
        "channel open /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2… '1 tUSDC'",
        "channel open 16Uiu2… '1 tUSDC' --days 7 --yes",
      ),
    )
    .action(async (provider: string, amount: string, options: { days?: number } & RelayFlags) => {
      const days = options.days ?? (await cli.settings()).config.consumer.reservationDays
      await moveMoney(cli, { kind: 'open', provider, amount, days, relay: relayWish(options) })
    })
}

function listCommand(cli: Cli): Command {
  return new Command('list')
    .description('channels in which this node pays or is paid; of very many the first thousand, with what is unsettled first')
    .addHelpText('after', examples('channel list', 'channel list --json'))
    .action(async () => {
      const channels = await cli.withControl({ peers: false }, (control) => control.channels({ signal: cli.signal(LOOK_MS) }))
      cli.out.data({ channels })
      if (channels.length === 0)
        return cli.out.text("no channels yet; open one with: tallystick channel open <provider> '1 tUSDC'")
      const header = ['channel', 'this node', 'with', 'deposit', 'signed', 'settled', 'unsettled', 'free', 'ends in']
      const row = (one: ChannelView): string[] => [
        `${one.id.slice(0, 12)}…`, one.role === 'payer' ? 'pays' : 'is paid', one.role === 'payer' ? one.target : one.owner,
        one.deposit, one.signed, one.settled, one.unsettled, one.free, endText(one),
      ] // biome-ignore format: a row
      cli.out.text(...table(header, channels.map(row), ['deposit', 'signed', 'settled', 'unsettled', 'free']))
    })
}

function showCommand(cli: Cli): Command {
  return new Command('show')
    .description('one channel in full')
    .argument('<id>', 'the id, or the beginning of it')
    .addHelpText('after', examples('channel show 0x4a1b2c3d'))
    .action(async (id: string) => {
      const request = checked(channelRequest, { id })
      const found = await cli.withControl({ peers: false }, (control) =>
        control.channel(request, { signal: cli.signal(LOOK_MS) }),
      )
      cli.out.data(found)
      cli.out.text(
        ...facts([
          ['channel', found.id],
          ['this node', found.role === 'payer' ? 'pays' : 'is paid'],
          ['owner', found.owner],
          ['signer', found.signer],
          ['target', found.target],
          ['deposit', found.deposit],
          ['signed', found.signed],
          ['settled', found.settled],
          ['unsettled', found.unsettled],
          ['free', found.free],
          ['ends', `${new Date(found.expiry * 1000).toISOString()} (${endText(found)})`],
          ['epoch', `${found.epoch}`],
        ]),
      )
    })
}

function settleCommand(cli: Cli): Command {
  return relayOptions(new Command('settle'))
    .description('turns the promises of consumers into tokens, all of them in one transaction')
    .argument('[channels...]', 'ids, or consumers')
    .option('--all', 'every channel with something to settle')
    .addHelpText('after', examples('channel settle --all', 'channel settle --all --dry-run', 'channel settle 0x4a1b2c3d --yes'))
    .action(async (ids: string[], { all, ...flags }: { all?: boolean } & RelayFlags) => {
      if ((all === true) === ids.length > 0)
        throw new TallyError('USAGE', { message: 'say which channels are to be settled', hint: 'name them, or give --all' })
      await moveMoney(cli, { kind: 'settle', channels: all === true ? 'all' : ids, relay: relayWish(flags) })
    })
}

function closeCommand(cli: Cli): Command {
  return relayOptions(new Command('close'))
    .description("ends a channel at once with the provider's signature: it is paid, and the rest is free")
    .argument('<channel>', 'its id, or the provider: peer id, multiaddr or address')
    .addHelpText('after', examples('channel close 0x4a1b2c3d', 'channel close /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2… --yes'))
    .action(
      async (channel: string, flags: RelayFlags) => await moveMoney(cli, { kind: 'close', channel, relay: relayWish(flags) }),
    )
}

function reclaimCommand(cli: Cli): Command {
  return relayOptions(new Command('reclaim'))
    .description('takes back what is left of a reservation that is over; the provider is not needed')
    .argument('<channel>', 'its id, or the provider: peer id, multiaddr or address')
    .addHelpText('after', examples('channel reclaim 0x4a1b2c3d'))
    .action(
      async (channel: string, flags: RelayFlags) => await moveMoney(cli, { kind: 'reclaim', channel, relay: relayWish(flags) }),
    )
}

function endText({ expired, expiry }: ChannelView): string {
  if (expiry === 0) return 'closed'
  return expired ? 'over' : roughTime(expiry - Date.now() / 1000)
}
