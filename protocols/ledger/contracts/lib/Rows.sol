// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../ITallyLedger.sol";
import {Locks} from "./Locks.sol";

/// The packed rows in which promises are settled, and the entries of their logs.
///
/// A row:  flags 1 | amount 12 | r 32 | vs 32 | [owner 20] | [count 1 | count * 53 bytes of shown locks]
/// Everything is read from the argument itself, and every end is compared with its length first: a row that ends early reverts, it never
/// runs on into what follows in the calldata (another argument, or the sender that a forwarder appends).
library Rows {
    uint256 internal constant MIN_BYTES = 77;
    uint256 private constant HAS_OWNER = 1;
    uint256 private constant HAS_LOCKS = 2;

    /// The part that every row has: its first word (flags and amount) and where that part ends.
    function head(bytes calldata rows, uint256 position, uint256 index) internal pure returns (uint256 word, uint256 next) {
        unchecked {
            next = position + MIN_BYTES; // positions in calldata cannot overflow
        }
        if (next > rows.length) revert ITallyLedger.MalformedRows(index);
        word = uint256(_word(rows, position));
        if (word >> 248 > (HAS_OWNER | HAS_LOCKS)) revert ITallyLedger.MalformedRows(index);
    }

    function amountOf(uint256 word) internal pure returns (uint96) {
        return uint96(word >> 152);
    }

    function hasOwner(uint256 word) internal pure returns (bool) {
        return word >> 248 & HAS_OWNER != 0;
    }

    function hasLocks(uint256 word) internal pure returns (bool) {
        return word >> 248 & HAS_LOCKS != 0;
    }

    /// Where in the calldata the signature of the row at `position` begins. head() has checked that the row has one.
    function signature(bytes calldata rows, uint256 position) internal pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := add(add(rows.offset, position), 13)
        }
    }

    /// The owner at `position`, and where it ends.
    function owner(bytes calldata rows, uint256 position, uint256 index) internal pure returns (address owner_, uint256 next) {
        next = position + 20;
        if (next > rows.length) revert ITallyLedger.MalformedRows(index);
        owner_ = address(bytes20(_word(rows, position)));
    }

    /// The shown locks at `position`, after their count, and where they end.
    function locks(bytes calldata rows, uint256 position, uint256 index) internal pure returns (bytes calldata locks_, uint256 next) {
        uint256 start = position + 1;
        if (start > rows.length) revert ITallyLedger.MalformedRows(index);
        next = start + uint8(rows[position]) * Locks.SHOWN_BYTES;
        if (next > rows.length) revert ITallyLedger.MalformedRows(index);
        locks_ = rows[start:next];
    }

    /// The 32 bytes at `position`. The caller has checked that the bytes it uses of them lie within `rows`.
    function _word(bytes calldata rows, uint256 position) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(rows.offset, position))
        }
    }

    /// One entry of a log: the first 20 bytes of the channel's id and its new settled amount.
    function entry(bytes32 id, uint256 settled) internal pure returns (bytes32) {
        return bytes32(bytes20(id)) | bytes32(settled);
    }

    /// The same array with its first `count` entries only.
    function cut(bytes32[] memory entries, uint256 count) internal pure returns (bytes32[] memory) {
        assembly ("memory-safe") {
            mstore(entries, count)
        }
        return entries;
    }
}
