/** A provider's node at its door: what it says to a reservation, its demands being those that it registered. */
import type { Wallet } from 'ethers'
import type { ServiceEntry } from '../../../src/chain/registry-reader.ts'
import type { Amount } from '../../../src/core/amount.ts'
import type { Address, ChannelId, Seconds } from '../../../src/core/ids.ts'
import { ZERO_METER } from '../../../src/core/meter.ts'
import type { Offer } from '../../../src/core/offer.ts'
import type { Hello } from '../../../src/core/session/messages.ts'
import { judgeHello } from '../../../src/core/session/payee-hello.ts'
import type { ChannelState, Parties } from './fixture.ts'

/** The code with which the provider refuses a hello over this channel when its clock shows `nowS`; undefined: it serves. */
export function judgeReservation(entry: ServiceEntry, p: Parties, channel: ChannelState, nowS: bigint): string | undefined {
  const now = Number(nowS) as Seconds
  const { token, name } = entry.service
  const account = (wallet: Wallet) => wallet.address.toLowerCase() as Address
  const parties = { owner: account(p.owner), signer: account(p.signer), target: account(p.target), token }
  const facts = {
    deposit: channel.deposit as Amount,
    settled: channel.settled as Amount,
    expiry: Number(channel.expiry) as Seconds,
    epoch: Number(channel.epoch),
  }
  const hello: Hello = {
    type: 'hello',
    session: `0x${'1'.repeat(32)}` as Hello['session'],
    resume: false,
    owner: parties.owner,
    token,
    service: name,
    inputs: new Uint8Array(0),
    signed: 0n as Amount,
    acked: ZERO_METER,
  }
  return judgeHello(hello, {
    offer: offerOf(entry, (now + 60) as Seconds),
    channel: { id: p.id as ChannelId, parties, facts, best: undefined, frozen: undefined },
    live: 0,
    maxSessions: 1,
    banned: false,
    nowS: now,
    marginS: 600,
    patienceS: 30,
    unreserved: 0n as Amount,
  })
}

/** The offer that says exactly what is registered. */
function offerOf({ provider, service }: ServiceEntry, expiry: Seconds): Offer {
  const { name, kind, token, price, chunk, minReservation, minTimeToExpiry, address } = service
  return {
    provider,
    sequence: 1n,
    expiry,
    token,
    service: name,
    kind,
    description: '',
    price,
    chunk,
    minReservation,
    minTimeToExpiry,
    addresses: [address],
    inputs: '',
    outputs: '',
  }
}
