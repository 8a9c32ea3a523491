// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// The one storage slot of a channel, from its low bits up: deposit 96 | settled 96 | expiry 40 | epoch 24.
///
/// It is never cleared: an old promise stays dead for ever, and re-opening needs no new slot. `deposit` is all that was ever
/// reserved and not given back, so deposit >= settled, and what lies between is reserved now. Expiry 0: not open.
/// A value and not a struct, so that each use is plainly one read and one write of the slot.
type Channel is uint256;

using Channels for Channel global;

library Channels {
    function deposit(Channel c) internal pure returns (uint96) {
        return uint96(Channel.unwrap(c));
    }

    function settled(Channel c) internal pure returns (uint96) {
        return uint96(Channel.unwrap(c) >> 96);
    }

    function expiry(Channel c) internal pure returns (uint40) {
        return uint40(Channel.unwrap(c) >> 192);
    }

    function epoch(Channel c) internal pure returns (uint24) {
        return uint24(Channel.unwrap(c) >> 232);
    }

    /// Nobody has ever opened it.
    function isNew(Channel c) internal pure returns (bool) {
        return Channel.unwrap(c) == 0;
    }

    function pack(uint96 deposit_, uint96 settled_, uint40 expiry_, uint24 epoch_) internal pure returns (Channel) {
        return Channel.wrap(uint256(deposit_) | uint256(settled_) << 96 | uint256(expiry_) << 192 | uint256(epoch_) << 232);
    }

    /// The same channel with `more` added to what is settled. The caller has checked that it stays within the deposit.
    function addSettled(Channel c, uint256 more) internal pure returns (Channel) {
        unchecked {
            return Channel.wrap(Channel.unwrap(c) + (more << 96)); // deposit has 96 bits too, so nothing is carried into the expiry
        }
    }
}
