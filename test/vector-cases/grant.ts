/** The vectors of grants: what the payer of the last hop signs when a link stands. */
import { forgeries } from './forgery.ts'
import { account, DOMAIN, hashChain, low, signTyped, TOKEN } from './reference.ts'

type Wallet = ReturnType<typeof account>
const [cold, hot, target, consumer, stranger] = [1, 2, 3, 6, 9].map(account) as [Wallet, Wallet, Wallet, Wallet, Wallet]

export function grantCases(): object[] {
  const input = {
    consumer: low(consumer.address),
    owner: low(hot.address),
    signer: low(hot.address),
    provider: low(target.address),
    token: TOKEN,
    anchor: hashChain('tallystick vector: ticks', 1024)[0] as string,
    unit: '1000',
    steps: 1024,
    expiry: 4_102_444_800,
  }
  const good = signTyped('Grant', input, hot)
  const grant = (comment: string, value: typeof input): object => ({ comment, input: value, ...signTyped('Grant', value, hot) })
  const forged = (comment: string, signature: string, by = hot): object => ({
    comment, input, digest: good.digest, signature, signer: low(by.address), error: 'GRANT_WRONG',
  }) // biome-ignore format: a record
  const made = (comment: string, change: Partial<typeof input>, by = hot, domain = DOMAIN): object =>
    forged(comment, signTyped('Grant', { ...input, ...change }, by, domain).signature, by)
  return [
    grant('a chain of 1,024 steps', input),
    grant('of a channel whose owner is another account', { ...input, owner: low(cold.address) }),
    grant('one step, the largest unit, the last expiry', { ...input, steps: 1, unit: `${2n ** 96n - 1n}`, expiry: 2 ** 40 - 1 }),
    made('signed by the provider', {}, target),
    made('signed by a stranger', {}, stranger),
    made('made for another consumer', { consumer: low(stranger.address) }),
    made('made for another owner', { owner: low(cold.address) }),
    made('made for another provider', { provider: low(stranger.address) }),
    made('made for another token', { token: low(stranger.address) }),
    made('made for another anchor', { anchor: hashChain('tallystick vector: hash lock', 1)[0] as string }),
    made('made for another unit', { unit: '999' }),
    made('made for other steps', { steps: 1023 }),
    made('made for another expiry', { expiry: 4_102_444_799 }),
    made('made for another chain', {}, hot, { ...DOMAIN, chainId: 1 }),
    ...forgeries(good.signature).map(({ comment, signature }) => forged(comment, signature)),
  ]
}
