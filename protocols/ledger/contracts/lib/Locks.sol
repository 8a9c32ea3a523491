// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../ITallyLedger.sol";

/// The conditional part of a promise: {anchor, unit, steps, expiry} each. A word that hashes k <= steps times to the anchor is worth k * unit.
///
/// The signed list has 51 bytes a lock:  anchor 32 | unit 12 | steps 2 | expiry 5.
/// The shown list has 53 bytes a lock:   word 32 | k 2 | unit 12 | steps 2 | expiry 5, with keccak^k(word) = anchor.
/// The anchor is computed and never sent, so a shown list yields the signed list in which each lock stands once and in its own
/// place, or another list, which nobody has signed.
library Locks {
    uint256 internal constant SHOWN_BYTES = 53;
    uint256 private constant SIGNED_BYTES = 51;
    uint256 private constant MAX_LOCKS = 64;
    uint256 private constant MAX_STEPS = 1024;

    /// What the shown locks are worth now, and the hash that the promise carries for them (zero for none).
    /// `shown` holds whole locks. Not ok: more than 64 of them, more than 1,024 steps, or k > steps.
    function worth(bytes calldata shown) internal returns (bool ok, uint256 value, bytes32 hash) {
        if (shown.length == 0) return (true, 0, 0);
        uint256 count = shown.length / SHOWN_BYTES;
        if (count > MAX_LOCKS) return (false, 0, 0);
        bytes memory signed = new bytes(count * SIGNED_BYTES);
        // unchecked: positions of at most 64 locks, and a sum of at most 64 * 1024 * 2^96
        unchecked {
            for (uint256 i; i < count; ++i) {
                uint256 start = i * SHOWN_BYTES;
                bytes32 word = _read(shown, start);
                uint256 terms = uint256(_read(shown, start + 32)); // k 16 | unit 96 | steps 16 | expiry 40, then 88 bits of what follows
                uint256 k = terms >> 240;
                uint256 steps = uint16(terms >> 128);
                uint256 expiry = uint40(terms >> 88);
                if (steps > MAX_STEPS || k > steps) return (false, 0, 0);
                bytes32 anchor = _walk(word, k);
                _write(signed, i * SIGNED_BYTES, anchor, shown, start + 34);
                if (k == 0) continue;
                if (expiry == 0 || expiry > block.timestamp) value += k * uint96(terms >> 144);
                // also for a row that is skipped in the end: that the word leads to the anchor is true whoever says it
                emit ITallyLedger.WordShown(anchor, word, uint16(k));
            }
        }
        return (true, value, keccak256(signed));
    }

    /// Hashes `word` k times, 83 gas a step: abi.encode would cost three times as much.
    function _walk(bytes32 word, uint256 k) private pure returns (bytes32 anchor) {
        assembly ("memory-safe") {
            mstore(0x00, word)
            for {} k { k := sub(k, 1) } { mstore(0x00, keccak256(0x00, 0x20)) }
            anchor := mload(0x00)
        }
    }

    /// The 32 bytes at `position`. The caller has checked that the bytes it uses of them lie within `shown`.
    function _read(bytes calldata shown, uint256 position) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(shown.offset, position))
        }
    }

    /// Writes one signed lock at `position`: the anchor, and the 19 bytes of its terms as they stand in `shown`. There is room for it.
    function _write(bytes memory signed, uint256 position, bytes32 anchor, bytes calldata shown, uint256 terms) private pure {
        assembly ("memory-safe") {
            let place := add(add(signed, 0x20), position)
            mstore(place, anchor)
            calldatacopy(add(place, 0x20), add(shown.offset, terms), 19)
        }
    }
}
