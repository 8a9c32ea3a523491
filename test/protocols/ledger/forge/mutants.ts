/**
 * Proves that the proof can fail: each line below breaks the contract in one place, and the campaign, or a fuzz test, must notice.
 *
 *   node test/protocols/ledger/forge/mutants.ts          all, and a table
 *   node test/protocols/ledger/forge/mutants.ts epoch    those whose name has this word
 */
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { forgeTest, ROOT, type TestResult } from './forge.ts'

interface Mutant {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
}

const MUTANTS: readonly Mutant[] = [
  // settling
  { name: 'settled is not stored', file: 'TallyLedger', from: 'slot.channel = c.addSettled(paid);', to: '' },
  {
    name: 'the whole value is paid, not the difference',
    file: 'TallyLedger',
    from: 'paid = settled - before;',
    to: 'paid = settled;',
  },
  { name: 'no cap at the deposit', file: 'TallyLedger', from: 'if (settled > c.deposit()) settled = c.deposit();', to: '' },
  {
    name: 'who hands in is credited',
    file: 'Payouts',
    from: '_credit(payout, token, rest);',
    to: '_credit(_msgSender(), token, rest);',
  },
  { name: 'the relay fee is not taken off', file: 'Payouts', from: 'rest -= fee;', to: '' },
  // locks
  {
    name: 'the expiry of locks is ignored',
    file: 'lib/Locks',
    from: 'if (expiry == 0 || expiry > block.timestamp) value',
    to: 'value',
  },
  {
    name: 'a lock counts in the second of its expiry',
    file: 'lib/Locks',
    from: 'expiry > block.timestamp)',
    to: 'expiry >= block.timestamp)',
  },
  {
    name: 'more steps may be shown than the lock has',
    file: 'lib/Locks',
    from: 'steps > MAX_STEPS || k > steps',
    to: 'steps > MAX_STEPS',
  },
  { name: 'steps without limit', file: 'lib/Locks', from: 'steps > MAX_STEPS || k > steps', to: 'k > steps' },
  { name: 'locks without limit', file: 'lib/Locks', from: ' || count > MAX_LOCKS', to: '' },
  // reservations
  { name: 'epoch is not raised', file: 'TallyLedger', from: 'epoch = c.epoch() + 1;', to: 'epoch = c.epoch();' },
  {
    name: 'epoch is not signed',
    file: 'TallyLedger',
    from: 'amount, deadline, c.epoch()))',
    to: 'amount, deadline, uint24(0)))',
  },
  {
    name: 'refund without what is settled',
    file: 'TallyLedger',
    from: 'refund = c.deposit() - settled;',
    to: 'refund = c.deposit();',
  },
  {
    name: 'reclaim at any time',
    file: 'TallyLedger',
    from: 'if (block.timestamp < c.expiry()) revert',
    to: 'if (c.expiry() == type(uint40).max) revert',
  },
  {
    name: 'reclaim a second early',
    file: 'TallyLedger',
    from: 'block.timestamp < c.expiry()',
    to: 'block.timestamp + 1 < c.expiry()',
  },
  {
    name: 'reclaim a second late',
    file: 'TallyLedger',
    from: 'block.timestamp < c.expiry()',
    to: 'block.timestamp <= c.expiry()',
  },
  {
    name: 'the owner signs the close',
    file: 'TallyLedger',
    from: '_requireSigner(target, keccak256',
    to: '_requireSigner(owner, keccak256',
  },
  {
    name: 'close after its deadline',
    file: 'TallyLedger',
    from: 'if (block.timestamp > deadline) revert DeadlinePassed(deadline);',
    to: '',
  },
  { name: 'an expiry can be made sooner', file: 'TallyLedger', from: 'expiry < earliest || ', to: '' },
  { name: 'an expiry without limit', file: 'TallyLedger', from: ' || expiry > latest', to: '' },
  {
    name: 'an expired channel takes a top-up',
    file: 'TallyLedger',
    from: 'if (expiry <= block.timestamp) revert ChannelNotLive(id);',
    to: '',
  },
  { name: 'opening is for nothing', file: 'TallyLedger', from: '_debit(owner, token, amount);', to: '' },
  {
    name: 'anybody signs for the named owner',
    file: 'lib/Promises',
    from: 'mstore(add(m, 0x20), signer)',
    to: 'mstore(add(m, 0x20), owner)',
  },
  // balances
  {
    name: 'a balance may be overdrawn',
    file: 'Balances',
    from: 'if (balance < amount) revert InsufficientBalance(account, token, balance, amount);',
    to: '',
  },
  {
    name: 'what was sent is credited, not what arrived',
    file: 'Balances',
    from: 'received = IERC20(token).balanceOf(address(this)) - before;',
    to: 'received = amount;',
  },
  { name: 'a deposit inside a deposit', file: 'Balances', from: 'internal nonReentrant returns', to: 'internal returns' },
  // payouts and signatures
  {
    name: 'anybody proposes a payout',
    file: 'Payouts',
    from: 'if (_msgSender() != payout) revert NotThePayout(_msgSender(), target);',
    to: '',
  },
  { name: 'anybody accepts to be the payout', file: 'Payouts', from: ' || p.proposed != payout', to: '' },
  { name: 'the nonce of an acceptance stays', file: 'Payouts', from: '++p.nonce;', to: '' },
  { name: 'another may sign', file: 'Payouts', from: ' || signer != expected', to: '' },
  { name: 'a failing recovery lends the signer before', file: 'lib/Promises', from: 'mstore(0x00, 0)', to: '' },
  {
    name: 'a high s is taken',
    file: 'lib/Promises',
    from: 'mul(add(27, shr(255, vs)), iszero(gt(s, halfOrder)))',
    to: 'add(27, shr(255, vs))',
  },
  { name: 'any v is taken', file: 'lib/Promises', from: '(v == 27 || v == 28) && ', to: '' },
  {
    name: 'rows may end early',
    file: 'lib/Rows',
    from: 'if (next > rows.length) revert ITallyLedger.MalformedRows(index);\n            uint256 head',
    to: 'uint256 head',
  },
]

const CONTRACTS = 'protocols/ledger/contracts'
const FORGE = 'test/protocols/ledger/forge'
const workplace = join(ROOT, 'node_modules/.cache/forge/mutants')
const env = {
  // node takes no TypeScript from below node_modules, so the compiler is called where it really lies
  FOUNDRY_SOLC: join(ROOT, FORGE, 'solc.ts'),
  FOUNDRY_OUT: 'out',
  FOUNDRY_CACHE_PATH: 'cache',
  FOUNDRY_INVARIANT_RUNS: '40',
  FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT: '1',
}

/** A copy of the contracts and the proof, in which things may be broken. */
function prepare(): void {
  rmSync(workplace, { recursive: true, force: true })
  mkdirSync(workplace, { recursive: true })
  for (const folder of [CONTRACTS, FORGE]) cpSync(join(ROOT, folder), join(workplace, folder), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(workplace, 'node_modules'))
}

/** Puts the mutant into the copy and answers how to take it out again. @throws Error when the source has moved on */
function insert({ name, file, from, to }: Mutant): () => void {
  const path = join(workplace, CONTRACTS, `${file}.sol`)
  const source = readFileSync(path, 'utf8')
  if (source.split(from).length !== 2) throw new Error(`${name}: ${file}.sol does not hold exactly once: ${from}`)
  writeFileSync(
    path,
    source.replace(from, () => to),
  )
  return () => writeFileSync(path, source)
}

function describeFailures(results: readonly TestResult[]): string {
  return results
    .map(({ name, reason }) => (name.startsWith('invariant_') ? reason.slice(0, reason.indexOf(' ')) : name.split('(')[0]))
    .join(', ')
}

/** What notices the mutant: the campaign, or else the fuzz tests; undefined when nothing does. */
function hunt(mutant: Mutant): string | undefined {
  const restore = insert(mutant)
  try {
    for (const which of [
      ['--match-test', 'invariant_'],
      ['--no-match-test', 'invariant_'],
    ]) {
      const failures = forgeTest(which, env, workplace).filter(({ passed }) => !passed)
      if (failures.length > 0) return describeFailures(failures)
    }
    return undefined
  } finally {
    restore()
  }
}

const word = process.argv[2] ?? ''
prepare()
if (forgeTest([], { ...env, FOUNDRY_INVARIANT_RUNS: '4' }, workplace).some(({ passed }) => !passed))
  throw new Error('the proof fails without a mutant')
let survivors = 0
process.stdout.write('| mutant | noticed by |\n| --- | --- |\n')
for (const mutant of MUTANTS.filter(({ name }) => name.includes(word))) {
  const by = hunt(mutant)
  if (by === undefined) survivors++
  process.stdout.write(`| ${mutant.name} | ${by ?? '**nothing**'} |\n`)
}
process.stdout.write(`${survivors} survivors\n`)
process.exitCode = survivors === 0 ? 0 : 1
