// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ITallyLedger} from "./ITallyLedger.sol";
import {Channel, Channels} from "./lib/Channels.sol";
import {Locks} from "./lib/Locks.sol";
import {Promises, Scratch} from "./lib/Promises.sol";
import {Rows} from "./lib/Rows.sol";

/// The ledger of Tallystick. What each function promises, the events and the errors stand in ITallyLedger; SPEC.md has the whole.
///
/// Read it in this order: Channel, _open, _take, _end, _creditPayout; all else is who may call them.
contract TallyLedger is ITallyLedger, ERC2771Context, Multicall, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// Only a struct can be held by reference, which spares the hash of the mapping's key at each use.
    struct Slot {
        Channel channel;
    }

    struct Payout {
        address current; // zero: the target itself
        address proposed;
        uint256 nonce;
    }

    bytes32 private constant CLOSE_TYPEHASH = keccak256("Close(bytes32 channel,uint96 amount,uint40 deadline,uint24 epoch)");
    bytes32 private constant PAYOUT_TYPEHASH = keccak256("Payout(address target,address payout,uint256 nonce,uint40 deadline)");
    uint256 private constant MAX_TERM = 2 * 365 days;

    mapping(bytes32 id => Slot) private _channels;
    mapping(address account => mapping(address token => uint256)) private _balances;
    mapping(address target => Payout) private _payouts;
    mapping(address payout => mapping(address target => mapping(address token => uint96))) private _maxRelayFees;

    constructor(address trustedForwarder) ERC2771Context(trustedForwarder) EIP712("Tallystick", "1") {}

    // ------------------------------------------------------------------------------------------------ balances

    /// @inheritdoc ITallyLedger
    function deposit(address token, address account, uint256 amount) public {
        if (account == address(0)) revert InvalidAddress(account);
        uint256 received = _pull(token, account, amount);
        _balances[account][token] += received;
    }

    /// @inheritdoc ITallyLedger
    function depositWithPermit(address token, address account, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        _tryPermit(token, amount, deadline, v, r, s);
        deposit(token, account, amount);
    }

    /// @inheritdoc ITallyLedger
    function withdraw(address token, address to, uint256 amount) external {
        if (to == address(0) || to == address(this)) revert InvalidAddress(to);
        address account = _msgSender();
        _debit(account, token, amount);
        emit Withdrawn(token, account, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc ITallyLedger
    function transfer(address token, address to, uint256 amount) external {
        if (to == address(0)) revert InvalidAddress(to);
        address account = _msgSender();
        _debit(account, token, amount);
        _balances[to][token] += amount;
        emit Transferred(token, account, to, amount);
    }

    // ------------------------------------------------------------------------------------------------ channels

    /// @inheritdoc ITallyLedger
    function open(address signer, address target, address token, uint96 amount, uint40 expiry) external {
        address owner = _msgSender();
        _debit(owner, token, amount);
        _open(owner, signer, target, token, amount, expiry);
    }

    /// @inheritdoc ITallyLedger
    function depositAndOpen(address signer, address target, address token, uint96 amount, uint40 expiry) public {
        address owner = _msgSender();
        uint256 received = _pull(token, owner, amount);
        _open(owner, signer, target, token, received, expiry);
    }

    /// @inheritdoc ITallyLedger
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
    ) external {
        _tryPermit(token, amount, deadline, v, r, s);
        depositAndOpen(signer, target, token, amount, expiry);
    }

    /// @inheritdoc ITallyLedger
    function topUp(address owner, address signer, address target, address token, uint96 amount) external {
        bytes32 id = channelId(owner, signer, target, token);
        uint40 expiry = _channels[id].channel.expiry();
        // an expired channel is refused: what is added to it would be a gift to its owner
        if (expiry <= block.timestamp) revert ChannelNotLive(id);
        _debit(_msgSender(), token, amount);
        emit ToppedUp(id, _reserve(id, amount, expiry));
    }

    /// @inheritdoc ITallyLedger
    function reclaim(address signer, address target, address token) external {
        address owner = _msgSender();
        bytes32 id = channelId(owner, signer, target, token);
        Channel c = _channels[id].channel;
        if (block.timestamp < c.expiry()) revert NotExpired(id, c.expiry());
        (uint256 refund, uint24 epoch) = _end(id, owner, token, c.settled());
        emit Reclaimed(id, refund, epoch);
    }

    /// @inheritdoc ITallyLedger
    function close(address signer, address target, address token, uint96 amount, uint40 deadline, bytes calldata signature) external {
        address owner = _msgSender();
        bytes32 id = channelId(owner, signer, target, token);
        Channel c = _channels[id].channel;
        uint96 settled = c.settled();
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
        if (amount < settled || amount > c.deposit()) revert AmountOutOfRange(amount, settled, c.deposit());
        // the epoch is signed, or this agreement would also end the channel's next reservation
        _requireSigner(target, keccak256(abi.encode(CLOSE_TYPEHASH, id, amount, deadline, c.epoch())), signature);
        (uint256 refund, uint24 epoch) = _end(id, owner, token, amount);
        if (amount > settled) _creditPayout(target, token, amount - settled, abi.encodePacked(Rows.entry(id, amount)));
        emit Closed(id, amount, refund, epoch);
    }

    // ------------------------------------------------------------------------------------------------ settle

    /// @inheritdoc ITallyLedger
    function settle(address owner, address target, address token, uint96 amount, bytes calldata locks, bytes calldata signature)
        external
        returns (uint256 paid)
    {
        (bool ok, bytes32 r, bytes32 vs) = Promises.compact(signature);
        if (!ok) revert InvalidSignature();
        Scratch scratch = Promises.scratch(_domainSeparatorV4(), target, token);
        bytes32 id;
        uint256 settled;
        (id, settled, paid) = _take(scratch, owner, amount, locks, r, vs);
        if (paid == 0) {
            SkipReason reason = _reasonOf(id);
            if (reason == SkipReason.BadLocks) revert InvalidLocks();
            if (reason == SkipReason.UnknownChannel) revert UnknownChannel(id);
            revert NothingToSettle(id, _channels[id].channel.settled());
        }
        _creditPayout(target, token, paid, abi.encodePacked(Rows.entry(id, settled)));
    }

    /// @inheritdoc ITallyLedger
    function settleBatch(address target, address token, bytes calldata rows) external returns (uint256 paid) {
        Scratch scratch = Promises.scratch(_domainSeparatorV4(), target, token);
        bytes32[] memory entries = new bytes32[](rows.length / Rows.MIN_BYTES);
        uint256 count;
        uint256 position;
        uint256 index;
        while (position < rows.length) {
            address owner;
            uint96 amount;
            bytes calldata locks;
            bytes32 r;
            bytes32 vs;
            (owner, amount, locks, r, vs, position) = Rows.read(rows, position, index);
            (bytes32 id, uint256 settled, uint256 more) = _take(scratch, owner, amount, locks, r, vs);
            // unchecked: counters of rows, and a sum of 96-bit amounts
            unchecked {
                if (more != 0) {
                    paid += more;
                    entries[count++] = Rows.entry(id, settled);
                } else {
                    emit RowSkipped(target, token, index, uint8(_reasonOf(id)));
                }
                ++index;
            }
        }
        if (paid != 0) _creditPayout(target, token, paid, Rows.pack(entries, count));
    }

    // ------------------------------------------------------------------------------------------------ payout

    /// @inheritdoc ITallyLedger
    function proposePayout(address payout) external {
        proposePayoutFor(_msgSender(), payout);
    }

    /// @inheritdoc ITallyLedger
    function proposePayoutFor(address target, address payout) public {
        _requirePayout(target);
        _payouts[target].proposed = payout;
        emit PayoutProposed(target, payout);
    }

    /// @inheritdoc ITallyLedger
    function acceptPayout(address target) external {
        _acceptPayout(target, _msgSender());
    }

    /// @inheritdoc ITallyLedger
    function acceptPayoutWithSignature(address target, address payout, uint40 deadline, bytes calldata signature) external {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
        _requireSigner(payout, keccak256(abi.encode(PAYOUT_TYPEHASH, target, payout, _payouts[target].nonce, deadline)), signature);
        _acceptPayout(target, payout);
    }

    /// @inheritdoc ITallyLedger
    function setMaxRelayFee(address target, address token, uint96 amount) external {
        address payout = _requirePayout(target);
        _maxRelayFees[payout][target][token] = amount;
        emit MaxRelayFeeSet(target, token, payout, amount);
    }

    // ------------------------------------------------------------------------------------------------ views

    /// @inheritdoc ITallyLedger
    function balanceOf(address account, address token) external view returns (uint256) {
        return _balances[account][token];
    }

    /// @inheritdoc ITallyLedger
    function payoutOf(address target) public view returns (address) {
        address payout = _payouts[target].current;
        return payout == address(0) ? target : payout;
    }

    /// @inheritdoc ITallyLedger
    function proposedPayoutOf(address target) external view returns (address) {
        return _payouts[target].proposed;
    }

    /// @inheritdoc ITallyLedger
    function payoutNonce(address target) external view returns (uint256) {
        return _payouts[target].nonce;
    }

    /// @inheritdoc ITallyLedger
    function maxRelayFee(address target, address token) external view returns (uint96) {
        return _maxRelayFees[payoutOf(target)][target][token];
    }

    /// @inheritdoc ITallyLedger
    function channel(bytes32 id) external view returns (uint96, uint96, uint40, uint24) {
        Channel c = _channels[id].channel;
        return (c.deposit(), c.settled(), c.expiry(), c.epoch());
    }

    /// @inheritdoc ITallyLedger
    function channelId(address owner, address signer, address target, address token) public pure returns (bytes32) {
        return keccak256(abi.encode(owner, signer, target, token));
    }

    /// @inheritdoc ITallyLedger
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    // ------------------------------------------------------------------------------------------------ inside: tokens and balances

    /// Takes tokens from the caller, and from nobody else, and answers what arrived.
    /// This is the one place where tokens move before the state is written, since what arrives decides what is written. Hence the
    /// guard: a token that calls out while it moves could else count an inner deposit a second time in the outer difference.
    function _pull(address token, address account, uint256 amount) private nonReentrant returns (uint256 received) {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(_msgSender(), address(this), amount);
        received = IERC20(token).balanceOf(address(this)) - before;
        emit Deposited(token, account, received);
    }

    /// A permit that fails is no failure: somebody may have handed it in first, and then the allowance is there.
    function _tryPermit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) private {
        try IERC20Permit(token).permit(_msgSender(), address(this), amount, deadline, v, r, s) {} catch {}
    }

    function _debit(address account, address token, uint256 amount) private {
        uint256 balance = _balances[account][token];
        if (balance < amount) revert InsufficientBalance(account, token, balance, amount);
        unchecked {
            _balances[account][token] = balance - amount; // checked just above
        }
    }

    // ------------------------------------------------------------------------------------------------ inside: channels

    function _open(address owner, address signer, address target, address token, uint256 amount, uint40 expiry) private {
        if (signer == address(0) || target == address(0)) revert InvalidAddress(address(0));
        bytes32 id = channelId(owner, signer, target, token);
        Channel c = _channels[id].channel;
        if (c.epoch() == type(uint24).max) revert EpochsUsedUp(id);
        uint256 earliest = c.expiry() > block.timestamp ? c.expiry() : block.timestamp + 1;
        uint256 latest = block.timestamp + MAX_TERM;
        if (expiry < earliest || expiry > latest) revert ExpiryOutOfRange(expiry, earliest, latest);
        emit Opened(id, owner, target, signer, token, _reserve(id, amount, expiry), expiry);
    }

    /// Adds `amount` to a channel's deposit and sets its expiry.
    function _reserve(bytes32 id, uint256 amount, uint40 expiry) private returns (uint96 total) {
        Channel c = _channels[id].channel;
        if (amount > type(uint96).max - c.deposit()) revert DepositTooLarge(id, amount);
        total = c.deposit() + uint96(amount);
        _channels[id].channel = Channels.pack(total, c.settled(), expiry, c.epoch());
    }

    /// Ends the epoch of an open channel with `settled` as its final amount; what is above goes to the owner's balance.
    function _end(bytes32 id, address owner, address token, uint96 settled) private returns (uint256 refund, uint24 epoch) {
        Channel c = _channels[id].channel;
        if (c.expiry() == 0) revert ChannelNotOpen(id);
        refund = c.deposit() - settled;
        epoch = c.epoch() + 1; // cannot overflow: a channel whose epochs are used up is not opened
        _channels[id].channel = Channels.pack(settled, settled, 0, epoch);
        _balances[owner][token] += refund;
    }

    /// Raises a channel's settled amount to what the promise is worth; `paid` is zero when it is worth nothing, and _reasonOf(id)
    /// says why. It looks at no expiry: a promise is good until the owner has taken the reservation back.
    function _take(Scratch scratch, address owner, uint96 amount, bytes calldata locks, bytes32 r, bytes32 vs)
        private
        returns (bytes32 id, uint256 settled, uint256 paid)
    {
        (bool ok, uint256 value, bytes32 locksHash) = Locks.worth(locks);
        if (!ok) return (0, 0, 0);
        id = scratch.channelOf(owner, amount, locksHash, r, vs);
        Slot storage slot = _channels[id];
        Channel c = slot.channel;
        uint256 before = c.settled();
        unchecked {
            settled = value + amount; // less than 2^113
            if (settled > c.deposit()) settled = c.deposit();
            if (settled <= before) return (id, 0, 0);
            paid = settled - before;
        }
        slot.channel = c.addSettled(paid);
    }

    /// Why _take has just paid nothing from channel `id`; zero is the id of a promise whose locks are not even looked up.
    function _reasonOf(bytes32 id) private view returns (SkipReason) {
        if (id == 0) return SkipReason.BadLocks;
        return _channels[id].channel.isNew() ? SkipReason.UnknownChannel : SkipReason.NothingNew;
    }

    // ------------------------------------------------------------------------------------------------ inside: payout

    /// Credits what was paid to the target's payout, less what the payout lets the target keep for a relay.
    function _creditPayout(address target, address token, uint256 paid, bytes memory rows) private {
        address payout = payoutOf(target);
        uint256 rest = paid;
        if (payout != target) {
            uint256 fee = _maxRelayFees[payout][target][token];
            if (fee != 0) {
                if (fee > paid) fee = paid;
                _balances[target][token] += fee;
                rest -= fee;
            }
        }
        _balances[payout][token] += rest;
        emit Settled(target, token, payout, paid, rows);
    }

    function _acceptPayout(address target, address payout) private {
        Payout storage p = _payouts[target];
        if (payout == address(0) || p.proposed != payout) revert NotProposed(target, payout);
        (p.current, p.proposed) = (payout, address(0));
        ++p.nonce;
        emit PayoutAccepted(target, payout);
    }

    function _requirePayout(address target) private view returns (address payout) {
        payout = payoutOf(target);
        if (_msgSender() != payout) revert NotThePayout(_msgSender(), target);
    }

    function _requireSigner(address expected, bytes32 structHash, bytes calldata signature) private view {
        (bool ok, bytes32 r, bytes32 vs) = Promises.compact(signature);
        if (!ok) revert InvalidSignature();
        (address signer, ECDSA.RecoverError err,) = ECDSA.tryRecover(_hashTypedDataV4(structHash), r, vs);
        if (err != ECDSA.RecoverError.NoError || signer != expected) revert InvalidSignature();
    }

    // ------------------------------------------------------------------------------------------------ who calls (EIP-2771)

    function _msgSender() internal view override(Context, ERC2771Context) returns (address) {
        return ERC2771Context._msgSender();
    }

    function _msgData() internal view override(Context, ERC2771Context) returns (bytes calldata) {
        return ERC2771Context._msgData();
    }

    function _contextSuffixLength() internal view override(Context, ERC2771Context) returns (uint256) {
        return ERC2771Context._contextSuffixLength();
    }
}
