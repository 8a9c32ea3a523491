// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// The smallest smart account: one key is its master, signs for it (EIP-1271) and sends calls from it. For tests only.
contract SmartAccount is IERC1271 {
    address private immutable _master;

    constructor(address master) {
        _master = master;
    }

    function execute(address to, bytes calldata data) external {
        require(msg.sender == _master, "not the master");
        (bool ok, bytes memory result) = to.call(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address signer,,) = ECDSA.tryRecover(hash, signature);
        return signer == _master ? this.isValidSignature.selector : bytes4(0);
    }
}
