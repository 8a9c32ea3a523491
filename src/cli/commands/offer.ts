import { Command } from 'commander'
import { TallyError } from '../../core/errors.ts'
import { parseAddress } from '../../core/ids.ts'
import type { AddressCheck, OfferCheck, ServiceCheck } from '../../node/offer-check.ts'
import type { Cli } from '../context.ts'
import { examples } from '../options.ts'
import { roughTime, table } from '../output.ts'

const EACH_MS = 10_000

export function offerCommand(cli: Cli): Command {
  return new Command('offer').description('what you sell, as others see it').addCommand(checkCommand(cli))
}

function checkCommand(cli: Cli): Command {
  return new Command('check')
    .description('whether strangers find what you sell, reach you, and get an offer that is in order')
    .argument('[service]', 'one of your services. Default: all of them')
    .addHelpText('after', examples('offer check', 'offer check films', 'offer check --json --timeout 30s'))
    .action(async (wanted: string | undefined) => {
      const status = await cli.withControl({ peers: false }, (control) => control.status({ signal: cli.signal(30_000) }))
      const names = status.selling.map(({ service }) => service).filter((name) => wanted === undefined || name === wanted)
      if (status.running === undefined || names.length === 0)
        throw new TallyError('OFFER_NOT_FOUND', {
          message: wanted === undefined ? 'this node sells nothing now' : `this node does not sell "${wanted.slice(0, 80)}" now`,
          hint: 'start it in another window: tallystick serve files <folder> --name films --price 0.01/MiB',
        })
      const [{ checkOffers }, { requireChain }] = await Promise.all([
        import('../../node/offer-check.ts'),
        import('../../node/config.ts'),
      ])
      const settings = await cli.settings()
      const { token, confirmationsBlocks, ...chain } = requireChain(settings)
      const { bootstrap } = settings.config
      const check = await checkOffers({
        chain: { ...chain, confirmations: confirmationsBlocks },
        token,
        provider: parseAddress(status.account.toLowerCase()),
        addresses: status.addresses,
        services: names,
        bootstrap,
        timeoutMs: cli.options.timeout ?? EACH_MS,
        signal: cli.stop.signal,
        tell: (text) => cli.out.note(text),
      })
      const rows = [
        ...check.addresses.map(addressRow),
        ...check.services.flatMap((one) => serviceRows(one, bootstrap.length > 0)),
      ]
      cli.out.data(dataOf(check, rows))
      cli.out.text(
        ...table(
          ['what', 'how it is', 'next'],
          rows.map(({ what, is, next }) => [what, is, next]),
        ),
      )
      if (rows.some(({ isGood }) => !isGood)) cli.exitCode = 1
    })
}

interface Row {
  readonly what: string
  readonly is: string
  /** what to do about it; empty when nothing needs to be done */
  readonly next: string
  readonly isGood: boolean
}

const SCOPES = { public: 'from anywhere', relayed: 'through a relay', local: 'in its own network only' } as const

function addressRow({ address, scope, failure }: AddressCheck): Row {
  if (failure === undefined) return { what: address, is: `reached, ${SCOPES[scope]}`, next: '', isGood: true }
  const next =
    scope === 'local'
      ? 'forward a port and name it with --announce, or know a relay'
      : 'open the port, or take the address out of --announce'
  return { what: address, is: `not reached (${failure})`, next, isGood: false }
}

function serviceRows({ service, foundAfterMs, offer, stake }: ServiceCheck, hasFirst: boolean): Row[] {
  const found: Row =
    foundAfterMs === undefined
      ? { what: service, is: 'not found by its name', next: hasFirst ? 'wait a minute; then see that a first node answers: tallystick status' : 'name a first node with --bootstrap', isGood: false }
      : { what: service, is: `found by its name after ${foundAfterMs} ms${hasFirst ? '' : ', by who knows your address'}`, next: hasFirst ? '' : 'name a first node with --bootstrap', isGood: true }
  const left = offer === undefined ? 0 : offer.expiry - Date.now() / 1000
  const given: Row =
    offer === undefined
      ? { what: `${service}, the offer`, is: 'nobody got it', next: 'see the addresses above', isGood: false }
      : { what: `${service}, the offer`, is: `signed and in order, good for ${roughTime(left)}`, next: '', isGood: true }
  if (stake === undefined) return [found, given]
  const registered: Row = {
    kept: { what: `${service}, the registry`, is: 'registered, and the offer keeps to it', next: '', isGood: true },
    none: { what: `${service}, the registry`, is: 'not registered: no stake counts for you', next: '', isGood: true },
    breaks: { what: `${service}, the registry`, is: 'the offer is worse than what was registered', next: 'register it anew, or sell as registered', isGood: false },
  }[stake]
  return [found, given, registered]
} // biome-ignore format: a row a line

function dataOf({ addresses, services }: OfferCheck, rows: readonly Row[]): object {
  return {
    visible: rows.every(({ isGood }) => isGood),
    addresses: addresses.map(({ address, scope, failure }) => ({ address, scope, reached: failure === undefined, failure })),
    services: services.map(({ service, foundAfterMs, offer, stake }) => ({
      service, found_after_ms: foundAfterMs, expires: offer?.expiry, sequence: offer?.sequence.toString(), stake,
    })),
    next: rows.flatMap(({ next }) => (next === '' ? [] : [next])),
  } // biome-ignore format: records
}
