/** What is left when everybody has stopped: the sums in both stores and on the chain, read by none of those who made them. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { bestAmount, signedOf } from '../../core/channel.ts'
import { type Address, parseAddress, type SessionId } from '../../core/ids.ts'
import { PayeeRecords, PayerRecords } from '../../session/records.ts'
import { openLevelStore } from '../../store/level-store.ts'

export interface StoreSums {
  /** the session's payments */
  readonly session: bigint
  /** the channel's best promise */
  readonly promised: bigint
}

export interface StorePlace {
  readonly path: string
  readonly address: Address
  readonly chainId: number
  readonly ledger: string
}

async function open({ path, address, chainId, ledger }: StorePlace) {
  const genesis = { address, chainId: BigInt(chainId), ledger: parseAddress(ledger) }
  return await openLevelStore({
    path,
    genesis,
    owner: { pid: process.pid, command: 'tallystick demo', started: Math.floor(Date.now() / 1000) },
  })
}

export async function payeeSums(place: StorePlace, id: SessionId): Promise<StoreSums> {
  const store = await open(place)
  try {
    const records = new PayeeRecords(store)
    let promised = 0n
    for await (const channel of records.channels()) promised += bestAmount(channel)
    return { session: (await records.session(id))?.paid ?? 0n, promised }
  } finally {
    await store.close()
  }
}

export async function payerSums(place: StorePlace, id: SessionId): Promise<StoreSums> {
  const store = await open(place)
  try {
    const records = new PayerRecords(store)
    let promised = 0n
    for await (const channel of records.channels()) promised += signedOf(channel)
    return { session: (await records.session(id))?.total ?? 0n, promised }
  } finally {
    await store.close()
  }
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece)
  return `0x${hash.digest('hex')}`
}
