// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Balances} from "./Balances.sol";
import {DepositBox} from "./DepositBox.sol";
import {IERC3009} from "./IERC3009.sol";
import {ITallyLedger} from "./ITallyLedger.sol";

/// Every way in for tokens: from the caller, by an EIP-3009 authorization, from a deposit address.
///
/// These are the only places where tokens move before the state is written, since what arrives decides what is written. Hence the
/// guard: a token that calls out while it moves could else count an inner deposit a second time in the outer difference.
abstract contract Deposits is Balances, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @inheritdoc ITallyLedger
    function deposit(address token, address account, uint256 amount) public {
        if (account == address(0)) revert InvalidAddress(account);
        _credit(account, token, _pull(token, account, amount));
    }

    /// @inheritdoc ITallyLedger
    function depositWithPermit(address token, address account, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        _tryPermit(token, amount, deadline, v, r, s);
        deposit(token, account, amount);
    }

    /// @inheritdoc ITallyLedger
    function depositWithAuthorization(address token, address account, Authorization calldata authorization) external {
        if (account == address(0)) revert InvalidAddress(account);
        bytes32 nonce = keccak256(abi.encode(account, authorization.salt));
        _credit(account, token, _receive(token, account, authorization, nonce));
    }

    /// @inheritdoc ITallyLedger
    function sweep(address account, address token) external nonReentrant returns (uint256 received) {
        if (account == address(0)) revert InvalidAddress(account);
        address box = depositAddress(account);
        if (box.code.length == 0) new DepositBox{salt: _boxSalt(account)}();
        uint256 before = _held(token);
        DepositBox(box).empty(IERC20(token));
        received = _arrived(token, account, before);
        _credit(account, token, received);
    }

    /// @inheritdoc ITallyLedger
    function depositAddress(address account) public view returns (address) {
        return Create2.computeAddress(_boxSalt(account), keccak256(type(DepositBox).creationCode));
    }

    // ------------------------------------------------------------------------------------------------ inside

    /// Takes tokens from the caller, and from nobody else, and answers what arrived.
    function _pull(address token, address account, uint256 amount) internal nonReentrant returns (uint256 received) {
        uint256 before = _held(token);
        IERC20(token).safeTransferFrom(_msgSender(), address(this), amount);
        received = _arrived(token, account, before);
    }

    /// Takes tokens from whoever signed the authorization, and answers what arrived. `nonce` is the hash of all that is done with them:
    /// who hands the authorization in can do nothing else.
    function _receive(address token, address account, Authorization calldata a, bytes32 nonce)
        internal
        nonReentrant
        returns (uint256 received)
    {
        uint256 before = _held(token);
        IERC3009(token).receiveWithAuthorization(a.from, address(this), a.amount, a.validAfter, a.validBefore, nonce, a.v, a.r, a.s);
        received = _arrived(token, account, before);
        // a token that knows no such function, and answers all the same, has checked no signature
        if (received == 0) revert NothingReceived(token);
    }

    /// A permit that fails is no failure: somebody may have handed it in first, and then the allowance is there.
    function _tryPermit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) internal {
        try IERC20Permit(token).permit(_msgSender(), address(this), amount, deadline, v, r, s) {} catch {}
    }

    function _held(address token) private view returns (uint256) {
        return IERC20(token).balanceOf(address(this));
    }

    function _arrived(address token, address account, uint256 before) private returns (uint256 received) {
        received = _held(token) - before;
        emit Deposited(token, account, received);
    }

    function _boxSalt(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}
