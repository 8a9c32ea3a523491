/** Which service a host name means: `<service>.tally`, port 80. */
import { isServiceName } from '../../core/offer.ts'

const DOMAIN = '.tally'

export function serviceOfHost(host: string, port: number): string | undefined {
  const name = host.toLowerCase()
  if (port !== 80 || !name.endsWith(DOMAIN)) return undefined
  const service = name.slice(0, -DOMAIN.length)
  return isServiceName(service) ? service : undefined
}

/** 'name.tally:80' in its parts; undefined when it is no host and port. */
export function splitAuthority(text: string): { readonly host: string; readonly port: number } | undefined {
  const found = /^([^:@/\s]{1,255})(?::(\d{1,5}))?$/.exec(text)
  return found?.[1] === undefined
    ? undefined
    : { host: found[1], port: found[2] === undefined ? 80 : Number.parseInt(found[2], 10) }
}
