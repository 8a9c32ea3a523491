// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title Tallystick's ledger: balances, channels, promises. No owner, no upgrade, no percentage.
///
/// A channel is (owner, signer, target, token); its id is keccak256(abi.encode(owner, signer, target, token)) and it lives for ever.
/// The owner reserves tokens in it, the signer signs cumulative promises, and only the target's payout is ever paid from it.
/// "Open" means that an expiry is set, "live" that this expiry lies ahead.
///
/// Invariants (each has a test):
///  - the tokens that the ledger holds are never less than all balances plus all reservations (deposit - settled);
///  - settled never falls and never exceeds deposit; what is settled once is never paid again, whatever is closed or re-opened;
///  - only the owner's own call makes a channel's expiry later, and nothing makes it earlier but its end: close or reclaim;
///  - only the owner's own call takes a reservation back: after expiry, or with the target's signature on this very epoch.
interface ITallyLedger {
    /// Why a row of a batch was not paid.
    enum SkipReason {
        None,
        /// 1: no channel was ever opened under this signature: it is wrong, or the promise is another chain's or contract's
        UnknownChannel,
        /// 2: the promise is worth no more than what is settled: replayed, older, used up, or the channel is closed
        NothingNew,
        /// 3: more than 64 locks, a lock of more than 1,024 steps, or more steps shown than the lock has
        BadLocks
    }

    /// An EIP-3009 authorization by `from` to pay the ledger. Its nonce is not given: it is the hash of what is done with the money.
    struct Authorization {
        address from;
        uint256 amount;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 salt;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    // ------------------------------------------------------------------------------------------------ events

    /// `amount` is what arrived, which is less than what was sent when the token takes a fee.
    event Deposited(address indexed token, address indexed account, uint256 amount);
    event Withdrawn(address indexed token, address indexed account, address indexed to, uint256 amount);
    event Transferred(address indexed token, address indexed from, address indexed to, uint256 amount);

    /// Opened, topped up or extended by the owner. `deposit` is the channel's new cumulative deposit.
    event Opened(
        bytes32 indexed id, address indexed owner, address indexed target, address signer, address token, uint96 deposit, uint40 expiry
    );
    event ToppedUp(bytes32 indexed id, uint96 deposit);

    /// One promise, or a close, was credited to the balance of `payout`. An entry is the first 20 bytes of the channel's id and the
    /// channel's new settled amount (12 bytes). What the payout let the target keep for a relay is part of the settled amount.
    event Settled(address indexed target, address indexed token, address payout, bytes32 entry);

    /// As Settled, for a payment that was sent to the target's wallet and not to its balance. The token's own log stands beside it.
    event SettledDirect(bytes32 entry);

    /// As Settled, with an entry for each promise of a batch that was paid.
    event BatchSettled(address indexed target, address indexed token, address payout, bytes32[] paidRows);

    /// Somebody settled, or tried to, with a word that hashes `k` >= 1 times to `anchor`. Of a lock that was shown deeper each time, the
    /// largest k counts. Whoever has promised something under the same anchor learns here how much of it is earned.
    event WordShown(bytes32 indexed anchor, bytes32 word, uint16 k);

    /// A row of a batch that was not paid; `reason` is a SkipReason.
    event RowSkipped(address indexed target, address indexed token, uint256 index, uint8 reason);

    /// `epoch` is the channel's new epoch; `refund` went to the owner's balance.
    event Closed(bytes32 indexed id, uint96 settled, uint256 refund, uint24 epoch);
    event Reclaimed(bytes32 indexed id, uint256 refund, uint24 epoch);

    event PayoutProposed(address indexed target, address indexed token, address indexed payout);
    event PayoutAccepted(address indexed target, address indexed token, address indexed payout);
    event MaxRelayFeeSet(address indexed target, address indexed token, address indexed payout, uint96 amount);

    // ------------------------------------------------------------------------------------------------ errors

    /// Signer, target, account or receiver is an address that cannot be meant: zero, or the ledger itself as the receiver of tokens.
    error InvalidAddress(address given);
    error InsufficientBalance(address account, address token, uint256 balance, uint256 needed);
    /// With `amount` more, the balance would not fit 96 bits.
    error BalanceTooLarge(uint256 balance, uint256 amount);
    /// An authorization was taken, and no tokens came.
    error NothingReceived(address token);
    /// With `amount` more, the channel's cumulative deposit would not fit 96 bits.
    error DepositTooLarge(bytes32 id, uint256 amount);
    /// The expiry is not within [earliest, latest]: in the past, sooner than the present one, or more than two years ahead.
    error ExpiryOutOfRange(uint40 expiry, uint256 earliest, uint256 latest);
    error ChannelNotLive(bytes32 id);
    error ChannelNotOpen(bytes32 id);
    error NotExpired(bytes32 id, uint40 expiry);
    /// The channel was ended 2^24 - 1 times; it can never be opened again.
    error EpochsUsedUp(bytes32 id);
    /// The final amount of a close is not within [settled, deposit].
    error AmountOutOfRange(uint96 amount, uint96 settled, uint96 deposit);
    error DeadlinePassed(uint40 deadline);
    /// Not a well-formed signature (64 or 65 bytes, low s, v 27 or 28), or not by the one who must sign.
    error InvalidSignature();
    /// No channel was ever opened under this signature: it is wrong, or the promise is another chain's or contract's.
    error UnknownChannel(bytes32 id);
    error NothingToSettle(bytes32 id, uint96 settled);
    error InvalidLocks();
    /// The rows end inside row `index`, or that row has flags that this version does not know; or a single row has more behind it.
    error MalformedRows(uint256 index);
    error NotThePayout(address caller, address target, address token);
    error NotProposed(address target, address token, address payout);

    // ------------------------------------------------------------------------------------------------ balances

    /// Pulls `amount` from the caller and credits what arrived to `account`. Needs an allowance.
    function deposit(address token, address account, uint256 amount) external;

    /// deposit() with an EIP-2612 permit of the caller. A permit that fails is ignored: the allowance decides (it may have been used by a front-runner).
    function depositWithPermit(address token, address account, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// Credits `account` by an EIP-3009 authorization with the nonce keccak256(abi.encode(account, salt)). Anyone may hand it in.
    function depositWithAuthorization(address token, address account, Authorization calldata authorization) external;

    /// Moves all that lies at depositAddress(account) into the balance of `account`. Anyone may call, as often as tokens come.
    function sweep(address account, address token) external returns (uint256 received);

    /// Where plain transfers for `account` can be sent, before the account has ever made a transaction. Tokens only: no way leads out
    /// for the chain's own coin.
    function depositAddress(address account) external view returns (address);

    /// Sends `amount` of the caller's balance out of the ledger.
    function withdraw(address token, address to, uint256 amount) external;

    /// Moves `amount` of the caller's balance to another account's balance; no token moves.
    function transfer(address token, address to, uint256 amount) external;

    /// What `account` can withdraw now; reservations are not part of it.
    function balanceOf(address account, address token) external view returns (uint256);

    // ------------------------------------------------------------------------------------------------ channels

    /// Reserves `amount` of the caller's balance in its channel, until `expiry` (unix seconds) at least.
    /// On an open channel this is a top-up plus an extension: the expiry is never sooner than before, and at most two years ahead.
    function open(address signer, address target, address token, uint96 amount, uint40 expiry) external;

    /// Pulls `amount` from the caller and reserves what arrived; the balance is not touched.
    function depositAndOpen(address signer, address target, address token, uint96 amount, uint40 expiry) external;

    /// depositAndOpen() with an EIP-2612 permit of the caller for `amount`; a permit that fails is ignored.
    function depositAndOpenWithPermit(
        address signer,
        address target,
        address token,
        uint96 amount,
        uint40 expiry,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// depositAndOpen() for the signer of an EIP-3009 authorization, who is the owner; anyone may hand it in. Its nonce is
    /// keccak256(abi.encode(signer, target, token, expiry, salt)).
    function depositAndOpenWithAuthorization(
        address signer,
        address target,
        address token,
        uint40 expiry,
        Authorization calldata authorization
    ) external;

    /// Anybody adds `amount` of its own balance to a live channel. The expiry stays; what is not settled goes to the owner in the end.
    function topUp(address owner, address signer, address target, address token, uint96 amount) external;

    /// From the expiry on the owner takes what is not settled back into its balance. Ends the channel's epoch.
    function reclaim(address signer, address target, address token) external;

    /// Ends the channel's epoch at once: pays `amount - settled` to the target's payout and the rest to the owner's balance.
    /// The caller is the owner; `signature` is the target's on Close(channel, amount, deadline, epoch).
    function close(address signer, address target, address token, uint96 amount, uint40 deadline, bytes calldata signature) external;

    // ------------------------------------------------------------------------------------------------ settle

    /// Pays min(value, deposit) - settled of one promise to the target's payout, where value = amount + all shown steps of unexpired locks.
    /// Anyone may call.
    ///
    /// A row: flags 1 | amount 12 | r 32 | vs 32 | [owner 20, flag 1] | [count 1 | count locks of 53 bytes, flag 2].
    /// `owner` is the one that the promise names; without flag 1 it names none, which means the signer itself.
    /// The locks are all those of the promise in its order: word 32 | k 2 | unit 12 | steps 2 | expiry 5, where hashing `word` k times
    /// gives the anchor.
    function settle(address target, address token, bytes calldata row) external returns (uint256 paid);

    /// settle() for the caller as the target, sent to its wallet instead of its balance. Only a target that is its own payout can do so;
    /// another payout joins settle() and withdraw() by multicall.
    function settleDirect(address token, bytes calldata row) external returns (uint256 paid);

    /// Settles promises of many owners to one target in one token: rows one after the other. A row that cannot be paid is skipped and
    /// reported. Only rows that end early, or unknown flags, revert. Returns 0 when no row pays.
    function settleBatch(address target, address token, bytes calldata rows) external returns (uint256 paid);

    // ------------------------------------------------------------------------------------------------ payout

    /// The payout in force of `target` for `token`, at first the target itself, proposes another one (zero takes a proposal back).
    function proposePayout(address target, address token, address payout) external;

    /// The proposed payout accepts by its own call. From now on only it can change the payout of `target` for `token`.
    function acceptPayout(address target, address token) external;

    /// The proposed payout accepts by its signature on Payout(target, token, payout, nonce, deadline), handed in by anyone. A payout that
    /// has code is asked by EIP-1271.
    function acceptPayoutWithSignature(address target, address token, address payout, uint40 deadline, bytes calldata signature) external;

    /// The payout in force lets the target keep up to `amount` of each settle, batch or close in `token`, to pay a relay with.
    /// The permission belongs to this payout: a successor starts at zero.
    function setMaxRelayFee(address target, address token, uint96 amount) external;

    /// Who is credited when `target` is paid in `token`: itself until another payout has accepted.
    function payoutOf(address target, address token) external view returns (address);

    /// The payout that could accept now, or zero.
    function proposedPayoutOf(address target, address token) external view returns (address);

    /// The nonce that the next Payout signature must carry; each acceptance raises it.
    function payoutNonce(address target, address token) external view returns (uint256);

    /// How much of each settle `target` keeps under the payout in force.
    function maxRelayFee(address target, address token) external view returns (uint96);

    // ------------------------------------------------------------------------------------------------ views

    /// `deposit` and `settled` are cumulative over the channel's life; deposit - settled is reserved now. expiry 0: not open.
    function channel(bytes32 id) external view returns (uint96 deposit, uint96 settled, uint40 expiry, uint24 epoch);

    function channelId(address owner, address signer, address target, address token) external pure returns (bytes32);

    /// The EIP-712 domain separator of name "Tallystick", version "1", this chain and this contract.
    function domainSeparator() external view returns (bytes32);
}
