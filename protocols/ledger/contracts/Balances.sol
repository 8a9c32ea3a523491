// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ITallyLedger} from "./ITallyLedger.sol";

/// What accounts have in the ledger, how it is given away or taken out, and who calls.
abstract contract Balances is ITallyLedger, ERC2771Context, Multicall {
    using SafeERC20 for IERC20;

    /// One slot, so that paying a target that has no other payout looks at nothing but the balance that it changes.
    struct Account {
        uint96 balance;
        address payout; // who is credited when this account is paid as a target; zero: itself
    }

    mapping(address account => mapping(address token => Account)) internal _accounts;

    /// @inheritdoc ITallyLedger
    function withdraw(address token, address to, uint256 amount) external {
        if (to == address(0) || to == address(this)) revert InvalidAddress(to);
        address account = _msgSender();
        _debit(account, token, amount);
        emit Withdrawn(token, account, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc ITallyLedger
    function transfer(address token, address to, uint256 amount) external {
        if (to == address(0)) revert InvalidAddress(to);
        address account = _msgSender();
        _debit(account, token, amount);
        _credit(to, token, amount);
        emit Transferred(token, account, to, amount);
    }

    /// @inheritdoc ITallyLedger
    function balanceOf(address account, address token) external view returns (uint256) {
        return _accounts[account][token].balance;
    }

    // ------------------------------------------------------------------------------------------------ inside

    function _debit(address account, address token, uint256 amount) internal {
        Account storage a = _accounts[account][token];
        uint96 balance = a.balance;
        if (balance < amount) revert InsufficientBalance(account, token, balance, amount);
        unchecked {
            a.balance = balance - uint96(amount); // checked just above
        }
    }

    function _credit(address account, address token, uint256 amount) internal {
        Account storage a = _accounts[account][token];
        uint96 balance = a.balance;
        if (amount > type(uint96).max - balance) revert BalanceTooLarge(account, token, amount);
        unchecked {
            a.balance = balance + uint96(amount); // checked just above
        }
    }

    // ------------------------------------------------------------------------------------------------ who calls (EIP-2771)

    function _msgSender() internal view override(Context, ERC2771Context) returns (address) {
        return ERC2771Context._msgSender();
    }

    function _msgData() internal view override(Context, ERC2771Context) returns (bytes calldata) {
        return ERC2771Context._msgData();
    }

    function _contextSuffixLength() internal view override(Context, ERC2771Context) returns (uint256) {
        return ERC2771Context._contextSuffixLength();
    }
}
