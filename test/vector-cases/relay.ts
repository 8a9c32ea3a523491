/** The vectors of protocols/relay. Nothing here imports src. */
import { concat, dataLength, dataSlice, Interface, TypedDataEncoder, toBeHex } from 'ethers'
import { forgeries } from './forgery.ts'
import { account, DOMAIN, low, TOKEN } from './reference.ts'

const ledger = low(DOMAIN.verifyingContract)
const FORWARDER = '0xe7f1725e7734ce288f8367e1bb143e90bb3f0512'
const [signer, relay, stranger] = [account(2), account(4), account(9)]

/** What the requests of the file are held against. */
export const RELAY_RULES = {
  relay: low(relay.address),
  ledger,
  forwarder: { name: 'Tallystick Forwarder', version: '1', chainId: 31337, verifyingContract: FORWARDER },
  tokens: [TOKEN],
  maxGas: 1_000_000,
}

const TYPES = {
  ForwardRequest: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'gas', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint48' },
    { name: 'data', type: 'bytes' },
  ],
}

const abi = new Interface([
  'function multicall(bytes[] data)',
  'function sweep(address account, address token)',
  'function open(address signer, address target, address token, uint96 amount, uint40 expiry)',
  'function transfer(address token, address to, uint256 amount)',
  'function withdraw(address token, address to, uint256 amount)',
])
const call = (name: string, ...args: readonly unknown[]): string => abi.encodeFunctionData(name, [...args])
const multicall = (...calls: readonly string[]): string => call('multicall', calls)

interface RequestInput {
  readonly from: string
  readonly to: string
  readonly gas: number
  readonly nonce: string
  readonly deadline: number
  readonly data: string
}

const sweep = call('sweep', signer.address, TOKEN)
const open = call('open', signer.address, account(3).address, TOKEN, 5_000_000n, 1_900_000_000)
const fee = call('transfer', TOKEN, relay.address, 12_345n)
const base: RequestInput = {
  from: low(signer.address),
  to: ledger,
  gas: 300_000,
  nonce: '7',
  deadline: 1_800_000_300,
  data: multicall(sweep, open, fee),
}
const QUOTE = `0x${'5a'.repeat(16)}`

const digestOf = (input: RequestInput): string => TypedDataEncoder.hash(RELAY_RULES.forwarder, TYPES, { ...input, value: 0 })

function encode(input: RequestInput, signature: string): string {
  const { from, to, gas, nonce, deadline, data } = input
  return concat([
    '0x02', QUOTE, from, to, toBeHex(gas, 4), toBeHex(BigInt(nonce), 8), toBeHex(deadline, 5), toBeHex(dataLength(data), 4), data, signature,
  ]) // biome-ignore format: a frame
}

function submit(comment: string, input: RequestInput, error?: string, by = signer): object {
  const digest = digestOf(input)
  const signature = by.signingKey.sign(digest).serialized
  return {
    comment,
    ask: 'submit',
    input,
    quote: QUOTE,
    digest,
    signature,
    encoded: encode(input, signature),
    ...(error && { error }),
  }
}

export function relayCases(): object[] {
  const good = submit('a sweep, an opening and the fee', base) as { encoded: string; signature: string; digest: string }
  const raw = (comment: string, encoded: string, error = 'MALFORMED'): object => ({ comment, encoded, error })
  const changed = (comment: string, change: Partial<RequestInput>, error: string): object =>
    submit(comment, { ...base, ...change }, error)
  const quote = concat(['0x01', TOKEN, toBeHex(300_000, 4), toBeHex(dataLength(base.data), 4)])
  return [
    { comment: 'a fee is asked for', ask: 'quote', input: { token: TOKEN, gas: 300_000, bytes: dataLength(base.data) }, encoded: quote },
    { comment: 'how it goes', ask: 'status', input: { digest: good.digest }, encoded: concat(['0x03', good.digest]) },
    good,
    submit('the largest numbers', { ...base, gas: 1_000_000, nonce: `${2n ** 64n - 1n}`, deadline: 2 ** 40 - 1 }),
    changed('for another contract', { to: FORWARDER }, 'RELAY_CALL_REFUSED'),
    changed('more gas than the relay allows', { gas: 1_000_001 }, 'RELAY_CALL_REFUSED'),
    changed('no gas', { gas: 0 }, 'RELAY_CALL_REFUSED'),
    changed('the fee is for somebody else', { data: multicall(open, call('transfer', TOKEN, stranger.address, 12_345n)) }, 'RELAY_CALL_REFUSED'),
    changed('the fee is in another token', { data: multicall(open, call('transfer', ledger, relay.address, 12_345n)) }, 'RELAY_CALL_REFUSED'),
    changed('another token is moved', { data: multicall(call('withdraw', ledger, signer.address, 1n), fee) }, 'RELAY_CALL_REFUSED'),
    changed('the fee is not last', { data: multicall(fee, open) }, 'RELAY_CALL_REFUSED'),
    changed('the fee alone', { data: multicall(fee) }, 'RELAY_CALL_REFUSED'),
    changed('no multicall', { data: open }, 'RELAY_CALL_REFUSED'),
    changed('a multicall in a multicall', { data: multicall(multicall(open), fee) }, 'RELAY_CALL_REFUSED'),
    changed('nine calls', { data: multicall(...Array.from({ length: 8 }, () => sweep), fee) }, 'RELAY_CALL_REFUSED'),
    changed('a byte behind the calls', { data: concat([base.data, '0x00']) }, 'RELAY_CALL_REFUSED'),
    changed('no data', { data: '0x' }, 'RELAY_CALL_REFUSED'),
    submit('signed by a stranger', base, 'RELAY_SIGNATURE', stranger),
    { ...good, comment: 'another number than was signed', encoded: encode({ ...base, nonce: '8' }, good.signature), error: 'RELAY_SIGNATURE' },
    { ...good, comment: 'a later deadline than was signed', encoded: encode({ ...base, deadline: base.deadline + 1 }, good.signature), error: 'RELAY_SIGNATURE' },
    { ...good, comment: 'another fee than was signed', encoded: encode({ ...base, data: multicall(sweep, open, call('transfer', TOKEN, relay.address, 12_346n)) }, good.signature), error: 'RELAY_SIGNATURE' },
    ...forgeries(good.signature).map(({ comment, signature }) => raw(comment, encode(base, signature), 'RELAY_SIGNATURE')),
    raw('cut off within the signature', dataSlice(good.encoded, 0, dataLength(good.encoded) - 1)),
    raw('a byte too many', concat([good.encoded, '0x00'])),
    raw('a quote that is cut off', dataSlice(quote, 0, 28)),
    raw('a status with a byte too many', concat(['0x03', good.digest, '0x00'])),
    raw('nothing at all', '0x'),
    raw('something that cannot be asked', concat(['0x04', good.digest]), 'UNSUPPORTED'),
    raw('60,001 bytes of data', encode({ ...base, data: toBeHex(0, 60_001) }, good.signature)),
    raw('60,201 bytes', toBeHex(1n << 480_000n, 60_201), 'FRAME_TOO_LARGE'),
  ] // biome-ignore format: a list
}
