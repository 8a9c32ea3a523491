/** The control of a node that runs in another process. */
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { TallyError } from '../core/errors.ts'
import type { CallOptions, ChannelRequest, Control, Done, FindRequest, MoneyRequest, Plan } from './control.ts'
import type { BalanceView, ChannelView, FoundView, StatusView } from './views.ts'
import { errorOf, MAX_BODY_BYTES, ROUTES, type RouteName } from './wire.ts'

/** how long a node may take to take a connection, ms */
const CONNECT_MS = 2_000

/** Whether somebody answers on the socket: a file alone may be what a dead process left. */
export async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ path })
    const end = (answered: boolean): void => {
      socket.destroy()
      resolve(answered)
    }
    socket.setTimeout(CONNECT_MS, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

export class RemoteControl implements Control {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async status(options: CallOptions = {}): Promise<StatusView> {
    return await this.#call('status', undefined, options)
  }

  async balance(options: CallOptions = {}): Promise<BalanceView> {
    return await this.#call('balance', undefined, options)
  }

  async channels(options: CallOptions = {}): Promise<readonly ChannelView[]> {
    return await this.#call('channels', undefined, options)
  }

  async channel(request: ChannelRequest, options: CallOptions = {}): Promise<ChannelView> {
    return await this.#call('channel', request, options)
  }

  async find(request: FindRequest, options: CallOptions = {}): Promise<FoundView> {
    return await this.#call('find', request, options)
  }

  async plan(request: MoneyRequest, options: CallOptions = {}): Promise<Plan> {
    return await this.#call('plan', request, options)
  }

  async carryOut(request: MoneyRequest, options: CallOptions = {}): Promise<Done> {
    return await this.#call('carryOut', request, options)
  }

  async #call<T>(name: RouteName, body: unknown, { signal }: CallOptions): Promise<T> {
    const { status, text } = await send(this.#path, name, body, signal).catch((cause: Error) => {
      if (signal?.aborted === true) throw new TallyError('ABORTED', { message: 'the running node took too long', cause })
      throw new TallyError('PEER_UNREACHABLE', {
        message: `the running node does not answer on ${this.#path}`,
        hint: 'is it stopping? try again',
        cause,
      })
    })
    const answer: unknown = parse(text)
    if (status === 200) return answer as T
    throw errorOf(answer) ?? new TallyError('INTERNAL', { message: `the running node answers with status ${status}` })
  }
}

function send(
  path: string,
  name: RouteName,
  body: unknown,
  signal: AbortSignal | undefined,
): Promise<{ status: number; text: string }> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const headers = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': payload.length }
  const options = { socketPath: path, agent: false as const, ...ROUTES[name], headers, ...(signal && { signal }) }
  return new Promise((resolve, reject) => {
    const request = httpRequest(options, (response) => {
      const parts: Buffer[] = []
      let bytes = 0
      response.on('data', (part: Buffer) => {
        bytes += part.length
        if (bytes > MAX_BODY_BYTES) request.destroy(new Error('the answer is too large'))
        else parts.push(part)
      })
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }))
    })
    request.once('error', reject)
    request.end(payload)
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new TallyError('INTERNAL', { message: 'the running node does not answer in JSON', cause })
  }
}
