/** Every way in which the contracts are broken on purpose: one place each, and what the proof says of it is its own matter. */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
}

export const MUTANTS: readonly Mutant[] = [
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
    from: '_credit(payout, token, paid - fee);',
    to: '_credit(_msgSender(), token, paid - fee);',
  },
  {
    name: 'the relay fee is not taken off',
    file: 'Payouts',
    from: '_credit(payout, token, paid - fee);',
    to: '_credit(payout, token, paid);',
  },
  { name: 'the relay fee may exceed what is paid', file: 'Payouts', from: 'if (fee > paid) fee = paid;', to: '' },
  {
    name: 'a direct payment passes by the payout',
    file: 'TallyLedger',
    from: 'if (payoutOf(target, token) != target) revert NotThePayout(target, target, token);',
    to: '',
  },
  {
    name: 'a single row may have more behind it',
    file: 'TallyLedger',
    from: 'if (end != row.length) revert MalformedRows(1);',
    to: '',
  },
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
  { name: 'locks without limit', file: 'lib/Locks', from: 'if (count > MAX_LOCKS) return (false, 0, 0);', to: '' },
  {
    name: 'a lock without shown steps is not hashed',
    file: 'lib/Locks',
    from: '_write(signed, i * SIGNED_BYTES, anchor, shown, start + 34);\n                if (k == 0) continue;',
    to: 'if (k == 0) continue;\n                _write(signed, i * SIGNED_BYTES, anchor, shown, start + 34);',
  },
  // reservations
  { name: 'epoch is not raised', file: 'TallyLedger', from: 'epoch = c.epoch() + 1;', to: 'epoch = c.epoch();' },
  {
    name: 'epoch is not signed',
    file: 'TallyLedger',
    from: 'amount, deadline, c.epoch()))',
    to: 'amount, deadline, uint24(0)))',
  },
  {
    name: 'epochs without end',
    file: 'TallyLedger',
    from: 'if (c.epoch() == type(uint24).max) revert EpochsUsedUp(id);',
    to: '',
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
    from: '_requireSigner(target, digest',
    to: '_requireSigner(owner, digest',
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
    name: 'a deposit is cut to 96 bits',
    file: 'TallyLedger',
    from: 'if (amount > type(uint96).max - c.deposit()) revert DepositTooLarge(id, amount);\n        total = c.deposit() + uint96(amount);',
    to: 'unchecked {\n            total = c.deposit() + uint96(amount);\n        }',
  },
  {
    name: 'anybody signs for the named owner',
    file: 'lib/Promises',
    from: 'mstore(add(m, 0x20), signer)',
    to: 'mstore(add(m, 0x20), owner)',
  },
  // balances and arrivals
  {
    name: 'a balance may be overdrawn',
    file: 'Balances',
    from: 'if (a.balance() < amount) revert InsufficientBalance(account, token, a.balance(), amount);',
    to: '',
  },
  {
    name: 'a balance runs over into the payout',
    file: 'lib/Accounts',
    from: 'if (amount > type(uint96).max - a.balance()) revert ITallyLedger.BalanceTooLarge(a.balance(), amount);',
    to: '',
  },
  {
    name: 'what was sent is credited, not what arrived',
    file: 'Deposits',
    from: 'received = _arrived(token, account, before);\n    }\n\n    /// Takes tokens from whoever',
    to: 'received = _arrived(token, account, before) * 0 + amount;\n    }\n\n    /// Takes tokens from whoever',
  },
  {
    name: 'a deposit inside a deposit',
    file: 'Deposits',
    from: 'uint256 amount) internal nonReentrant returns',
    to: 'uint256 amount) internal returns',
  },
  {
    name: 'who sweeps is credited',
    file: 'Deposits',
    from: '_credit(account, token, received);',
    to: '_credit(_msgSender(), token, received);',
  },
  {
    name: 'anybody empties a deposit box',
    file: 'DepositBox',
    from: 'if (msg.sender != _ledger) revert NotTheLedger();',
    to: '',
  },
  {
    name: 'an authorization names no account',
    file: 'Deposits',
    from: 'keccak256(abi.encode(account, authorization.salt))',
    to: 'keccak256(abi.encode(_msgSender(), authorization.salt))',
  },
  {
    name: 'an authorization names no signer',
    file: 'TallyLedger',
    from: 'abi.encode(signer, target, token, expiry, authorization.salt)',
    to: 'abi.encode(authorization.from, target, token, expiry, authorization.salt)',
  },
  { name: 'silence is an authorization', file: 'Deposits', from: 'if (received == 0) revert NothingReceived(token);', to: '' },
  // payouts and signatures
  {
    name: 'anybody proposes a payout',
    file: 'Payouts',
    from: 'if (caller != payout) revert NotThePayout(caller, target, token);',
    to: '',
  },
  { name: 'anybody accepts to be the payout', file: 'Payouts', from: ' || p.payout != payout', to: '' },
  { name: 'a proposal is not used up', file: 'Payouts', from: 'p.payout = address(0);', to: '' },
  { name: 'the nonce of an acceptance stays', file: 'Payouts', from: '++p.nonce;', to: '' },
  { name: 'another may sign', file: 'Payouts', from: ' || signer != expected', to: '' },
  {
    name: 'a payout with code accepts by anybody',
    file: 'Payouts',
    from: 'else if (!SignatureChecker.isValidERC1271SignatureNowCalldata(payout, digest, signature)) revert InvalidSignature();',
    to: '',
  },
  { name: 'a failing recovery lends a signer', file: 'lib/Promises', from: 'mstore(0x00, 0)', to: '' },
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
    from: 'if (next > rows.length) revert ITallyLedger.MalformedRows(index);\n        word',
    to: 'word',
  },
  {
    name: 'unknown flags are read',
    file: 'lib/Rows',
    from: 'if (word >> 248 > (HAS_OWNER | HAS_LOCKS)) revert ITallyLedger.MalformedRows(index);',
    to: '',
  },
  {
    name: 'the forwarder is not asked for',
    file: 'Balances',
    from: 'isTrustedForwarder(msg.sender) ? ERC2771Context._msgSender() : msg.sender',
    to: 'msg.sender',
  },
  // registry
  {
    name: 'a stake is paid out twice',
    file: 'ServiceRegistry',
    from: 'e.status = Status.Withdrawn;\n        _entries[id] = e;',
    to: 'e.status = Status.Withdrawn;',
  },
  {
    name: 'a stake a second early',
    file: 'ServiceRegistry',
    from: 'block.timestamp < e.releaseAt',
    to: 'block.timestamp + 1 < e.releaseAt',
  },
  {
    name: 'anybody changes an entry',
    file: 'ServiceRegistry',
    from: 'if (e.provider != _msgSender()) revert NotTheProvider(id, _msgSender());',
    to: '',
  },
  {
    name: 'an id is used again',
    file: 'ServiceRegistry',
    from: 'if (e.status != Status.Unknown) revert AlreadyRegistered(id);',
    to: '',
  },
  {
    name: 'a fee is no matter',
    file: 'ServiceRegistry',
    from: 'if (received != _stakeAmount) revert StakeNotReceived(received, _stakeAmount);',
    to: '',
  },
]
