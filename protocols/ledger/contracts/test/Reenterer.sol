// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {HookToken, IHook} from "./WeirdTokens.sol";

/// An account with code that, once, makes a call of the tester's choice while a token moves. For tests only.
contract Reenterer is IHook {
    address private immutable _ledger;
    bytes private _inner;
    bool public entered;
    bool public innerSucceeded;
    bytes public innerResult;

    constructor(address ledger, HookToken token) {
        _ledger = ledger;
        token.setHook(true);
        token.approve(ledger, type(uint256).max);
    }

    /// Calls the ledger with `outer`; `inner` follows from inside the first token hook.
    function attack(bytes calldata outer, bytes calldata inner) external {
        (_inner, entered, innerSucceeded) = (inner, false, false);
        (bool ok, bytes memory result) = _ledger.call(outer);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    function onTransfer() external {
        if (entered || _inner.length == 0) return;
        entered = true;
        (innerSucceeded, innerResult) = _ledger.call(_inner);
    }
}
