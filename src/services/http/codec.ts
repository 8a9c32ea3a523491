/** The bytes of requests and answers. Everything that is decoded was checked: it can be given to an HTTP client or server as it is. */
import { ByteReader, ByteWriter } from '../../core/bytes.ts'
import { TallyError } from '../../core/errors.ts'
import {
  type AnswerHead,
  type BodyLength,
  type FailureHead,
  type Header,
  isCarried,
  isHeaderName,
  isHeaderValue,
  isHost,
  isMethod,
  isPath,
  MAX_HEAD_BYTES,
  MAX_HEADERS,
  MAX_NAME_BYTES,
  MAX_REQUEST_BYTES,
  MAX_VALUE_BYTES,
  type RequestHead,
} from './head.ts'

const VERSION = 1
const ANSWER = 1
const FAILURE = 2

/** The bytes of one character each: what HTTP calls a text. */
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** @throws TallyError REQUEST_INVALID when the request cannot travel: a method, path or header that HTTP does not allow, or too much of it */
export function encodeRequest(head: RequestHead): Uint8Array {
  checkRequest(head)
  const writer = new ByteWriter(512).u8(VERSION).u8(head.upgrade ? 1 : 0)
  writeBody(writer, head.body)
  writer.bytes8(bytesOf(head.method)).bytes16(bytesOf(head.path), MAX_REQUEST_BYTES)
  writeHeaders(writer, head.headers)
  const bytes = writer.finish()
  if (bytes.length > MAX_REQUEST_BYTES) throw invalid(`path and headers are longer than ${MAX_REQUEST_BYTES} bytes`)
  return bytes
}

/** @throws TallyError REQUEST_INVALID */
export function decodeRequest(bytes: Uint8Array): RequestHead {
  if (bytes.length > MAX_REQUEST_BYTES) throw invalid('it is too long')
  return understood(bytes, 'REQUEST_INVALID', (reader) => {
    if (reader.u8() !== VERSION) throw invalid('it is of another version')
    const upgrade = readFlag(reader)
    const body = readBody(reader)
    const head = {
      upgrade,
      body,
      method: latin1(reader.bytes8()),
      path: latin1(reader.bytes16(MAX_REQUEST_BYTES)),
      headers: readHeaders(reader),
    }
    checkRequest(head)
    return head
  })
}

/** The head of an answer, without its size. @throws TallyError CONTENT_WRONG when it cannot travel */
export function encodeAnswer(head: AnswerHead | FailureHead): Uint8Array {
  checkAnswer(head)
  const writer = new ByteWriter(512).u8(head.type === 'answer' ? ANSWER : FAILURE).u16(head.status)
  if (head.type === 'failure') return writer.finish()
  writeBody(writer, head.body)
  writeHeaders(writer, head.headers)
  const bytes = writer.finish()
  if (bytes.length > MAX_HEAD_BYTES) throw wrong(`the headers are longer than ${MAX_HEAD_BYTES} bytes`)
  return bytes
}

/** Whether it can travel. */
export function isAnswer(head: AnswerHead): boolean {
  try {
    encodeAnswer(head)
    return true
  } catch {
    return false
  }
}

/** @throws TallyError CONTENT_WRONG */
export function decodeAnswer(bytes: Uint8Array): AnswerHead | FailureHead {
  if (bytes.length > MAX_HEAD_BYTES) throw wrong('it is too long')
  return understood(bytes, 'CONTENT_WRONG', (reader) => {
    const type = reader.u8()
    if (type !== ANSWER && type !== FAILURE) throw wrong('it is neither an answer nor a failure')
    const status = reader.u16()
    const head = type === FAILURE ? ({ type: 'failure', status } as const) : readAnswer(reader, status)
    checkAnswer(head)
    return head
  })
}

function readAnswer(reader: ByteReader, status: number): AnswerHead {
  const body = readBody(reader)
  if (body === undefined) throw wrong('it does not say how long its body is')
  return { type: 'answer', status, body, headers: readHeaders(reader) }
}

function checkRequest({ method, path, headers, body, upgrade }: RequestHead): void {
  if (!isMethod(method)) throw invalid('this method cannot be asked for')
  if (!isPath(path)) throw invalid('this is not a path')
  if (upgrade && (method !== 'GET' || body !== undefined)) throw invalid('an upgrade is a GET without a body')
  const problem = problemOf(headers, 'request')
  if (problem !== undefined) throw invalid(problem)
  const hosts = headers.filter(([name]) => name === 'host')
  if (hosts.length > 1 || !hosts.every(([, value]) => isHost(value))) throw invalid('the host is not one')
}

function checkAnswer(head: AnswerHead | FailureHead): void {
  const { status, type } = head
  const least = type === 'failure' ? 400 : 200
  if (!((status >= least && status <= 599) || (type === 'answer' && status === 101))) throw wrong('this is no status')
  const problem = type === 'answer' ? problemOf(head.headers, 'answer') : undefined
  if (problem !== undefined) throw wrong(problem)
}

function problemOf(headers: readonly Header[], of: 'request' | 'answer'): string | undefined {
  if (headers.length > MAX_HEADERS) return `there are more than ${MAX_HEADERS} headers`
  for (const [name, value] of headers) {
    if (!isHeaderName(name)) return 'the name of a header is not one'
    if (!isHeaderValue(value)) return `the value of the header "${name}" is not one`
    if (!isCarried(name, of)) return `the header "${name}" does not travel`
  }
  return undefined
}

function writeBody(writer: ByteWriter, body: BodyLength | undefined): void {
  if (typeof body === 'bigint') writer.u8(2).u64(body)
  else writer.u8(body === undefined ? 0 : 1)
}

function readBody(reader: ByteReader): BodyLength | undefined {
  const kind = reader.u8()
  if (kind === 2) return reader.u64()
  if (kind > 2) throw new TallyError('MALFORMED', { message: 'a body is none, of unknown length or of a known one' })
  return kind === 1 ? 'unknown' : undefined
}

function readFlag(reader: ByteReader): boolean {
  const flag = reader.u8()
  if (flag > 1) throw new TallyError('MALFORMED', { message: 'an upgrade is none or to a websocket' })
  return flag === 1
}

function writeHeaders(writer: ByteWriter, headers: readonly Header[]): void {
  writer.u8(headers.length)
  for (const [name, value] of headers) writer.bytes8(bytesOf(name)).bytes16(bytesOf(value), MAX_VALUE_BYTES)
}

function readHeaders(reader: ByteReader): Header[] {
  const count = reader.u8()
  if (count > MAX_HEADERS) throw new TallyError('MALFORMED', { message: `there are more than ${MAX_HEADERS} headers` })
  const headers: Header[] = []
  for (let at = 0; at < count; at++)
    headers.push([latin1(reader.bytes8(MAX_NAME_BYTES)), latin1(reader.bytes16(MAX_VALUE_BYTES))])
  return headers
}

function understood<T>(bytes: Uint8Array, code: 'REQUEST_INVALID' | 'CONTENT_WRONG', read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(bytes)
  try {
    const value = read(reader)
    reader.end()
    return value
  } catch (cause) {
    if (cause instanceof TallyError && cause.code === code) throw cause
    throw new TallyError(code, { message: 'the bytes are not those of HTTP as it travels here', cause })
  }
}

const invalid = (why: string): TallyError => new TallyError('REQUEST_INVALID', { message: `the request cannot be sent: ${why}` })
const wrong = (why: string): TallyError => new TallyError('CONTENT_WRONG', { message: `the answer is not one of HTTP: ${why}` })
