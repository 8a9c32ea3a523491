/** What an HTTP request and an answer say before their bodies, and what must not be in them. @see protocols/http/SPEC.md */

/** A name in lower case, and its value: each character is one byte. */
export type Header = readonly [name: string, value: string]

/** undefined = there is none; 'unknown' = it ends when it ends */
export type BodyLength = bigint | 'unknown'

export interface RequestHead {
  readonly method: string
  /** path and query */
  readonly path: string
  readonly headers: readonly Header[]
  /** undefined = no body */
  readonly body: BodyLength | undefined
  readonly upgrade: boolean
}

export interface AnswerHead {
  readonly type: 'answer'
  readonly status: number
  readonly headers: readonly Header[]
  readonly body: BodyLength
}

/** The service behind the provider gave no answer. */
export interface FailureHead {
  readonly type: 'failure'
  readonly status: number
}

export const MAX_REQUEST_BYTES = 4_096
export const MAX_HEAD_BYTES = 16_384
export const MAX_HEADERS = 128
export const MAX_NAME_BYTES = 128
export const MAX_VALUE_BYTES = 8_192

const METHOD = /^[A-Z-]{1,16}$/
const PATH = /^\/[!-"$-[\]-~]*$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]{1,128}$/
const VALUE = /^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?$/
const HOST = /^[A-Za-z0-9._~%!$&'()*+,;=:[\]-]{1,255}$/

/** Of one hop only, or told elsewhere. */
const NOT_CARRIED: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding',
  'upgrade', 'http2-settings', 'expect', 'content-length',
]) // biome-ignore format: a list
const NOT_OF_A_CLIENT: ReadonlySet<string> = new Set([
  'forwarded', 'via', 'x-real-ip',
  // another path or method than the one that was priced
  'x-original-url', 'x-rewrite-url', 'x-http-method-override', 'x-http-method', 'x-method-override',
]) // biome-ignore format: a list

export function isMethod(method: string): boolean {
  return METHOD.test(method) && method !== 'CONNECT' && method !== 'TRACE'
}

/** how often what was written in percent signs may be so again: a server behind a server reads it twice */
const MAX_DECODED = 3
const ESCAPE = /%([0-9a-f]{2})/gi

/**
 * The folders of a path as the most lenient server reads them: without query and parameters, escapes resolved, `\\` as `/`. Undefined when it
 * would leave the folder that it is put behind, or hides behind more escapes than anybody means.
 */
export function plainFolders(path: string): string | undefined {
  let [plain = ''] = path.split('?', 1)
  for (let times = 0; plain.includes('%'); times++) {
    const decoded = plain.replace(ESCAPE, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    if (decoded === plain) break
    if (times === MAX_DECODED) return undefined
    plain = decoded
  }
  // `/v1;a=b/chat` is `/v1/chat` to a server that knows parameters, `/a;/../b` a way out of `/a`
  const names = plain.split(/[/\\]/).map((name) => name.split(';', 1)[0] ?? '')
  const leaves = names.concat(plain.split(/[/\\;]/)).some((name) => name === '.' || name === '..')
  return leaves ? undefined : names.join('/')
}

/** Whether it is a path, with its query, that cannot leave the folder that it is put behind. */
export function isPath(path: string): boolean {
  return path.length <= MAX_REQUEST_BYTES && PATH.test(path) && plainFolders(path) !== undefined
}

export const isHeaderName = (name: string): boolean => NAME.test(name)
export const isHeaderValue = (value: string): boolean => value.length <= MAX_VALUE_BYTES && VALUE.test(value)
export const isHost = (value: string): boolean => HOST.test(value)

/** Whether a header of that name may travel. */
export function isCarried(name: string, of: 'request' | 'answer'): boolean {
  if (NOT_CARRIED.has(name) || name.startsWith('tallystick-')) return false
  return of === 'answer' || !(NOT_OF_A_CLIENT.has(name) || name.startsWith('x-forwarded-'))
}

/** Those of the headers that may travel, names in lower case. What `connection` names stays too. */
export function carried(headers: Iterable<readonly [string, string]>, of: 'request' | 'answer'): Header[] {
  const all = [...headers].map(([name, value]): Header => [name.toLowerCase(), value.trim()])
  const named = all.flatMap(([name, value]) => (name === 'connection' ? value.toLowerCase().split(/[\s,]+/) : []))
  return all.filter(([name]) => isCarried(name, of) && !named.includes(name))
}

/** Pairs out of node's flat list of names and values. */
export function pairs(raw: readonly string[]): Header[] {
  const found: Header[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) found.push([raw[at] as string, raw[at + 1] as string])
  return found
}

/** Whether HTTP sends no body with this answer. */
export function isBodiless(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304
}
