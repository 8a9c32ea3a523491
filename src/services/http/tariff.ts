/** What each route counts as: the content of the terms, so that both ends have signed it. It knows counts and no money. @see protocols/http/SPEC.md */
import { ByteReader, ByteWriter } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'
import { plainFolders } from './head.ts'
import { isUsagePath } from './usage.ts'

/** Units that are read out of the answer itself. */
export interface Usage {
  /** where the count stands in the answer's JSON, such as '$.usage.total_tokens' */
  readonly path: string
  /** units that one call may cost at most; 1 <= x < 2^64 */
  readonly most: bigint
}

export interface RouteCost {
  /** as how many calls one request counts; 0 <= x < 2^32 */
  readonly calls: number
  readonly usage?: Usage | undefined
}

export interface Route extends RouteCost {
  /** a method, or `*` for any; GET is HEAD too */
  readonly method: string
  /** `*` stands for any run of characters */
  readonly path: string
}

export interface Tariff extends Pick<RouteCost, 'calls'> {
  /** whether an answer of 400 or more is charged as well */
  readonly chargeFailures: boolean
  /** the first one that fits a request says what it costs; else it counts as `calls` */
  readonly routes: readonly Route[]
}

export const ONE_CALL_EACH: Tariff = { chargeFailures: false, calls: 1, routes: [] }

const VERSION = 1
export const MAX_ROUTES = 32
const MAX_CONTENT_BYTES = 1_024
const MAX_PATTERN_BYTES = 255
const MAX_COUNT = 2 ** 32 - 1

/** @throws TallyError USAGE when it is no tariff, or too long for the terms */
export function encodeTariff(tariff: Tariff): Uint8Array {
  const problem = problemOf(tariff)
  if (problem !== undefined) throw new TallyError('USAGE', { message: `these routes cannot be sold: ${problem}` })
  const { chargeFailures, calls, routes } = tariff
  const writer = new ByteWriter(64).u8(VERSION).u8(chargeFailures ? 1 : 0).u32(calls).u8(routes.length) // biome-ignore format: a record
  for (const route of routes) {
    writer
      .str8(route.method)
      .str8(route.path)
      .u32(route.calls)
      .str8(route.usage?.path ?? '')
    if (route.usage !== undefined) writer.u64(route.usage.most)
  }
  const bytes = writer.finish()
  if (bytes.length > MAX_CONTENT_BYTES)
    throw new TallyError('USAGE', { message: `the routes are longer than ${MAX_CONTENT_BYTES} bytes together` })
  return bytes
}

/** @throws TallyError CONTENT_WRONG */
export function decodeTariff(bytes: Uint8Array): Tariff {
  try {
    const reader = new ByteReader(bytes)
    const [version, flags, calls, count] = [reader.u8(), reader.u8(), reader.u32(), reader.u8()]
    if (version !== VERSION || flags > 1) throw new TallyError('MALFORMED', { message: 'terms of another version' })
    const routes: Route[] = []
    for (let at = 0; at < count; at++) routes.push(readRoute(reader))
    reader.end()
    const tariff = { chargeFailures: flags === 1, calls, routes }
    const problem = problemOf(tariff)
    if (problem !== undefined) throw new TallyError('MALFORMED', { message: problem })
    return tariff
  } catch (cause) {
    throw new TallyError('CONTENT_WRONG', { message: 'the terms do not say what a request costs', cause })
  }
}

function readRoute(reader: ByteReader): Route {
  const [method, path, calls, usage] = [reader.str8(), reader.str8(), reader.u32(), reader.str8()]
  return { method, path, calls, ...(usage !== '' && { usage: { path: usage, most: reader.u64() } }) }
}

function problemOf({ calls, routes }: Tariff): string | undefined {
  const isCount = (count: number): boolean => Number.isInteger(count) && count >= 0 && count <= MAX_COUNT
  if (!isCount(calls)) return 'a request counts as a whole number of calls'
  if (routes.length > MAX_ROUTES) return `there are more than ${MAX_ROUTES}`
  for (const route of routes) {
    if (!/^(?:\*|[A-Z-]{1,16})$/.test(route.method)) return 'a route begins with a method, or * for any'
    if (!/^[/*][!-"$->@-[\]-~]*$/.test(route.path) || route.path.length > MAX_PATTERN_BYTES)
      return 'the path of a route begins with / or *, and has no query'
    if (!isCount(route.calls)) return 'a request counts as a whole number of calls'
    const { usage } = route
    if (usage !== undefined && !isUsagePath(usage.path)) return 'usage is found by a path such as $.usage.total_tokens'
    if (usage !== undefined && (usage.most < 1n || usage.most >= 1n << 64n)) return 'usage has a most, 1 or more'
  }
  return undefined
}

/** What a request costs. */
export function costOf(tariff: Tariff, request: { readonly method: string; readonly path: string }): RouteCost {
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const path = plainPath(request.path)
  const route = tariff.routes.find((one) => (one.method === '*' || one.method === method) && fits(path, plainPath(one.path)))
  return route ?? { calls: tariff.calls }
}

/**
 * A path as the most lenient server may read it, so that no other spelling of a route is cheaper than the route: without query, escapes,
 * parameters, doubled slashes and a slash at its end, in lower case.
 */
function plainPath(path: string): string {
  const short = (plainFolders(path) ?? path).replace(/\/{2,}/g, '/').toLowerCase()
  return short.length > 1 && short.endsWith('/') ? short.slice(0, -1) : short
}

/** Whether the text is made of the parts of the pattern, in order, with anything where there is a `*`. */
function fits(text: string, pattern: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return text === first
  if (!text.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - at >= last.length && text.endsWith(last)
}
