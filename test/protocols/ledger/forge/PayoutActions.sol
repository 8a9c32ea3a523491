// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Calls} from "./Calls.sol";
import {Action} from "./MoneyActions.sol";
import {Rule} from "./Rules.sol";
import {SettleActions} from "./SettleActions.sol";
import {Signing} from "./Signing.sol";

/// Who is credited when a target is paid, and what the target may keep for a relay.
abstract contract PayoutActions is SettleActions {
    /// How much each payout lets each target keep in each token.
    mapping(address payout => uint256[TOKENS][TARGETS]) private allowed;

    /// The payout in force proposes a successor, which accepts by its call or its signature; before the proposal it cannot.
    function changePayout(uint256 t, uint256 i, uint256 to, bool bySignature) external {
        (t, i, to) = (t % TARGETS, i % TOKENS, to % (TARGETS + 2));
        (address target, address token) = (accounts[FIRST_TARGET + t], address(tokens[i]));
        // one of the two payouts, or back to the target itself
        uint256 successor = to < 2 ? FIRST_PAYOUT + to : FIRST_TARGET + t;
        bytes memory acceptance = _acceptance(target, token, successor, bySignature);
        address by = bySignature ? accounts[STRANGER] : accounts[successor];
        _hold(Rule.OnlyThePayoutChangesThePayout, !_try(by, acceptance));
        _must(payouts[t][i], Calls.proposePayout(target, token, accounts[successor]));
        _auditNothing();
        // what this payout allowed the last time that it was in force, it allows again
        payouts[t][i] = accounts[successor];
        fees[t][i] = allowed[accounts[successor]][t][i];
        _hold(Rule.OnlyThePayoutChangesThePayout, _try(by, acceptance));
        _auditNothing();
        _hold(Rule.OnlyThePayoutChangesThePayout, ledger.maxRelayFee(target, token) == fees[t][i]);
        _hold(Rule.OnlyThePayoutChangesThePayout, !_try(by, acceptance));
        // another proposal of the same: the signature has had its turn
        _must(payouts[t][i], Calls.proposePayout(target, token, accounts[successor]));
        if (bySignature) _hold(Rule.OnlyThePayoutChangesThePayout, !_try(by, acceptance));
        _must(payouts[t][i], Calls.proposePayout(target, token, address(0)));
        ++done[bySignature ? Action.AcceptPayoutBySignature : Action.AcceptPayout];
    }

    function setRelayFee(uint256 t, uint256 token, uint256 amount) external {
        (t, token, amount) = (t % TARGETS, token % TOKENS, amount % 5_000);
        address target = accounts[FIRST_TARGET + t];
        _must(payouts[t][token], abi.encodeCall(ITallyLedger.setMaxRelayFee, (target, address(tokens[token]), uint96(amount))));
        (fees[t][token], allowed[payouts[t][token]][t][token]) = (amount, amount);
        _auditNothing();
        ++done[Action.SetRelayFee];
    }

    function _acceptance(address target, address token, uint256 successor, bool bySignature) private view returns (bytes memory) {
        if (!bySignature) return Calls.acceptPayout(target, token);
        (address payout, uint40 deadline) = (accounts[successor], uint40(block.timestamp));
        bytes32 digest =
            Signing.payoutDigest(address(ledger), target, token, payout, ledger.payoutNonce(target, token), deadline);
        return Calls.acceptPayoutWithSignature(target, token, payout, deadline, Signing.full(_keyOf(successor), digest));
    }
}
