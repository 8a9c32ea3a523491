// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// The one function of EIP-3009 that the ledger uses: only the receiver itself can hand in such an authorization.
interface IERC3009 {
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}
