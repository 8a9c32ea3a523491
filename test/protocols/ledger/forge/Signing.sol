// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {vm} from "./Vm.sol";

/// A lock of a promise with the word that is shown of it, which hashes k times to its anchor.
struct Shown {
    bytes32 word;
    uint16 k;
    uint96 unit;
    uint16 steps;
    uint40 expiry;
}

/// A signed promise as a settle shows it. `owner` is the one that it names, zero for none.
struct Row {
    address owner;
    uint96 amount;
    Shown[] locks;
    bytes32 r;
    bytes32 vs;
}

/// What is signed and what is shown, written again after SPEC.md and with nothing taken from the contract.
library Signing {
    bytes32 private constant PROMISE = keccak256("Promise(address owner,address target,address token,uint96 amount,bytes32 locks)");
    bytes32 private constant CLOSE = keccak256("Close(bytes32 channel,uint96 amount,uint40 deadline,uint24 epoch)");
    bytes32 private constant PAYOUT = keccak256("Payout(address target,address token,address payout,uint256 nonce,uint40 deadline)");
    bytes32 private constant RECEIVE = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    function domain(address ledger) internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN, keccak256("Tallystick"), keccak256("1"), block.chainid, ledger));
    }

    /// EIP-3009, of the test token that knows it.
    function authorize(uint256 key, address token, address ledger, uint256 amount, uint256 validBefore, bytes32 nonce)
        internal
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 separator = keccak256(abi.encode(DOMAIN, keccak256("Authorized"), keccak256("1"), block.chainid, token));
        bytes32 hash_ = keccak256(abi.encode(RECEIVE, vm.addr(key), ledger, amount, 0, validBefore, nonce));
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", separator, hash_)));
    }

    function walk(bytes32 word, uint256 k) internal pure returns (bytes32) {
        for (uint256 i; i < k; ++i) word = keccak256(abi.encode(word));
        return word;
    }

    /// The shown list, 53 bytes a lock.
    function show(Shown[] memory locks) internal pure returns (bytes memory list) {
        for (uint256 i; i < locks.length; ++i) {
            Shown memory lock = locks[i];
            list = bytes.concat(list, abi.encodePacked(lock.word, lock.k, lock.unit, lock.steps, lock.expiry));
        }
    }

    /// What the promise carries for its locks: the hash of the signed list, 51 bytes a lock.
    function hash(Shown[] memory locks) internal pure returns (bytes32) {
        if (locks.length == 0) return 0;
        bytes memory list;
        for (uint256 i; i < locks.length; ++i) {
            Shown memory lock = locks[i];
            list = bytes.concat(list, abi.encodePacked(walk(lock.word, lock.k), lock.unit, lock.steps, lock.expiry));
        }
        return keccak256(list);
    }

    /// What a promise is worth at this moment, before the deposit caps it.
    function worth(uint96 amount, Shown[] memory locks) internal view returns (uint256 value) {
        value = amount;
        for (uint256 i; i < locks.length; ++i) {
            Shown memory lock = locks[i];
            if (lock.expiry == 0 || block.timestamp < lock.expiry) value += uint256(lock.k) * lock.unit;
        }
    }

    function promiseDigest(address ledger, address owner, address target, address token, uint96 amount, Shown[] memory locks)
        internal
        view
        returns (bytes32)
    {
        return _digest(ledger, keccak256(abi.encode(PROMISE, owner, target, token, amount, hash(locks))));
    }

    function closeDigest(address ledger, bytes32 id, uint96 amount, uint40 deadline, uint24 epoch) internal view returns (bytes32) {
        return _digest(ledger, keccak256(abi.encode(CLOSE, id, amount, deadline, epoch)));
    }

    function payoutDigest(address ledger, address target, address token, address payout, uint256 nonce, uint40 deadline)
        internal
        view
        returns (bytes32)
    {
        return _digest(ledger, keccak256(abi.encode(PAYOUT, target, token, payout, nonce, deadline)));
    }

    /// EIP-2098: r, and s with the parity of v in its top bit.
    function compact(uint256 key, bytes32 digest) internal pure returns (bytes32 r, bytes32 vs) {
        (uint8 v, bytes32 r_, bytes32 s) = vm.sign(key, digest);
        return (r_, s | bytes32(uint256(v - 27) << 255));
    }

    /// The 65 bytes r | s | v.
    function full(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// A row, as settle and settleBatch read it.
    function encode(Row memory row) internal pure returns (bytes memory) {
        uint8 flags = (row.owner == address(0) ? 0 : 1) | (row.locks.length == 0 ? 0 : 2);
        bytes memory tail = row.owner == address(0) ? bytes("") : abi.encodePacked(row.owner);
        if (row.locks.length != 0) tail = bytes.concat(tail, abi.encodePacked(uint8(row.locks.length)), show(row.locks));
        return bytes.concat(abi.encodePacked(flags, row.amount, row.r, row.vs), tail);
    }

    function _digest(address ledger, bytes32 structHash) private view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain(ledger), structHash));
    }
}
