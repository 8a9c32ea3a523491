/** Symbols of the tokens that this home has met, so that figures can be shown without a database or a chain. */
import { join } from 'node:path'
import { type Address, isAddress } from '../core/ids.ts'
import { type TokenInfo, tokenInfo } from '../core/token.ts'
import { readJson, writeJson } from '../node/json-file.ts'

const FILE = 'tokens.json'

/** Never fails: it is a convenience. */
export async function rememberToken(home: string, { address, symbol, decimals }: TokenInfo): Promise<void> {
  const known = await read(home)
  const before = known[address]
  if (typeof before === 'object' && before !== null && 'symbol' in before && before.symbol === symbol) return
  await writeJson(join(home, FILE), { ...known, [address]: { symbol, decimals } }).catch(() => undefined)
}

/** The token as this home knows it; else one whose amounts are written in base units: `500000 base`. */
export async function tokenOf(home: string, address: Address): Promise<TokenInfo> {
  const entry = (await read(home))[address]
  if (isAddress(address) && typeof entry === 'object' && entry !== null && 'symbol' in entry && 'decimals' in entry) {
    if (typeof entry.symbol === 'string' && typeof entry.decimals === 'number')
      return tokenInfo(address, entry.symbol, entry.decimals)
  }
  return { address, symbol: 'base', decimals: 0 }
}

async function read(home: string): Promise<Record<string, unknown>> {
  const content = await readJson(join(home, FILE)).catch(() => undefined)
  return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : {}
}
