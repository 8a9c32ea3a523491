/**
 * Prices by route: what a call costs depends on what is called. A session has one price; so it is the price of the smallest call that
 * measures all of them exactly, and a call of a dearer route counts as several.
 */
import { type Amount, isAmount } from './amount.ts'
import { quoted } from './decimal.ts'
import { asTallyError, TallyError } from './errors.ts'
import { MAX_COUNT } from './meter.ts'
import { type Price, priceOf, rateOf } from './price.ts'
import { parsePrice } from './price-text.ts'
import type { TokenInfo } from './token.ts'

export interface Route {
  /** in capitals; undefined: any */
  readonly method: string | undefined
  /** a path; `*` stands for any text, slashes included */
  readonly path: string
  /** as how many calls one counts; zero: free */
  readonly calls: bigint
}

export interface RoutePrices {
  /** what one counted call costs; free when all routes are */
  readonly price: Price
  /** the first that matches holds */
  readonly routes: readonly Route[]
}

const FORM = /^\s*(?:([A-Za-z]+|\*)\s+)?(\/\S*|\*)\s*=\s*(.+?)\s*$/
const HINT = 'write it like `POST /v1/*=0.002/call`, `GET /health=free` or `*=0.0005/call`'
/** a pattern that is matched against a path of strangers stays cheap to match */
const MAX_STARS = 8

function refuse(text: string, why: string, cause?: unknown): TallyError {
  return new TallyError('PRICE_INVALID', { message: `${quoted(text)} is not the price of a route: ${why}`, hint: HINT, cause })
}

interface Fraction {
  readonly num: bigint
  readonly den: bigint
}
const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b))

function costOf(text: string, price: string, token: TokenInfo): Fraction {
  let parsed: Price
  try {
    parsed = parsePrice(price, token)
  } catch (thrown) {
    throw refuse(text, asTallyError(thrown).message, thrown)
  }
  if (parsed.rates.length === 0) return { num: 0n, den: 1n }
  const rate = rateOf(parsed, 'calls')
  if (rate === undefined || parsed.rates.length > 1 || rate.from !== undefined)
    throw refuse(text, 'a route has one rate per call, or is free')
  return { num: rate.amount, den: rate.per }
}

/**
 * Reads `[METHOD ]PATH=AMOUNT[ TOKEN]/call` or `…=free`, in the order in which they are tried.
 *
 * '0.002/call' and '0.0005/call' together are a price of 0.0005 per call, of which the first route counts four. Exact.
 *
 * @throws TallyError PRICE_INVALID for anything else, and where the routes have no common measure below 2^64
 */
export function parseRoutes(texts: readonly string[], token: TokenInfo): RoutePrices {
  const read = texts.map((text) => {
    const [, method, path = '', price = ''] = FORM.exec(text) ?? []
    if (price === '') throw refuse(text, 'it needs a path, an equals sign and a price')
    if (path.split('*').length - 1 > MAX_STARS) throw refuse(text, `a path has at most ${MAX_STARS} stars`)
    return { text, method: method === '*' ? undefined : method?.toUpperCase(), path, cost: costOf(text, price, token) }
  })
  const den = read.reduce((product, { cost }) => (product * cost.den) / gcd(product, cost.den), 1n)
  const over = ({ num, den: own }: Fraction): bigint => num * (den / own)
  const measure = read.reduce((common, { cost }) => gcd(common, over(cost)), 0n)
  if (measure === 0n) return { price: priceOf([]), routes: read.map(({ method, path }) => ({ method, path, calls: 0n })) }
  const routes = read.map(({ text, method, path, cost }) => {
    const calls = over(cost) / measure
    if (calls > MAX_COUNT) throw refuse(text, 'it has no common measure with the other routes')
    return { method, path, calls }
  })
  const common = gcd(measure, den)
  const [amount, per] = [measure / common, den / common]
  if (!isAmount(amount) || per > MAX_COUNT) throw refuse(read[0]?.text ?? '', 'it has no common measure with the other routes')
  return { price: priceOf([{ kind: 'calls', amount: amount as Amount, per }]), routes }
}

/**
 * As how many calls a request counts; undefined when no route matches. The path is compared as a server reads it: without its query, dots
 * and escapes resolved, and slashes not doubled, so that nobody calls a dear route by another spelling. One that cannot be read counts as
 * the dearest.
 */
export function callsOf(routes: readonly Route[], method: string, target: string): bigint | undefined {
  const path = plainPath(target)
  if (path === undefined) return routes.reduce((most, { calls }) => (calls > most ? calls : most), 0n)
  return routes.find((route) => (route.method ?? method) === method && matches(route.path, path))?.calls
}

function plainPath(target: string): string | undefined {
  try {
    const { pathname } = new URL(`http://host${target.startsWith('/') ? '' : '/'}${target}`)
    const decoded = decodeURIComponent(pathname)
    // what hides another escape, or a dot behind one, is read again as a server behind a server would
    if (decoded.includes('%')) return undefined
    return new URL(`http://host${decoded.replace(/[?#]/g, '_')}`).pathname.replace(/\/{2,}/g, '/')
  } catch {
    return undefined
  }
}

/** Whether the pieces between the stars stand in the path, in order: the first at its beginning, the last at its end. */
function matches(pattern: string, path: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return path === first
  if (!path.startsWith(first)) return false
  let at = first.length
  for (const piece of rest) {
    const found = path.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return path.length - last.length >= at && path.endsWith(last)
}
