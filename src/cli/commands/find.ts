import { Command } from 'commander'
import type { RankedOfferView } from '../../api/views.ts'
import { TallyError } from '../../core/errors.ts'
import { isServiceKind, isServiceName } from '../../core/offer.ts'
import type { Cli } from '../context.ts'
import { examples } from '../options.ts'
import { plain, table } from '../output.ts'

const FIND_MS = 10_000

const RANKING = `

The best offer comes first. Of 100 points 50 are for the price, 20 for your own sessions with the provider, 10 for a quick answer, 10 for
small demands and 10 for a stake on chain. An offer that breaks what its provider registered on chain comes last, and \`get\` takes none of them
unless you name its provider. --json has every figure.
`

export function findCommand(cli: Cli): Command {
  return new Command('find')
    .description('who sells it, for how much, and which offer is the best')
    .argument('[what]', 'the name of a service, or its kind, such as films or files')
    .option('--kind <kind>', 'only what is of this kind, such as files or stream')
    .addHelpText('after', examples('find films', 'find files', 'find --kind stream', 'find films --json --timeout 30s') + RANKING)
    .action(async (name: string | undefined, { kind }: { kind?: string }) => {
      const wanted = name ?? kind
      if (wanted === undefined || (name !== undefined && kind !== undefined))
        throw new TallyError('USAGE', { message: 'say what to look for: a name or a kind', hint: 'tallystick find films' })
      if (!(kind === undefined ? isServiceName(wanted) : isServiceKind(wanted)))
        throw new TallyError('USAGE', {
          message: `"${wanted.slice(0, 80)}" is not the name of a service`,
          hint: 'a name has 1 to 64 of a-z 0-9 . _ -',
        })
      const timeoutMs = cli.options.timeout ?? FIND_MS
      const request = { what: kind === undefined ? ('any' as const) : ('kind' as const), name: wanted, timeoutMs }
      cli.out.note(`looking for ${wanted} …`)
      const { why, offers } = await cli.withControl({}, (control) => control.find(request, { signal: cli.stop.signal }))
      cli.out.data({ why, offers })
      cli.out.text(
        ...table(
          ['service', 'price', 'chunk', 'at least reserved', 'answered in', 'points', 'provider', 'about'],
          offers.map(row),
        ),
        `the first: ${why}`,
      )
    })
}

function row(offer: RankedOfferView): string[] {
  const [address] = offer.addresses
  return [
    offer.service,
    offer.price,
    offer.chunk,
    offer.min_reservation,
    `${offer.took_ms} ms`,
    offer.stake === 'breaks' ? 'breaks its registration' : offer.score,
    address ?? offer.peer,
    plain(offer.description),
  ]
}
