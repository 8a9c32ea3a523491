/** Who plays in a random sequence, with keys of their own, and how a call of theirs is said to the contract in the node's own words. */
import { getCreate2Address, keccak256 as hashHex, Wallet, ZeroHash, zeroPadValue } from 'ethers'
import type { Amount } from '../../../src/core/amount.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { signClosing } from '../../../src/core/closing.ts'
import { keccakText } from '../../../src/core/crypto/keccak.ts'
import { addressOfKey, type Sign, signerOf } from '../../../src/core/crypto/secp256k1.ts'
import type { Domain } from '../../../src/core/eip712.ts'
import { type Address, type ChannelParties, channelId, type Hash32, type Seconds } from '../../../src/core/ids.ts'
import { packShownLocks } from '../../../src/core/lock.ts'
import { encodeRows, preparePromises, type SettleRow, settleRow } from '../../../src/core/promise.ts'
import { authorize, depositNonce, openNonce } from './authorization.ts'
import type { Call, Row } from './calls.ts'
import { LEDGER, readArtefact } from './fixture.ts'
import { signPayout } from './messages.ts'

const OWNERS = 2
const TARGETS = 2
const PAYOUTS = 2
/** A permit that no token takes: the allowance counts. */
const GARBAGE_PERMIT = [0n, 0, ZeroHash, ZeroHash]

/** The address of the contract that sweeps for `account`, by SPEC.md. */
function depositAddress(account: Address): Address {
  const code = hashHex(readArtefact('DepositBox').bytecode)
  return getCreate2Address(LEDGER, zeroPadValue(account, 32), code).toLowerCase() as Address
}

/** Everybody who deals in one token. */
export class Cast {
  readonly token: Address
  /** base units for each unit of the sequence */
  readonly scale: bigint
  /** whether the token knows EIP-3009 */
  readonly authorizes: boolean
  readonly owners: readonly Address[]
  readonly targets: readonly Address[]
  readonly accounts: readonly Address[]
  readonly channels: readonly ChannelParties[]
  readonly boxes: ReadonlyMap<Address, Address>
  private readonly keys = new Map<Address, Uint8Array>()
  private readonly domain: Domain = { chainId: 31337n, ledger: LEDGER.toLowerCase() as Address }
  private salts = 0

  /** @param name makes the keys: another name, other accounts */
  constructor(name: string, { token, scale, authorizes }: Pick<Cast, 'token' | 'scale' | 'authorizes'>) {
    const many = (role: string, count: number) => Array.from({ length: count }, (_, i) => this.account(`${name} ${role} ${i}`))
    this.token = token
    this.scale = scale
    this.authorizes = authorizes
    this.owners = many('owner', OWNERS)
    this.targets = many('target', TARGETS)
    this.accounts = [...this.owners, ...this.targets, ...many('payout', PAYOUTS)]
    this.boxes = new Map(this.accounts.map((account) => [account, depositAddress(account)]))
    const signers = many('signer', 1)
    this.channels = this.owners.flatMap((owner, i) =>
      (i === 0 ? [owner, ...signers] : [owner]).flatMap((signer) =>
        this.targets.map((target) => ({ owner, signer, target, token })),
      ),
    )
  }

  get payouts(): readonly Address[] {
    return this.accounts.slice(-PAYOUTS)
  }

  /** Who sends the call, and its arguments on the chain. */
  async encode(call: Call): Promise<[from: Address, args: readonly unknown[]]> {
    const { token } = this
    switch (call.fn) {
      case 'deposit':
        return [call.from, [token, call.account, call.amount]]
      case 'depositWithPermit':
        return [call.from, [token, call.account, call.amount, ...GARBAGE_PERMIT]]
      case 'depositWithAuthorization': {
        const salt = this.newSalt()
        return [call.from, [token, call.account, await this.authorize(call, depositNonce(call.signedFor, salt), salt)]]
      }
      case 'sweep':
        return [call.from, [call.account, token]]
      case 'withdraw':
      case 'transfer':
        return [call.from, [token, call.to, call.amount]]
      case 'settle':
        return [call.from, [call.row.parties.target, token, this.encodeRows([call.row], call.cut)]]
      case 'settleDirect':
        return [call.from, [token, this.encodeRows([call.row], call.cut)]]
      case 'settleBatch':
        return [call.from, [call.target, token, this.encodeRows(call.rows, call.cut)]]
      case 'proposePayout':
        return [call.from, [call.target, token, call.payout]]
      case 'acceptPayout':
        return [call.from, [call.target, token]]
      case 'acceptPayoutWithSignature': {
        const { target, payout, deadline, signedNonce } = call
        const signature = await signPayout(this.walletOf(payout), { target, token, nonce: signedNonce }, deadline)
        return [call.from, [target, token, payout, deadline, signature]]
      }
      case 'setMaxRelayFee':
        return [call.from, [call.target, token, call.amount]]
    }
    const { owner, signer, target } = call.parties
    switch (call.fn) {
      case 'open':
      case 'depositAndOpen':
        return [owner, [signer, target, token, call.amount, call.expiry]]
      case 'depositAndOpenWithPermit':
        return [owner, [signer, target, token, call.amount, call.expiry, ...GARBAGE_PERMIT]]
      case 'depositAndOpenWithAuthorization': {
        const salt = this.newSalt()
        const nonce = openNonce(signer, target, token, call.signedExpiry, salt)
        const authorization = await this.authorize({ holder: owner, amount: call.amount }, nonce, salt)
        return [call.from, [signer, target, token, call.expiry, authorization]]
      }
      case 'topUp':
        return [call.from, [owner, signer, target, token, call.amount]]
      case 'reclaim':
        return [owner, [signer, target, token]]
      case 'close': {
        const { amount, deadline, signedEpoch } = call
        const closing = { channel: channelId(call.parties), amount: amount as Amount, deadline: Number(deadline) as Seconds }
        const signature = signClosing(this.domain, { ...closing, epoch: Number(signedEpoch) }, this.signOf(target))
        return [owner, [signer, target, token, amount, deadline, toHex(signature)]]
      }
    }
  }

  /** Rows as the ledger reads them, less their last `cut` bytes. */
  private encodeRows(rows: readonly Row[], cut: number): string {
    const bytes = encodeRows(rows.map((row) => this.sign(row)))
    return toHex(bytes.subarray(0, bytes.length - cut))
  }

  /** A row that is not genuine is signed by the target, who is nobody's signer. */
  private sign({ parties, amount, shown, genuine }: Row): SettleRow {
    const by = this.signOf(genuine ? parties.signer : parties.target)
    const locks = shown.map(({ lock }) => lock)
    const promise = preparePromises(this.domain, parties).sign(amount, locks, by)
    const reveals = new Map<Hash32, Row['shown'][number]>(shown.map((one) => [one.lock.anchor, one]))
    // the node never shows more steps than a lock has
    const isGreedy = shown.some(({ lock, k }) => k > lock.steps)
    if (!isGreedy) return settleRow(parties, promise, reveals)
    return { ...settleRow(parties, promise), locks: packShownLocks(shown) }
  }

  private authorize({ holder, amount }: { holder: Address; amount: bigint }, nonce: string, salt: string): Promise<unknown[]> {
    return authorize(this.walletOf(holder), this.token, amount, nonce, { salt })
  }

  private newSalt(): string {
    this.salts += 1
    return zeroPadValue(`0x${this.salts.toString(16).padStart(8, '0')}`, 32)
  }

  private account(name: string): Address {
    const key = keccakText(name)
    const address = addressOfKey(key)
    this.keys.set(address, key)
    return address
  }

  private keyOf(account: Address): Uint8Array {
    const key = this.keys.get(account)
    if (key === undefined) throw new Error(`no key of ${account}`)
    return key
  }

  private signOf(account: Address): Sign {
    return signerOf(this.keyOf(account))
  }

  private walletOf(account: Address): Wallet {
    return new Wallet(toHex(this.keyOf(account)))
  }
}
