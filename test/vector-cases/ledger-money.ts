/** More vectors of protocols/ledger: who is credited for a target, and how tokens come in without a transaction of the holder. */
import { readFileSync } from 'node:fs'
import { concat, getCreate2Address, id as hashOf, keccak256, zeroPadValue } from 'ethers'
import { DELEGATED, OWN } from './ledger.ts'
import { account, DOMAIN, low, signTyped, TOKEN } from './reference.ts'

const DEADLINE = 4_102_444_800
const ZERO = `0x${'00'.repeat(32)}`
const SALT = hashOf('tallystick vector: salt')
const BOX = new URL('../../protocols/ledger/generated/DepositBox.json', import.meta.url)

const word = (address: string): string => zeroPadValue(address, 32)
const seconds = (time: number): string => `0x${BigInt(time).toString(16).padStart(64, '0')}`

/** Acceptances by account 5 of being paid for account 3. */
export function payoutCases(): object[] {
  const [payout, stranger] = [account(5), account(9)]
  const input = { target: OWN.target, token: TOKEN, payout: low(payout.address), nonce: 0, deadline: DEADLINE }
  const good = signTyped('Payout', input, payout)
  const bad = (comment: string, made: object, by = payout, domain = DOMAIN): object => {
    const { signature, signer } = signTyped('Payout', { ...input, ...made }, by, domain)
    return { comment, input, digest: good.digest, signature, signer, error: 'SIGNER_WRONG' }
  }
  return [
    { comment: 'the first acceptance', input, ...good },
    bad('signed by a stranger', {}, stranger),
    bad('made for another target', { target: OWN.owner }),
    bad('made for another token', { token: low(DOMAIN.verifyingContract) }),
    bad('made for another payout', { payout: low(stranger.address) }),
    bad('made for another nonce', { nonce: 1 }),
    bad('made for another deadline', { deadline: DEADLINE - 1 }),
    bad('made for another chain', {}, payout, { ...DOMAIN, chainId: 1 }),
  ]
}

/** Nonces of EIP-3009 authorizations, and deposit addresses. */
export function depositCases(): object[] {
  const code = keccak256(JSON.parse(readFileSync(BOX, 'utf8')).bytecode)
  const deposit = (comment: string, to: string, salt: string): object => ({
    comment,
    input: { account: to, salt },
    nonce: keccak256(concat([word(to), salt])),
    depositAddress: low(getCreate2Address(DOMAIN.verifyingContract, word(to), code)),
  })
  const open = (comment: string, { signer, target, token }: typeof OWN, expiry: number, salt: string): object => ({
    comment,
    input: { signer, target, token, expiry, salt },
    nonce: keccak256(concat([word(signer), word(target), word(token), seconds(expiry), salt])),
  })
  return [
    deposit('into the balance of account 2', OWN.owner, ZERO),
    deposit('the same once more: another salt, another nonce, the same address', OWN.owner, SALT),
    deposit('into the balance of account 1', DELEGATED.owner, ZERO),
    open('into a channel that account 2 signs for', OWN, DEADLINE, ZERO),
    open('the same with another salt', OWN, DEADLINE, SALT),
    open('the same with another expiry', OWN, DEADLINE - 1, ZERO),
  ]
}
