import { AbiCoder, Interface } from 'ethers'
import registry from '../../protocols/ledger/generated/ServiceRegistry.json' with { type: 'json' }
import ledger from '../../protocols/ledger/generated/TallyLedger.json' with { type: 'json' }
import token from '../../protocols/ledger/generated/TestToken.json' with { type: 'json' }
import { TallyError } from '../core/errors.ts'
import { boundedText } from './rpc-errors.ts'

const knownErrors = new Interface([...ledger.abi, ...registry.abi, ...token.abi].filter((item) => item.type === 'error'))

export interface RevertReason {
  /** Name of the custom error, 'Error', 'Panic', or 'unknown'. */
  readonly name: string
  /** The whole reason on one line, bounded. */
  readonly text: string
}

/** Says in words why a contract reverted: a custom error of the ledger, of the registry or of an OpenZeppelin token, a text, a panic. */
export function decodeRevert(data: string | undefined): RevertReason {
  if (data === undefined || data === '0x') return { name: 'unknown', text: 'the contract gives no reason' }
  try {
    if (data.startsWith('0x08c379a0')) {
      const [text] = AbiCoder.defaultAbiCoder().decode(['string'], `0x${data.slice(10)}`)
      return { name: 'Error', text: boundedText(text, 200) }
    }
    if (data.startsWith('0x4e487b71')) return { name: 'Panic', text: `the contract panics with code 0x${data.slice(-2)}` }
    const parsed = knownErrors.parseError(data)
    if (parsed === null) return { name: 'unknown', text: `unknown error ${boundedText(data.slice(0, 10), 10)}` }
    const named = parsed.fragment.inputs.map((input, i) => `${input.name} ${String(parsed.args[i])}`)
    return { name: parsed.name, text: boundedText(named.length > 0 ? `${parsed.name} (${named.join(', ')})` : parsed.name, 300) }
  } catch {
    return { name: 'unknown', text: 'the contract gives a reason that cannot be read' }
  }
}

/** The next step for the reverts that a person can do something about. */
const revertHints: Readonly<Record<string, string>> = {
  ExpiryOutOfRange: 'choose an expiry in the future, not before the present one and at most two years ahead',
  ChannelNotLive: 'the reservation has expired; its owner can open it again',
  ChannelNotOpen: 'nothing is reserved in this channel; open it first',
  NotExpired: 'wait for the expiry, or ask the other side to close together',
  DeadlinePassed: 'ask the other side for a fresh signature',
  InvalidSignature: 'ask the other side for a fresh signature; one for another epoch, amount or deadline is not good',
  UnknownChannel: 'check owner, signer, target and token, and that the channel was opened on this chain',
  NothingToSettle: 'everything that this promise is worth has been settled already',
  AlreadyRegistered: 'choose another salt; if the first call was yours, the service is registered',
  NotTheProvider: 'only the account that registered a service can change it',
  NotListed: 'check the id; a service that was unregistered can only be registered anew',
  NotUnbonding: 'unregister the service first; a stake is returned once',
  StakeLocked: 'wait until the unbonding delay is over',
  InsufficientBalance: 'deposit first, or use tokens from the wallet',
}

/** TX_REVERTED with the contract's own reason. */
export function revertedError(summary: string, data: string | undefined, fields: Record<string, string> = {}): TallyError {
  const reason = decodeRevert(data)
  const hint = revertHints[reason.name]
  return new TallyError('TX_REVERTED', {
    message: `the chain refuses to ${summary}: ${reason.text}`,
    ...(hint === undefined ? {} : { hint }),
    fields: { reason: reason.name, ...fields },
  })
}
