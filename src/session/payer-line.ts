/** A provider as the consumer's desk reaches it, and what its words mean here. */
import { type ChannelOut, signedOf } from '../core/channel.ts'
import { codeOfWire, TallyError } from '../core/errors.ts'
import type { FromPayee, Hello } from '../core/session/messages.ts'
import { type PayerInput, type PayerSession, usedMeter } from '../core/session/payer.ts'
import type { DataHeader, OpenedData, PayerLink } from '../ports/link.ts'

/** The control stream to a provider, and data streams beside it. */
export interface ProviderLine {
  readonly link: PayerLink
  openData(header: DataHeader, options: { signal?: AbortSignal }): Promise<OpenedData>
}

/** Asks for the session; for one that was cut, to go on from what was received of it. */
export function helloOf(session: PayerSession, channel: ChannelOut): Hello {
  const { owner, token, service, inputs } = session.wish
  const resume = session.status === 'cut'
  const signed = signedOf(channel)
  return { type: 'hello', session: session.id, resume, owner, token, service, inputs, signed, acked: usedMeter(session) }
}

/** What a peer's number means to the caller; one that this version does not know is PEER_REFUSED. */
export function refusal(wire: number): TallyError {
  const code = codeOfWire(wire)
  return code === undefined
    ? new TallyError('PEER_REFUSED', { fields: { wire } })
    : new TallyError(code, { fields: { refused_by: 'provider' } })
}

/** A provider's message as an input of the rules of its session; undefined for one that is of no session. */
export function inputOf(message: FromPayee): PayerInput | undefined {
  switch (message.type) {
    case 'terms':
    case 'ready':
    case 'meter': return { type: message.type, message } as PayerInput
    case 'closing': return { type: 'closing', reason: message.reason }
    case 'receipt': return { type: 'receipt', receipt: message.receipt }
    case 'fault': return { type: 'fault', code: message.code }
    // its session knows what was sent on its stream
    case 'charge':
    case 'released': return undefined
    default: return message satisfies never
  } // biome-ignore format: a table
}
