// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ITallyLedger} from "./ITallyLedger.sol";

/// What accounts have in the ledger, the only two places where tokens move (_pull and withdraw), and who calls.
abstract contract Balances is ITallyLedger, ERC2771Context, Multicall, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    mapping(address account => mapping(address token => uint256)) private _balances;

    /// @inheritdoc ITallyLedger
    function deposit(address token, address account, uint256 amount) public {
        if (account == address(0)) revert InvalidAddress(account);
        uint256 received = _pull(token, account, amount);
        _credit(account, token, received);
    }

    /// @inheritdoc ITallyLedger
    function depositWithPermit(address token, address account, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        _tryPermit(token, amount, deadline, v, r, s);
        deposit(token, account, amount);
    }

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
        return _balances[account][token];
    }

    // ------------------------------------------------------------------------------------------------ inside

    /// Takes tokens from the caller, and from nobody else, and answers what arrived.
    /// This is the one place where tokens move before the state is written, since what arrives decides what is written. Hence the
    /// guard: a token that calls out while it moves could else count an inner deposit a second time in the outer difference.
    function _pull(address token, address account, uint256 amount) internal nonReentrant returns (uint256 received) {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(_msgSender(), address(this), amount);
        received = IERC20(token).balanceOf(address(this)) - before;
        emit Deposited(token, account, received);
    }

    /// A permit that fails is no failure: somebody may have handed it in first, and then the allowance is there.
    function _tryPermit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) internal {
        try IERC20Permit(token).permit(_msgSender(), address(this), amount, deadline, v, r, s) {} catch {}
    }

    function _debit(address account, address token, uint256 amount) internal {
        uint256 balance = _balances[account][token];
        if (balance < amount) revert InsufficientBalance(account, token, balance, amount);
        unchecked {
            _balances[account][token] = balance - amount; // checked just above
        }
    }

    function _credit(address account, address token, uint256 amount) internal {
        _balances[account][token] += amount;
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
