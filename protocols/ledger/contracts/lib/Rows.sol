// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../ITallyLedger.sol";
import {Locks} from "./Locks.sol";

/// The packed rows in which promises are settled, and the entries of their logs.
///
/// A row:  flags 1 | amount 12 | r 32 | vs 32 | [owner 20] | [count 1 | count * 53 bytes of shown locks]
/// Everything is read through slices of the argument itself: a row that ends early reverts, it never runs on into what follows
/// in the calldata (another argument, or the sender that a forwarder appends).
library Rows {
    uint256 internal constant MIN_BYTES = 77;
    uint256 private constant HAS_OWNER = 1;
    uint256 private constant HAS_LOCKS = 2;

    /// Reads the row at `position`, and where the next one starts. `owner` is zero when the row does not carry one.
    function read(bytes calldata rows, uint256 position, uint256 index)
        internal
        pure
        returns (address owner, uint96 amount, bytes calldata locks, bytes32 r, bytes32 vs, uint256 next)
    {
        // unchecked: positions in calldata and one byte times 53 cannot overflow; every end is compared with the length before use
        unchecked {
            next = position + MIN_BYTES;
            if (next > rows.length) revert ITallyLedger.MalformedRows(index);
            uint256 head = uint256(_word(rows, position));
            uint256 flags = head >> 248;
            if (flags > (HAS_OWNER | HAS_LOCKS)) revert ITallyLedger.MalformedRows(index);
            (amount, r, vs) = (uint96(head >> 152), _word(rows, position + 13), _word(rows, position + 45));
            if (flags & HAS_OWNER != 0) {
                owner = address(bytes20(_word(rows, next)));
                next += 20;
                if (next > rows.length) revert ITallyLedger.MalformedRows(index);
            }
            locks = rows[0:0];
            if (flags & HAS_LOCKS != 0) {
                uint256 start = next + 1;
                if (start > rows.length) revert ITallyLedger.MalformedRows(index);
                next = start + uint8(rows[next]) * Locks.SHOWN_BYTES;
                if (next > rows.length) revert ITallyLedger.MalformedRows(index);
                locks = rows[start:next];
            }
        }
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
