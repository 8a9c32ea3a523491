/** What a person writes to say what is to be bought, and of whom. */
import { TallyError } from '../../core/errors.ts'
import { isServiceName } from '../../core/offer.ts'

export interface Target {
  /** peer id or multiaddr; undefined = whoever sells it */
  readonly provider: string | undefined
  readonly service: string
  /** what is wanted of the service; '' = the service itself, or its index */
  readonly path: string
}

const SCHEME = 'tallystick://'
const PEER = /^(?:16Uiu2|12D3Koo|Qm)[1-9A-HJ-NP-Za-km-z]{30,60}$/
const MULTIADDR = /^(\/.*?\/p2p\/[1-9A-HJ-NP-Za-km-z]+)(?:\/(.*))?$/

/**
 * `name`, `name/path`, `peer/name/path`, `/ip4/…/p2p/peer/name/path`, each also behind `tallystick://`.
 *
 * @throws USAGE
 */
export function parseTarget(text: string): Target {
  const rest = text.startsWith(SCHEME) ? text.slice(SCHEME.length) : text
  const viaAddress = MULTIADDR.exec(rest)
  if (viaAddress !== null) return named(viaAddress[1], viaAddress[2] ?? '', text)
  const slash = rest.indexOf('/')
  const first = slash < 0 ? rest : rest.slice(0, slash)
  if (!PEER.test(first)) return named(undefined, rest, text)
  return named(first, slash < 0 ? '' : rest.slice(slash + 1), text)
}

function named(provider: string | undefined, rest: string, text: string): Target {
  const slash = rest.indexOf('/')
  const service = slash < 0 ? rest : rest.slice(0, slash)
  if (isServiceName(service)) return { provider, service, path: slash < 0 ? '' : rest.slice(slash + 1) }
  throw new TallyError('USAGE', {
    message:
      service === ''
        ? `${JSON.stringify(text.slice(0, 80))} names no service`
        : `${JSON.stringify(service.slice(0, 80))} is not the name of a service`,
    hint: 'write name/path, peer/name/path or tallystick://peer/name/path; a name has 1 to 64 of a-z 0-9 . _ -',
  })
}
