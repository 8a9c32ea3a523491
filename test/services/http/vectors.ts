// The vectors of HTTP heads and tariffs. `npm run vectors` writes them; a test proves that they are up to date.
import { toHex } from '../../../src/core/bytes.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'
import { encodeAnswer, encodeRequest } from '../../../src/services/http/codec.ts'
import type { AnswerHead, FailureHead, RequestHead } from '../../../src/services/http/head.ts'
import { encodeTariff, type Tariff } from '../../../src/services/http/tariff.ts'

type Of = 'request' | 'answer' | 'content'
export type HeadCase =
  | { readonly comment: string; readonly of: Of; readonly fields: object; readonly encoded: string }
  | { readonly comment: string; readonly of: Of; readonly encoded: string; readonly error: ErrorCode }

const get: RequestHead = { method: 'GET', path: '/', headers: [], body: undefined, upgrade: false }
const ok: AnswerHead = { type: 'answer', status: 200, headers: [], body: 'unknown' }

const REQUESTS: readonly (readonly [string, RequestHead])[] = [
  ['the shortest request', get],
  ['a query, two headers of one name, a value with a byte above 0x7F', { ...get, path: '/a/b?c=%20&d', headers: [['host', 'quotes.tally'], ['x', 'a'], ['x', 'caf\u00e9'], ['y', '']] }],
  ['a body of a known length', { ...get, method: 'POST', body: 12_345n, headers: [['content-type', 'application/json']] }],
  ['a body of unknown length', { ...get, method: 'PUT', body: 'unknown' }],
  ['a websocket', { ...get, path: '/live', upgrade: true, headers: [['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==']] }],
] // biome-ignore format: a table

const ANSWERS: readonly (readonly [string, AnswerHead | FailureHead])[] = [
  ['the shortest answer', ok],
  ['a body of a known length, a cookie twice', { ...ok, body: 3n, headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2']] }],
  ['an upgrade', { ...ok, status: 101 }],
  ['a failure: the service does not answer', { type: 'failure', status: 502 }],
] // biome-ignore format: a table

const TARIFFS: readonly (readonly [string, Tariff])[] = [
  ['every request is a call', { chargeFailures: false, calls: 1, routes: [] }],
  [
    'three routes, failures are charged',
    {
      chargeFailures: true,
      calls: 2,
      routes: [
        { method: 'POST', path: '/v1/*', calls: 4 },
        { method: '*', path: '/health', calls: 0 },
        { method: 'POST', path: '/chat', calls: 0, usage: { path: '$.usage.total_tokens', most: 8_000n } },
      ],
    },
  ],
]

const latin1 = (text: string): number[] => [...Buffer.from(text, 'latin1')]
const header = (name: string, value: string): number[] => [
  name.length,
  ...latin1(name),
  value.length >> 8,
  value.length & 0xff,
  ...latin1(value),
]
/** version, no upgrade, no body, method, path, headers */
const request = (method: string, path: string, ...headers: number[][]): number[] => [
  1, 0, 0, method.length, ...latin1(method), path.length >> 8, path.length & 0xff, ...latin1(path), headers.length, ...headers.flat(),
] // biome-ignore format: a line
const answer = (status: number, ...headers: number[][]): number[] => [
  1,
  status >> 8,
  status & 0xff,
  1,
  headers.length,
  ...headers.flat(),
]

const BROKEN: readonly (readonly [string, Of, readonly number[]])[] = [
  ['nothing', 'request', []],
  ['another version', 'request', [2, ...request('GET', '/').slice(1)]],
  ['a byte too many', 'request', [...request('GET', '/'), 0]],
  ['cut short', 'request', request('GET', '/').slice(0, -1)],
  ['a method in lower case', 'request', request('get', '/')],
  ['CONNECT', 'request', request('CONNECT', '/')],
  ['a path with a space', 'request', request('GET', '/a b')],
  ['a path that ends the line', 'request', request('GET', '/ HTTP/1.1\r\nx: y')],
  ['a path that climbs', 'request', request('GET', '/a/../b')],
  ['a path that climbs in other letters', 'request', request('GET', '/a/.%2E/b')],
  ['a path with a backslash', 'request', request('GET', '/a\\..\\b')],
  ['a path that is a URL', 'request', request('GET', 'http://x/')],
  ['an upgrade that is no GET', 'request', [1, 1, ...request('POST', '/').slice(2)]],
  ['an upgrade of another kind', 'request', [1, 2, ...request('GET', '/').slice(2)]],
  ['a name in upper case', 'request', request('GET', '/', header('Accept', 'x'))],
  ['a value that ends the line', 'request', request('GET', '/', header('x', 'a\r\ny: b'))],
  ['a value with a space at its end', 'request', request('GET', '/', header('x', 'a '))],
  ['a header of one hop', 'request', request('GET', '/', header('transfer-encoding', 'chunked'))],
  ['a length among the headers', 'request', request('GET', '/', header('content-length', '5'))],
  ['a header of our own', 'request', request('GET', '/', header('tallystick-error', 'x'))],
  ['what a proxy says', 'request', request('GET', '/', header('x-forwarded-for', '127.0.0.1'))],
  ['two hosts', 'request', request('GET', '/', header('host', 'a'), header('host', 'b'))],
  ['129 headers', 'request', request('GET', '/', ...Array.from({ length: 129 }, () => header('x', '')))],
  ['more than 4,096 bytes', 'request', request('GET', `/${'a'.repeat(4_096)}`)],
  ['status 199', 'answer', answer(199)],
  ['status 600', 'answer', answer(600)],
  ['an answer that says no length', 'answer', [1, 0, 200, 0, 0]],
  ['a failure of 200', 'answer', [2, 0, 200]],
  ['a failure with more behind it', 'answer', [2, 1, 246, 0]],
  ['a value that ends the line, in an answer', 'answer', answer(200, header('x', 'a\n'))],
  ['a header of our own, in an answer', 'answer', answer(200, header('tallystick-error', 'x'))],
  ['no tariff', 'content', []],
  ['a tariff with a byte too many', 'content', [1, 0, 0, 0, 0, 1, 0, 0]],
] // biome-ignore format: a table

export const plain = (fields: object): object =>
  JSON.parse(JSON.stringify(fields, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))) as object

/** What `protocols/http/vectors/heads.json` holds. */
export function httpVectors(): { readonly comment: string; readonly cases: readonly HeadCase[] } {
  return {
    comment: 'HTTP as it travels: requests, heads of answers without their size, contents of terms. A number that ends in n is a u64.',
    cases: [
      ...REQUESTS.map(([comment, fields]) => ({ comment, of: 'request' as const, fields: plain(fields), encoded: toHex(encodeRequest(fields)) })),
      ...ANSWERS.map(([comment, fields]) => ({ comment, of: 'answer' as const, fields: plain(fields), encoded: toHex(encodeAnswer(fields)) })),
      ...TARIFFS.map(([comment, fields]) => ({ comment, of: 'content' as const, fields: plain(fields), encoded: toHex(encodeTariff(fields)) })),
      ...BROKEN.map(([comment, of, encoded]) => ({
        comment, of, encoded: toHex(Uint8Array.from(encoded)), error: of === 'request' ? ('REQUEST_INVALID' as const) : ('CONTENT_WRONG' as const),
      })),
    ],
  } // biome-ignore format: a table
}
