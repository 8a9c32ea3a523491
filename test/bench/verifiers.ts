/** Signature checks of payments, ours and those of others: each with payments that it signed itself, and each as its users call it. */
import { randomBytes } from 'node:crypto'
import { type TypedDataDomain, verifyTypedData } from 'ethers'
import type { Amount } from '../../src/core/amount.ts'
import { toHex } from '../../src/core/bytes.ts'
import { addressOfKey, signerOf } from '../../src/core/crypto/secp256k1.ts'
import { type Address, hash32FromBytes, ZERO_ADDRESS } from '../../src/core/ids.ts'
import { locksHash } from '../../src/core/lock.ts'
import { preparePromises, type SignedPromise } from '../../src/core/promise.ts'
import { isInstalled, type PeerPackage, peerModule } from './peers.ts'

/** Checks payment number `at`; false when it is refused. */
export type Check = (at: number) => boolean | Promise<boolean>

export interface Verifier {
  readonly id: string
  /** what must be installed for it; undefined for what this program has itself */
  readonly needs?: PeerPackage
  readonly make: () => Check | Promise<Check>
}

/** payments that differ, of each */
const PAYMENTS = 64
const CHAIN_ID = 31337
const ledger = '0x5fbdb2315678afecb367f032d93f642f64180aa3' as Address
const target = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8' as Address
const token = '0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0' as Address
const key = randomBytes(32)
const signer = addressOfKey(key)
const channel = hash32FromBytes(randomBytes(32))

const all = <T>(make: (at: number) => T): T[] => Array.from({ length: PAYMENTS }, (_, at) => make(at))
const one = <T>(list: readonly T[], at: number): T => list[at % PAYMENTS] as T

const prepared = preparePromises({ chainId: BigInt(CHAIN_ID), ledger }, { owner: signer, signer, target, token })
const promises: readonly SignedPromise[] = all((at) => prepared.sign(BigInt(625 * (at + 1)) as Amount, [], signerOf(key)))

/** The same promise as any wallet sees it. */
const PROMISE_DOMAIN: TypedDataDomain = { name: 'Tallystick', version: '1', chainId: CHAIN_ID, verifyingContract: ledger }
const PROMISE_TYPES = {
  Promise: [
    { name: 'owner', type: 'address' },
    { name: 'target', type: 'address' },
    { name: 'token', type: 'address' },
    { name: 'amount', type: 'uint96' },
    { name: 'locks', type: 'bytes32' },
  ],
}

/** What is used of viem, to sign what is checked. */
interface Viem {
  privateKeyToAccount(key: string): { readonly address: string; signTypedData(data: object): Promise<string> }
}

const account = async () => (await peerModule<Viem>('viem/accounts')).privateKeyToAccount(toHex(key))

export const OURS: Verifier = { id: 'ours', make: () => (at) => prepared.verify(one(promises, at)) }

export const OTHERS: readonly Verifier[] = [
  {
    id: 'ethers',
    make: () => {
      const noLocks = toHex(locksHash([]))
      const signed = promises.map(({ amount, signature }) => ({
        value: { owner: ZERO_ADDRESS, target, token, amount, locks: noLocks },
        signature: toHex(signature),
      }))
      return (at) => {
        const { value, signature } = one(signed, at)
        return verifyTypedData(PROMISE_DOMAIN, PROMISE_TYPES, value, signature).toLowerCase() === signer
      }
    },
  },
  {
    id: 'mppx',
    needs: 'mppx',
    make: async () => {
      interface Voucher {
        readonly channelId: string
        readonly cumulativeAmount: bigint
        readonly signature: string
      }
      interface Mppx {
        Session: {
          Precompile: {
            Voucher: {
              voucherTypes: object
              getVoucherDomain(escrow: string, chainId: number): object
              verifyVoucher(escrow: string, chainId: number, voucher: Voucher, signer: string): boolean
            }
          }
        }
      }
      const { verifyVoucher, voucherTypes, getVoucherDomain } = (await peerModule<Mppx>('mppx/tempo')).Session.Precompile.Voucher
      const by = await account()
      const vouchers = await Promise.all(
        all(async (at): Promise<Voucher> => {
          const message = { channelId: channel, cumulativeAmount: BigInt(625 * (at + 1)) }
          const data = { domain: getVoucherDomain(ledger, CHAIN_ID), types: voucherTypes, primaryType: 'Voucher', message }
          return { ...message, signature: await by.signTypedData(data) }
        }),
      )
      return (at) => verifyVoucher(ledger, CHAIN_ID, one(vouchers, at), by.address)
    },
  },
  {
    id: 'x402',
    needs: '@x402/evm',
    make: async () => {
      interface X402 {
        voucherTypes: object
        verifyTypedDataSignature(signer: { getCode(): Promise<string> }, signed: object): Promise<boolean>
      }
      const { voucherTypes, verifyTypedDataSignature } = await peerModule<X402>('@x402/evm')
      const by = await account()
      const vouchers = await Promise.all(
        all(async (at) => {
          const domain = { name: 'x402 Batch Settlement', version: '1', chainId: CHAIN_ID, verifyingContract: ledger }
          const message = { channelId: channel, maxClaimableAmount: BigInt(625 * (at + 1)) }
          const data = { domain, types: voucherTypes, primaryType: 'Voucher', message }
          return { ...data, address: by.address, signature: await by.signTypedData(data) }
        }),
      )
      // it asks the chain whether the payer is a contract: here the answer costs nothing
      const chain = { getCode: async () => '0x' }
      return (at) => verifyTypedDataSignature(chain, one(vouchers, at))
    },
  },
  {
    id: 'nitro',
    needs: '@statechannels/nitro-protocol',
    make: async () => {
      interface Nitro {
        signState(state: object, key: string): object
        getStateSignerAddress(signed: object): string
      }
      const { signState, getStateSignerAddress } = await peerModule<Nitro>('@statechannels/nitro-protocol')
      const by = (await account()).address
      const states = all((at) => {
        const fixed = { channelNonce: 1, participants: [by], chainId: toHex(Uint8Array.of(CHAIN_ID >> 8, CHAIN_ID & 255)) }
        const state = {
          turnNum: at, isFinal: false, channel: fixed, challengeDuration: 60, outcome: [], appDefinition: ZERO_ADDRESS, appData: '0x',
        } // biome-ignore format: a record
        return signState(state, toHex(key))
      })
      return (at) => getStateSignerAddress(one(states, at)) === by
    },
  },
]

export const isThere = ({ needs }: Verifier): boolean => needs === undefined || (isInstalled(needs) && isInstalled('viem'))
