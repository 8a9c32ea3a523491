/** What a payer says, as inputs of the rules. */
import type { FromPayer } from '../core/session/messages.ts'
import type { PayeeInput } from '../core/session/payee.ts'

/** The messages that are inputs of a session as they are; hello and release begin something. */
export function inputOf(message: FromPayer): PayeeInput | undefined {
  switch (message.type) {
    case 'restate':
    case 'promise':
    case 'tick':
    case 'agree':
    case 'close': return { type: message.type, message } as PayeeInput
    case 'accept': return { type: 'accept', signature: message.signature }
    case 'ack': return { type: 'ack', stream: message.stream, bytes: message.bytes, ms: message.ms, final: message.final }
    case 'countersign': return { type: 'countersign', signature: message.signature }
    case 'fault': return { type: 'fault', code: message.code }
    case 'hello':
    case 'release': return undefined
    default: return message satisfies never
  } // biome-ignore format: a table
}
