// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// A block of memory in which one promise after the other is hashed; target, token and domain stay in place between them.
type Scratch is uint256;

using Promises for Scratch global;

/// From a promise and its signature to the channel that it draws on.
library Promises {
    bytes32 internal constant TYPEHASH = keccak256("Promise(address owner,address target,address token,uint96 amount,bytes32 locks)");

    /// Half of the order of secp256k1; a larger s is the malleable twin of a smaller one.
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// Prepares the memory:  0x00 typehash | 0x20 owner | 0x40 target | 0x60 token | 0x80 amount | 0xa0 locks
    ///                       0xc0 0x1901   | 0xe0 domain | 0x100 struct hash
    ///                       0x120 digest  | 0x140 v | 0x160 r | 0x180 s
    function scratch(bytes32 domain, address target, address token) internal pure returns (Scratch m) {
        assembly ("memory-safe") {
            m := mload(0x40)
            mstore(0x40, add(m, 0x1a0))
            mstore(add(m, 0x40), target)
            mstore(add(m, 0x60), token)
            mstore(add(m, 0xc0), 0x1901)
            mstore(add(m, 0xe0), domain)
        }
    }

    /// The id of the channel whose signer signed this promise: keccak256(abi.encode(owner, signer, target, token)).
    ///
    /// There is no "wrong signature" here: whatever is recovered names a channel, and only its true signer can name one that holds
    /// anything. An unusable signature gives signer zero, which no channel can have.
    /// By hand, because this runs once per row of a batch: it saves 1,200 gas of 11,000 against abi.encode and ecrecover().
    /// `signature` is the place in the calldata of r | vs, which the caller has checked to lie within its row.
    function channelOf(Scratch m, address owner, uint256 amount, bytes32 locks, uint256 signature) internal view returns (bytes32 id) {
        bytes32 typehash = TYPEHASH;
        uint256 halfOrder = HALF_ORDER;
        assembly ("memory-safe") {
            // the struct hash, then the digest
            mstore(m, typehash)
            mstore(add(m, 0x20), owner)
            mstore(add(m, 0x80), amount)
            mstore(add(m, 0xa0), locks)
            mstore(add(m, 0x100), keccak256(m, 0xc0))
            mstore(add(m, 0x120), keccak256(add(m, 0xde), 0x42))

            // recover the signer into the place after the owner; v = 0 (for a high s) recovers nothing
            let vs := calldataload(add(signature, 0x20))
            let s := shr(1, shl(1, vs))
            mstore(add(m, 0x140), mul(add(27, shr(255, vs)), iszero(gt(s, halfOrder))))
            mstore(add(m, 0x160), calldataload(signature))
            mstore(add(m, 0x180), s)
            mstore(0x00, 0) // a recovery that fails writes nothing: without this the row before would lend its signer
            pop(staticcall(gas(), 1, add(m, 0x120), 0x80, 0x00, 0x20))
            let signer := mload(0x00)

            // owner | signer | target | token; an owner of zero in the promise means the signer itself
            if iszero(owner) { owner := signer }
            mstore(m, owner)
            mstore(add(m, 0x20), signer)
            id := keccak256(m, 0x80)
        }
    }

    /// A signature of 65 bytes (r | s | v) or 64 bytes (EIP-2098: r | vs) in the compact form. Not ok: another length, a v that is not
    /// 27 or 28, or an s with its top bit set, which the compact form cannot hold.
    function compact(bytes calldata signature) internal pure returns (bool ok, bytes32 r, bytes32 vs) {
        if (signature.length == 64) return (true, bytes32(signature[:32]), bytes32(signature[32:]));
        if (signature.length != 65) return (false, 0, 0);
        (r, vs) = (bytes32(signature[:32]), bytes32(signature[32:64]));
        uint256 v = uint8(signature[64]);
        ok = (v == 27 || v == 28) && uint256(vs) >> 255 == 0;
        if (v == 28) vs |= bytes32(uint256(1) << 255);
    }
}
