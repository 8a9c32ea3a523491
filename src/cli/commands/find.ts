import { Command } from 'commander'
import type { OfferView } from '../../api/views.ts'
import { TallyError } from '../../core/errors.ts'
import { isServiceKind, isServiceName } from '../../core/offer.ts'
import type { Cli } from '../context.ts'
import { examples } from '../options.ts'
import { plain, table } from '../output.ts'

const FIND_MS = 10_000

export function findCommand(cli: Cli): Command {
  return new Command('find')
    .description('who sells a service, and for how much')
    .argument('[name]', 'of the service')
    .option('--kind <kind>', 'everything of this kind, such as files or stream')
    .addHelpText('after', examples('find films', 'find --kind files', 'find films --json --timeout 30s'))
    .action(async (name: string | undefined, { kind }: { kind?: string }) => {
      const wanted = name ?? kind
      if (wanted === undefined || (name !== undefined && kind !== undefined))
        throw new TallyError('USAGE', { message: 'say what to look for: a name, or a --kind', hint: 'tallystick find films' })
      if (!(kind === undefined ? isServiceName(wanted) : isServiceKind(wanted)))
        throw new TallyError('USAGE', {
          message: `"${wanted.slice(0, 80)}" is not the name of a service`,
          hint: 'a name has 1 to 64 of a-z 0-9 . _ -',
        })
      const timeoutMs = cli.options.timeout ?? FIND_MS
      const request = { what: kind === undefined ? ('service' as const) : ('kind' as const), name: wanted, timeoutMs }
      cli.out.note(`looking for ${wanted} …`)
      const offers = await cli.withControl({}, (control) => control.find(request, { signal: cli.stop.signal }))
      cli.out.data({ offers })
      cli.out.text(
        ...table(['service', 'price', 'chunk', 'at least reserved', 'answered in', 'provider', 'about'], offers.map(row)),
      )
    })
}

function row(offer: OfferView): string[] {
  const [address] = offer.addresses
  return [
    offer.service,
    offer.price,
    offer.chunk,
    offer.min_reservation,
    `${offer.took_ms} ms`,
    address ?? offer.peer,
    plain(offer.description),
  ]
}
