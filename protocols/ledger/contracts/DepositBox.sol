// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// Stands at an account's deposit address from the first sweep on. It gives all it holds of a token to the ledger that made it, and to
/// nobody else. Whose account it serves is in its address alone.
contract DepositBox {
    using SafeERC20 for IERC20;

    address private immutable _ledger = msg.sender;

    error NotTheLedger();

    function empty(IERC20 token) external {
        if (msg.sender != _ledger) revert NotTheLedger();
        token.safeTransfer(_ledger, token.balanceOf(address(this)));
    }
}
