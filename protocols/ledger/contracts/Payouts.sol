// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Balances} from "./Balances.sol";
import {ITallyLedger} from "./ITallyLedger.sol";
import {Account} from "./lib/Accounts.sol";
import {Promises} from "./lib/Promises.sol";

/// Who is credited when a target is paid.
abstract contract Payouts is Balances, EIP712 {
    struct Proposal {
        address payout;
        uint96 nonce; // how many acceptances there were
    }

    bytes32 private constant PAYOUT_TYPEHASH =
        keccak256("Payout(address target,address token,address payout,uint256 nonce,uint40 deadline)");

    mapping(address target => mapping(address token => Proposal)) private _proposals;
    mapping(address payout => mapping(address target => mapping(address token => uint96))) private _maxRelayFees;

    /// @inheritdoc ITallyLedger
    function proposePayout(address target, address token, address payout) external {
        _requirePayout(target, token);
        _proposals[target][token].payout = payout;
        emit PayoutProposed(target, token, payout);
    }

    /// @inheritdoc ITallyLedger
    function acceptPayout(address target, address token) external {
        _acceptPayout(target, token, _msgSender());
    }

    /// @inheritdoc ITallyLedger
    function acceptPayoutWithSignature(address target, address token, address payout, uint40 deadline, bytes calldata signature) external {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
        uint256 nonce = _proposals[target][token].nonce;
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(PAYOUT_TYPEHASH, target, token, payout, nonce, deadline)));
        if (payout.code.length == 0) _requireSigner(payout, digest, signature);
        else if (!SignatureChecker.isValidERC1271SignatureNowCalldata(payout, digest, signature)) revert InvalidSignature();
        _acceptPayout(target, token, payout);
    }

    /// @inheritdoc ITallyLedger
    function setMaxRelayFee(address target, address token, uint96 amount) external {
        address payout = _requirePayout(target, token);
        _maxRelayFees[payout][target][token] = amount;
        emit MaxRelayFeeSet(target, token, payout, amount);
    }

    /// @inheritdoc ITallyLedger
    function payoutOf(address target, address token) public view returns (address) {
        address payout = _accounts[target][token].account.payout();
        return payout == address(0) ? target : payout;
    }

    /// @inheritdoc ITallyLedger
    function proposedPayoutOf(address target, address token) external view returns (address) {
        return _proposals[target][token].payout;
    }

    /// @inheritdoc ITallyLedger
    function payoutNonce(address target, address token) external view returns (uint256) {
        return _proposals[target][token].nonce;
    }

    /// @inheritdoc ITallyLedger
    function maxRelayFee(address target, address token) external view returns (uint96) {
        return _maxRelayFees[payoutOf(target, token)][target][token];
    }

    // ------------------------------------------------------------------------------------------------ inside

    /// Credits the target's payout, less what that payout lets the target keep for a relay.
    function _creditPayout(address target, address token, uint256 paid) internal returns (address payout) {
        AccountSlot storage slot = _accounts[target][token];
        Account a = slot.account;
        payout = a.payout();
        if (payout == address(0)) {
            payout = target;
            slot.account = a.plus(paid);
        } else {
            uint256 fee = _maxRelayFees[payout][target][token];
            if (fee > paid) fee = paid;
            if (fee != 0) slot.account = a.plus(fee);
            _credit(payout, token, paid - fee);
        }
    }

    function _acceptPayout(address target, address token, address payout) private {
        Proposal storage p = _proposals[target][token];
        if (payout == address(0) || p.payout != payout) revert NotProposed(target, token, payout);
        p.payout = address(0);
        ++p.nonce;
        AccountSlot storage slot = _accounts[target][token];
        slot.account = slot.account.withPayout(payout == target ? address(0) : payout);
        emit PayoutAccepted(target, token, payout);
    }

    /// The caller, who has to be the payout in force.
    function _requirePayout(address target, address token) private view returns (address payout) {
        address caller = _msgSender();
        payout = payoutOf(target, token);
        if (caller != payout) revert NotThePayout(caller, target, token);
    }

    function _requireSigner(address expected, bytes32 digest, bytes calldata signature) internal pure {
        (bool ok, bytes32 r, bytes32 vs) = Promises.compact(signature);
        if (!ok) revert InvalidSignature();
        (address signer, ECDSA.RecoverError err,) = ECDSA.tryRecover(digest, r, vs);
        if (err != ECDSA.RecoverError.NoError || signer != expected) revert InvalidSignature();
    }
}
