// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ITallyLedger} from "./ITallyLedger.sol";
import {Account} from "./lib/Accounts.sol";

/// What accounts have in the ledger, how it is given away or taken out, and who calls.
abstract contract Balances is ITallyLedger, ERC2771Context, Multicall {
    using SafeERC20 for IERC20;

    /// Only a struct can be held by reference, which spares the hash of the mapping's keys at each use.
    struct AccountSlot {
        Account account;
    }

    mapping(address account => mapping(address token => AccountSlot)) internal _accounts;

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
        return _accounts[account][token].account.balance();
    }

    // ------------------------------------------------------------------------------------------------ inside

    function _debit(address account, address token, uint256 amount) internal {
        AccountSlot storage slot = _accounts[account][token];
        Account a = slot.account;
        if (a.balance() < amount) revert InsufficientBalance(account, token, a.balance(), amount);
        slot.account = a.minus(amount);
    }

    function _credit(address account, address token, uint256 amount) internal {
        AccountSlot storage slot = _accounts[account][token];
        slot.account = slot.account.plus(amount);
    }

    // ------------------------------------------------------------------------------------------------ who calls (EIP-2771)

    function _msgSender() internal view override(Context, ERC2771Context) returns (address) {
        return isTrustedForwarder(msg.sender) ? ERC2771Context._msgSender() : msg.sender;
    }

    function _msgData() internal view override(Context, ERC2771Context) returns (bytes calldata) {
        return ERC2771Context._msgData();
    }

    function _contextSuffixLength() internal view override(Context, ERC2771Context) returns (uint256) {
        return ERC2771Context._contextSuffixLength();
    }
}
