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
    /// Not ok: part of a lock, more than 64 locks, more than 1,024 steps, or k > steps.
    function worth(bytes calldata shown) internal returns (bool ok, uint256 value, bytes32 hash) {
        if (shown.length == 0) return (true, 0, 0);
        uint256 count = shown.length / SHOWN_BYTES;
        if (shown.length != count * SHOWN_BYTES || count > MAX_LOCKS) return (false, 0, 0);
        bytes memory signed = new bytes(count * SIGNED_BYTES);
        for (uint256 i; i < count; ++i) {
            bytes calldata lock = shown[i * SHOWN_BYTES:(i + 1) * SHOWN_BYTES];
            uint256 k = uint16(bytes2(lock[32:34]));
            uint256 unit = uint96(bytes12(lock[34:46]));
            uint256 steps = uint16(bytes2(lock[46:48]));
            uint256 expiry = uint40(bytes5(lock[48:53]));
            if (steps > MAX_STEPS || k > steps) return (false, 0, 0);
            bytes32 anchor = _walk(bytes32(lock[:32]), k);
            _write(signed, i * SIGNED_BYTES, anchor, lock[34:53]);
            // also for a row that is skipped in the end: that the word leads to the anchor is true whoever says it
            if (k != 0) emit ITallyLedger.WordShown(anchor, bytes32(lock[:32]), uint16(k));
            if (expiry == 0 || expiry > block.timestamp) value += k * unit; // at most 64 * 1024 * 2^96: no overflow
        }
        return (true, value, keccak256(signed));
    }

    /// Hashes `word` k times. One line of assembly: abi.encode would cost three times as much a step.
    function _walk(bytes32 word, uint256 k) private pure returns (bytes32) {
        for (; k != 0; --k) {
            assembly ("memory-safe") {
                mstore(0x00, word)
                word := keccak256(0x00, 0x20)
            }
        }
        return word;
    }

    /// Writes one signed lock, anchor and its 19 bytes of terms, at `position`. The caller has made room for it.
    function _write(bytes memory signed, uint256 position, bytes32 anchor, bytes calldata terms) private pure {
        assembly ("memory-safe") {
            let place := add(add(signed, 0x20), position)
            mstore(place, anchor)
            calldatacopy(add(place, 0x20), terms.offset, terms.length)
        }
    }
}
