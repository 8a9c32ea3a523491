/**
 * `npm run bench:gas`: what each call of the ledger costs on a real chain, as the receipts say: whole transactions, with the 21,000
 * that every one of them pays, their calldata and the movement of tokens or balances. Steady state: payee and ledger hold tokens,
 * the allowance is given, every channel has been settled before. Payers sign for themselves, as they do by default; the table also
 * shows batches of payers whose signer is another key. `--json` prints the rows alone.
 */
import { cpus } from 'node:os'
import { concat, ZeroAddress } from 'ethers'
import {
  type Chain,
  fundBalance,
  fundWallet,
  newParties,
  newWallet,
  openChannel,
  type Parties,
  startChain,
  YEAR,
} from '../protocols/ledger/fixture.ts'
import { signClose, signedRow, signedShortRow, signPromise } from '../protocols/ledger/messages.ts'

interface GasRow {
  readonly id: string
  readonly value: number
  readonly unit: string
  readonly runs: number
}

const DEPOSIT = 1_000_000_000n
const RUNS = 3
const note = (text: string): void => void process.stderr.write(`${text}\n`)

async function repeat(id: string, unit: string, once: () => Promise<number>): Promise<GasRow> {
  note(`measuring ${id}`)
  const values: number[] = []
  for (let run = 0; run < RUNS; run++) values.push(await once())
  const median = values.sort((a, b) => a - b)[Math.floor(RUNS / 2)] ?? 0
  return { id, value: Math.round(median), unit, runs: RUNS }
}

/** A channel whose owner signs for itself, settled once, to a target that has been paid before. */
async function usedChannel(chain: Chain, target = newWallet()): Promise<Parties> {
  const owner = newWallet()
  const parties = await openChannel(chain, DEPOSIT, { owner, signer: owner, target })
  await settle(chain, parties, 1n)
  return parties
}

async function settle(chain: Chain, p: Parties, amount: bigint): Promise<number> {
  const signature = await signPromise(p, amount, [], { owner: ZeroAddress })
  const done = await chain.ledger.send(
    p.target.address,
    'settle',
    ZeroAddress,
    p.target.address,
    p.token,
    amount,
    '0x',
    signature,
  )
  return done.gas
}

async function settleMany(chain: Chain, channels: readonly Parties[], sign: (p: Parties) => Promise<string>): Promise<number> {
  const [first] = channels
  if (first === undefined) throw new Error('a batch needs a channel')
  const rows = concat(await Promise.all(channels.map(sign)))
  const done = await chain.ledger.send(first.target.address, 'settleBatch', first.target.address, first.token, rows)
  if (done.events.some((event) => event.name === 'RowSkipped')) throw new Error('a row of the benchmark was skipped')
  return done.gas / channels.length
}

async function measureSingles(chain: Chain): Promise<GasRow[]> {
  const expiry = (await chain.now()) + YEAR
  const fund = async (p: Parties, until: bigint): Promise<number> => {
    await fundWallet(chain, p.owner.address, 2n * DEPOSIT)
    const args = [p.signer.address, p.target.address, p.token, DEPOSIT, until]
    return (await chain.ledger.send(p.owner.address, 'depositAndOpen', ...args)).gas
  }
  return [
    await repeat('open', 'gas', async () => fund(await newParties(chain), expiry)),
    await repeat('top_up', 'gas', async () => fund(await usedChannel(chain), expiry + YEAR / 2n)),
    await repeat('settle_1', 'gas', async () => settle(chain, await usedChannel(chain), 500_000n)),
  ]
}

async function measureBatches(
  chain: Chain,
  prefix: string,
  sign: (p: Parties, amount: bigint) => Promise<string>,
): Promise<GasRow[]> {
  const rows: GasRow[] = []
  const target = newWallet()
  const channels: Parties[] = []
  let amount = 100_000n
  for (const size of [10, 100, 300]) {
    note(`opening ${size - channels.length} channels`)
    while (channels.length < size) channels.push(await usedChannel(chain, target))
    const once = (): Promise<number> => {
      amount += 123_457n
      return settleMany(chain, channels, (p) => sign(p, amount))
    }
    rows.push(await repeat(`${prefix}_${size}`, 'gas per promise', once))
  }
  return rows
}

async function measureEnds(chain: Chain): Promise<GasRow[]> {
  const close = async (): Promise<number> => {
    const p = await usedChannel(chain)
    await fundBalance(chain, p.owner.address, 1n)
    const deadline = (await chain.now()) + 3600n
    const args = [p.signer.address, p.target.address, p.token, 500_000n, deadline, await signClose(p, 500_000n, deadline, 0n)]
    return (await chain.ledger.send(p.owner.address, 'close', ...args)).gas
  }
  const reclaim = async (): Promise<number> => {
    const p = await usedChannel(chain)
    await fundBalance(chain, p.owner.address, 1n)
    await chain.nextBlockAt((await chain.now()) + YEAR)
    return (await chain.ledger.send(p.owner.address, 'reclaim', p.signer.address, p.target.address, p.token)).gas
  }
  return [await repeat('close', 'gas', close), await repeat('reclaim', 'gas', reclaim)]
}

function printTable(machine: string, rows: readonly GasRow[]): void {
  process.stdout.write(`${machine}\n\n`)
  for (const { id, value, unit } of rows)
    process.stdout.write(`${id.padEnd(16)} ${value.toLocaleString('en').padStart(8)} ${unit}\n`)
}

const json = process.argv.includes('--json')
const chain = await startChain()
try {
  const rows = [
    ...(await measureSingles(chain)),
    ...(await measureBatches(chain, 'batch', signedShortRow)),
    ...(await measureEnds(chain)),
  ]
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${String(await chain.rpc('web3_clientVersion')).split('-')[0]}`
  if (json) process.stdout.write(`${JSON.stringify({ machine, rows }, null, 2)}\n`)
  else printTable(machine, [...rows, ...(await measureBatches(chain, 'other_key', signedRow))])
} finally {
  await chain.stop()
}
