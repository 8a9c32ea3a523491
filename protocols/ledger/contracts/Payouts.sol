// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Balances} from "./Balances.sol";
import {ITallyLedger} from "./ITallyLedger.sol";
import {Promises} from "./lib/Promises.sol";

/// Who is credited when a target is paid.
abstract contract Payouts is Balances, EIP712 {
    struct Payout {
        address current; // zero: the target itself
        address proposed;
        uint256 nonce;
    }

    bytes32 private constant PAYOUT_TYPEHASH = keccak256("Payout(address target,address payout,uint256 nonce,uint40 deadline)");

    mapping(address target => Payout) private _payouts;
    mapping(address payout => mapping(address target => mapping(address token => uint96))) private _maxRelayFees;

    /// @inheritdoc ITallyLedger
    function proposePayout(address payout) external {
        proposePayoutFor(_msgSender(), payout);
    }

    /// @inheritdoc ITallyLedger
    function proposePayoutFor(address target, address payout) public {
        _requirePayout(target);
        _payouts[target].proposed = payout;
        emit PayoutProposed(target, payout);
    }

    /// @inheritdoc ITallyLedger
    function acceptPayout(address target) external {
        _acceptPayout(target, _msgSender());
    }

    /// @inheritdoc ITallyLedger
    function acceptPayoutWithSignature(address target, address payout, uint40 deadline, bytes calldata signature) external {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
        _requireSigner(payout, keccak256(abi.encode(PAYOUT_TYPEHASH, target, payout, _payouts[target].nonce, deadline)), signature);
        _acceptPayout(target, payout);
    }

    /// @inheritdoc ITallyLedger
    function setMaxRelayFee(address target, address token, uint96 amount) external {
        address payout = _requirePayout(target);
        _maxRelayFees[payout][target][token] = amount;
        emit MaxRelayFeeSet(target, token, payout, amount);
    }

    /// @inheritdoc ITallyLedger
    function payoutOf(address target) public view returns (address) {
        address payout = _payouts[target].current;
        return payout == address(0) ? target : payout;
    }

    /// @inheritdoc ITallyLedger
    function proposedPayoutOf(address target) external view returns (address) {
        return _payouts[target].proposed;
    }

    /// @inheritdoc ITallyLedger
    function payoutNonce(address target) external view returns (uint256) {
        return _payouts[target].nonce;
    }

    /// @inheritdoc ITallyLedger
    function maxRelayFee(address target, address token) external view returns (uint96) {
        return _maxRelayFees[payoutOf(target)][target][token];
    }

    // ------------------------------------------------------------------------------------------------ inside

    /// Credits what was paid to the target's payout, less what the payout lets the target keep for a relay.
    function _creditPayout(address target, address token, uint256 paid, bytes memory rows) internal {
        address payout = payoutOf(target);
        uint256 rest = paid;
        if (payout != target) {
            uint256 fee = _maxRelayFees[payout][target][token];
            if (fee != 0) {
                if (fee > paid) fee = paid;
                _credit(target, token, fee);
                rest -= fee;
            }
        }
        _credit(payout, token, rest);
        emit Settled(target, token, payout, paid, rows);
    }

    function _acceptPayout(address target, address payout) private {
        Payout storage p = _payouts[target];
        if (payout == address(0) || p.proposed != payout) revert NotProposed(target, payout);
        (p.current, p.proposed) = (payout, address(0));
        ++p.nonce;
        emit PayoutAccepted(target, payout);
    }

    function _requirePayout(address target) private view returns (address payout) {
        payout = payoutOf(target);
        if (_msgSender() != payout) revert NotThePayout(_msgSender(), target);
    }

    function _requireSigner(address expected, bytes32 structHash, bytes calldata signature) internal view {
        (bool ok, bytes32 r, bytes32 vs) = Promises.compact(signature);
        if (!ok) revert InvalidSignature();
        (address signer, ECDSA.RecoverError err,) = ECDSA.tryRecover(_hashTypedDataV4(structHash), r, vs);
        if (err != ECDSA.RecoverError.NoError || signer != expected) revert InvalidSignature();
    }
}
