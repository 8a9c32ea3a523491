/** What is measured of the ledger's gas, one row each: whole transactions, as their receipts say. */
import type { Parties } from '../protocols/ledger/fixture.ts'
import { DEPOSIT, EXPIRY, GasChain, gasLock } from './gas-chain.ts'

export interface GasRow {
  readonly id: string
  readonly value: number
  readonly unit: 'gas' | 'gas per promise' | 'gas per step'
  readonly runs: number
}

const AMOUNT = 500_000n
const STEPS = [0, 1, 16, 128, 256]
const BATCHES = [1, 10, 100, 300]

type Measure = (gas: GasChain) => Promise<number>

/** Calls of one transaction each. The first eight of GAS are what a payer and a payee do; then what they do by other ways. */
const SINGLES: Readonly<Record<string, Measure>> = {
  deposit: async (g) => {
    const p = await g.parties()
    return g.gasOf(p.owner.address, 'deposit', p.token, p.owner.address, DEPOSIT)
  },
  withdraw: async (g) => {
    const p = await g.parties()
    return g.gasOf(p.owner.address, 'withdraw', p.token, p.owner.address, DEPOSIT)
  },
  open: async (g) => g.open(await g.parties(), EXPIRY, 'wallet'),
  open_from_balance: async (g) => g.open(await g.parties()),
  top_up: async (g) => {
    const p = await g.usedChannel()
    return g.gasOf(p.owner.address, 'topUp', p.owner.address, p.signer.address, p.target.address, p.token, DEPOSIT)
  },
  extend: async (g) => g.open(await g.usedChannel(), EXPIRY + 1000n),
  settle_first: async (g) => g.settle(await g.freshChannel(), AMOUNT),
  settle_1: async (g) => g.settle(await g.usedChannel(), AMOUNT),
  settle_wallet: async (g) => {
    const p = await g.usedChannel()
    await g.chain.token.send(p.target.address, 'mint', p.target.address, 1n)
    return g.gasOf(p.target.address, 'settleDirect', p.token, await g.row(p, AMOUNT))
  },
  settle_payout: async (g) => {
    const p = await g.usedChannel()
    const { address } = (await g.usedChannel()).target
    await g.ledger.send(p.target.address, 'proposePayout', p.target.address, p.token, address)
    await g.ledger.send(address, 'acceptPayout', p.target.address, p.token)
    return g.settle(p, AMOUNT)
  },
  close: async (g) => {
    const p = await g.usedChannel()
    return g.gasOf(p.owner.address, ...(await g.closeCall(p, AMOUNT)))
  },
  reopen: async (g) => {
    const p = await g.usedChannel()
    await g.ledger.send(p.owner.address, ...(await g.closeCall(p, AMOUNT)))
    return g.open(p)
  },
  relayed_open: async (g) => {
    const p = await g.parties()
    return g.relayed(p.owner, p.token, 'open', p.signer.address, p.target.address, p.token, DEPOSIT, EXPIRY)
  },
  relayed_top_up: async (g) => {
    const p = await g.usedChannel()
    const args = [p.owner.address, p.signer.address, p.target.address, p.token, DEPOSIT]
    return g.relayed(p.owner, p.token, 'topUp', ...args)
  },
  relayed_settle: async (g) => {
    const p = await g.usedChannel()
    await g.settle(p, AMOUNT)
    return g.relayed(p.target, p.token, 'settle', p.target.address, p.token, await g.row(p, 2n * AMOUNT))
  },
  relayed_close: async (g) => {
    const p = await g.usedChannel()
    return g.relayed(p.owner, p.token, ...(await g.closeCall(p, AMOUNT)))
  },
}

function* settlesWithLocks(): Generator<[string, Measure]> {
  for (const k of STEPS) yield [`settle_k${k}`, async (g) => g.settle(await g.usedChannel(), AMOUNT, [gasLock(k)])]
}

/** Measures everything, a few thousand transactions. `note` hears what comes next. */
export async function measureGas(note: (id: string) => void = () => {}): Promise<GasRow[]> {
  const rows: GasRow[] = []
  const add = (id: string, value: number, unit: GasRow['unit'] = 'gas'): void => {
    note(id)
    rows.push({ id, value: Math.round(value * 10) / 10, unit, runs: 1 })
  }
  const gas = await GasChain.start()
  try {
    for (const [id, measure] of [...Object.entries(SINGLES), ...settlesWithLocks()]) add(id, await measure(gas))
    const [few, many] = [rows.find(({ id }) => id === 'settle_k16'), rows.find(({ id }) => id === 'settle_k256')]
    add('step', ((many?.value ?? Number.NaN) - (few?.value ?? Number.NaN)) / (256 - 16), 'gas per step')
    await measureBatches(gas, 'batch', BATCHES, { ownKey: true }, add)
    await measureBatches(gas, 'other_key', [100], { ownKey: false }, add)
    // the last one, for it takes a year
    const p = await gas.usedChannel()
    await gas.chain.nextBlockAt(EXPIRY)
    add('reclaim', await gas.gasOf(p.owner.address, 'reclaim', p.signer.address, p.target.address, p.token))
  } finally {
    await gas.stop()
  }
  return rows
}

/** Batches of plain rows, and one of ten rows for each number of steps. */
async function measureBatches(
  gas: GasChain,
  name: string,
  sizes: readonly number[],
  { ownKey }: { ownKey: boolean },
  add: (id: string, value: number, unit: GasRow['unit']) => void,
): Promise<void> {
  const target = gas.wallet()
  const channels: Parties[] = []
  let amount = AMOUNT
  const next = async (count: number, k?: number): Promise<number> => {
    amount += 123_457n
    return (await gas.settleBatch(channels.slice(0, count), amount, k === undefined ? undefined : [gasLock(k)])) / count
  }
  for (const size of sizes) {
    while (channels.length < size) channels.push(await gas.usedChannel({ target, ownKey }))
    add(`${name}_${size}`, await next(size), 'gas per promise')
  }
  if (ownKey) for (const k of STEPS) add(`${name}_10_k${k}`, await next(10, k), 'gas per promise')
}
