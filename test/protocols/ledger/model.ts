/** The ledger's rules once more, as plain sums: what random sequences of calls are compared with. */

export interface ModelChannel {
  deposit: bigint
  settled: bigint
  expiry: bigint
  epoch: bigint
}

/** One step of a random sequence. Indices choose among the parties; amounts and times are small, so that limits are often met. */
export type Step =
  | { readonly kind: 'deposit' | 'withdraw'; readonly owner: number; readonly amount: bigint }
  | { readonly kind: 'transfer'; readonly owner: number; readonly to: number; readonly amount: bigint }
  | { readonly kind: 'open'; readonly owner: number; readonly target: number; readonly amount: bigint; readonly term: bigint }
  | { readonly kind: 'topUp'; readonly owner: number; readonly target: number; readonly by: number; readonly amount: bigint }
  | { readonly kind: 'settle' | 'direct' | 'close'; readonly owner: number; readonly target: number; readonly amount: bigint }
  | { readonly kind: 'batch'; readonly target: number; readonly amounts: readonly bigint[] }
  | { readonly kind: 'reclaim'; readonly owner: number; readonly target: number }
  | { readonly kind: 'wait'; readonly seconds: bigint }

/** What a sequence of calls leaves behind; `apply` answers whether the ledger must take the call, and changes nothing when it must not. */
export class Model {
  readonly wallets = new Map<string, bigint>()
  readonly balances = new Map<string, bigint>()
  readonly channels = new Map<string, ModelChannel>()

  channel(owner: number, target: number): ModelChannel {
    const key = `${owner}>${target}`
    const found = this.channels.get(key) ?? { deposit: 0n, settled: 0n, expiry: 0n, epoch: 0n }
    this.channels.set(key, found)
    return found
  }

  balance(account: string): bigint {
    return this.balances.get(account) ?? 0n
  }

  /** All tokens that the ledger must hold. */
  held(): bigint {
    let sum = 0n
    for (const balance of this.balances.values()) sum += balance
    for (const { deposit, settled } of this.channels.values()) sum += deposit - settled
    return sum
  }

  apply(step: Step, now: bigint): boolean {
    switch (step.kind) {
      case 'deposit':
        return this.move(this.wallets, `o${step.owner}`, step.amount, () => this.credit(`o${step.owner}`, step.amount))
      case 'withdraw':
        return this.debit(step.owner, step.amount, () => add(this.wallets, `o${step.owner}`, step.amount))
      case 'transfer':
        return this.debit(step.owner, step.amount, () => this.credit(`o${step.to}`, step.amount))
      case 'open':
        return this.open(step.owner, step.target, step.amount, now + step.term, now)
      case 'topUp': {
        const c = this.channel(step.owner, step.target)
        return (
          c.expiry > now &&
          this.debit(step.by, step.amount, () => {
            c.deposit += step.amount
          })
        )
      }
      case 'settle':
        return this.settle(step.owner, step.target, step.amount) > 0n
      case 'direct':
        return this.settle(step.owner, step.target, step.amount, this.wallets) > 0n
      case 'batch':
        step.amounts.forEach((amount, owner) => void this.settle(owner, step.target, amount))
        return true
      case 'close':
        return this.end(step.owner, step.target, step.amount)
      case 'reclaim': {
        const c = this.channel(step.owner, step.target)
        return now >= c.expiry && this.end(step.owner, step.target, c.settled)
      }
      case 'wait':
        return true
    }
  }

  private credit(account: string, amount: bigint): void {
    add(this.balances, account, amount)
  }

  private debit(owner: number, amount: bigint, then: () => void): boolean {
    return this.move(this.balances, `o${owner}`, amount, then)
  }

  private move(from: Map<string, bigint>, account: string, amount: bigint, then: () => void): boolean {
    if ((from.get(account) ?? 0n) < amount) return false
    add(from, account, -amount)
    then()
    return true
  }

  private open(owner: number, target: number, amount: bigint, expiry: bigint, now: bigint): boolean {
    const c = this.channel(owner, target)
    if (expiry <= now || expiry < c.expiry) return false
    return this.debit(owner, amount, () => {
      c.deposit += amount
      c.expiry = expiry
    })
  }

  private settle(owner: number, target: number, amount: bigint, into = this.balances): bigint {
    const c = this.channel(owner, target)
    const value = amount < c.deposit ? amount : c.deposit
    if (value <= c.settled) return 0n
    const paid = value - c.settled
    c.settled = value
    add(into, `t${target}`, paid)
    return paid
  }

  private end(owner: number, target: number, final: bigint): boolean {
    const c = this.channel(owner, target)
    if (c.expiry === 0n || final < c.settled || final > c.deposit) return false
    this.credit(`t${target}`, final - c.settled)
    this.credit(`o${owner}`, c.deposit - final)
    Object.assign(c, { deposit: final, settled: final, expiry: 0n, epoch: c.epoch + 1n })
    return true
  }
}

function add(map: Map<string, bigint>, key: string, amount: bigint): void {
  map.set(key, (map.get(key) ?? 0n) + amount)
}
