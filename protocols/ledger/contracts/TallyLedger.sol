// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Deposits} from "./Deposits.sol";
import {ITallyLedger} from "./ITallyLedger.sol";
import {Payouts} from "./Payouts.sol";
import {Channel, Channels} from "./lib/Channels.sol";
import {Locks} from "./lib/Locks.sol";
import {Promises, Scratch} from "./lib/Promises.sol";
import {Rows} from "./lib/Rows.sol";

/// The ledger of Tallystick. What each function promises, the events and the errors stand in ITallyLedger; SPEC.md has the whole.
///
/// Balances holds what accounts have, Deposits is how tokens come in, Payouts says who is credited for a target, and here are the
/// channels between them: read lib/Channels, then _open, _takeRow, _end. All else is who may call them.
contract TallyLedger is Deposits, Payouts {
    using SafeERC20 for IERC20;

    /// Only a struct can be held by reference, which spares the hash of the mapping's key at each use.
    struct Slot {
        Channel channel;
    }

    bytes32 private constant CLOSE_TYPEHASH = keccak256("Close(bytes32 channel,uint96 amount,uint40 deadline,uint24 epoch)");
    uint256 private constant MAX_TERM = 2 * 365 days;

    mapping(bytes32 id => Slot) private _channels;

    constructor(address trustedForwarder) ERC2771Context(trustedForwarder) EIP712("Tallystick", "1") {}

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
    function depositAndOpenWithAuthorization(
        address signer,
        address target,
        address token,
        uint40 expiry,
        Authorization calldata authorization
    ) external {
        bytes32 nonce = keccak256(abi.encode(signer, target, token, expiry, authorization.salt));
        uint256 received = _receive(token, authorization.from, authorization, nonce);
        _open(authorization.from, signer, target, token, received, expiry);
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
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(CLOSE_TYPEHASH, id, amount, deadline, c.epoch())));
        _requireSigner(target, digest, signature);
        (uint256 refund, uint24 epoch) = _end(id, owner, token, amount);
        if (amount > settled) {
            address payout = _creditPayout(target, token, amount - settled);
            emit Settled(target, token, payout, Rows.entry(id, amount));
        }
        emit Closed(id, amount, refund, epoch);
    }

    // ------------------------------------------------------------------------------------------------ settle

    /// @inheritdoc ITallyLedger
    function settle(address target, address token, bytes calldata row) external returns (uint256 paid) {
        bytes32 entry;
        (entry, paid) = _takeOne(target, token, row);
        address payout = _creditPayout(target, token, paid);
        emit Settled(target, token, payout, entry);
    }

    /// @inheritdoc ITallyLedger
    function settleDirect(address token, bytes calldata row) external returns (uint256 paid) {
        address target = _msgSender();
        if (payoutOf(target, token) != target) revert NotThePayout(target, target, token);
        bytes32 entry;
        (entry, paid) = _takeOne(target, token, row);
        emit SettledDirect(entry);
        IERC20(token).safeTransfer(target, paid);
    }

    /// @inheritdoc ITallyLedger
    function settleBatch(address target, address token, bytes calldata rows) external returns (uint256 paid) {
        Scratch scratch = Promises.scratch(_domainSeparatorV4(), target, token);
        bytes32[] memory entries = new bytes32[](rows.length / Rows.MIN_BYTES);
        uint256 count;
        uint256 position;
        uint256 index;
        while (position < rows.length) {
            bytes32 id;
            uint256 settled;
            uint256 more;
            (id, settled, more, position) = _takeRow(scratch, rows, position, index);
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
        if (paid == 0) return 0;
        address payout = _creditPayout(target, token, paid);
        emit BatchSettled(target, token, payout, Rows.cut(entries, count));
    }

    // ------------------------------------------------------------------------------------------------ views

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

    // ------------------------------------------------------------------------------------------------ inside

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
        _credit(owner, token, refund);
    }

    /// Settles a single row, or says why it cannot be.
    function _takeOne(address target, address token, bytes calldata row) private returns (bytes32 entry, uint256 paid) {
        Scratch scratch = Promises.scratch(_domainSeparatorV4(), target, token);
        bytes32 id;
        uint256 settled;
        uint256 end;
        (id, settled, paid, end) = _takeRow(scratch, row, 0, 0);
        if (end != row.length) revert MalformedRows(1);
        if (paid == 0) {
            SkipReason reason = _reasonOf(id);
            if (reason == SkipReason.BadLocks) revert InvalidLocks();
            if (reason == SkipReason.UnknownChannel) revert UnknownChannel(id);
            revert NothingToSettle(id, _channels[id].channel.settled());
        }
        entry = Rows.entry(id, settled);
    }

    /// Raises a channel's settled amount to what the row at `position` is worth; `paid` is zero when it is worth nothing, and
    /// _reasonOf(id) says why. It looks at no expiry: a promise is good until the owner has taken the reservation back.
    function _takeRow(Scratch scratch, bytes calldata rows, uint256 position, uint256 index)
        private
        returns (bytes32 id, uint256 settled, uint256 paid, uint256 next)
    {
        uint256 head;
        (head, next) = Rows.head(rows, position, index);
        address owner;
        uint256 shown;
        bytes32 locksHash;
        if (Rows.hasOwner(head)) (owner, next) = Rows.owner(rows, next, index);
        if (Rows.hasLocks(head)) {
            bytes calldata locks;
            (locks, next) = Rows.locks(rows, next, index);
            bool ok;
            (ok, shown, locksHash) = Locks.worth(locks);
            if (!ok) return (0, 0, 0, next);
        }
        uint96 amount = Rows.amountOf(head);
        id = scratch.channelOf(owner, amount, locksHash, Rows.signature(rows, position));
        Slot storage slot = _channels[id];
        Channel c = slot.channel;
        uint256 before = c.settled();
        unchecked {
            settled = shown + amount; // less than 2^113
            if (settled > c.deposit()) settled = c.deposit();
            if (settled <= before) return (id, 0, 0, next);
            paid = settled - before;
        }
        slot.channel = c.addSettled(paid);
    }

    /// Why _takeRow has just paid nothing from channel `id`; zero is the id of a promise whose locks are not even looked up.
    function _reasonOf(bytes32 id) private view returns (SkipReason) {
        if (id == 0) return SkipReason.BadLocks;
        return _channels[id].channel.isNew() ? SkipReason.UnknownChannel : SkipReason.NothingNew;
    }
}
