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
    /// The payout in force proposes a successor, which accepts by its call or its signature; before the proposal it cannot.
    function changePayout(uint256 t, uint256 to, bool bySignature) external {
        (t, to) = (t % TARGETS, to % (TARGETS + 2));
        address target = accounts[FIRST_TARGET + t];
        // one of the two payouts, or back to the target itself
        uint256 successor = to < 2 ? FIRST_PAYOUT + to : FIRST_TARGET + t;
        bytes memory acceptance = _acceptance(t, successor, bySignature);
        address by = bySignature ? accounts[STRANGER] : accounts[successor];
        _hold(Rule.OnlyThePayoutChangesThePayout, !_try(by, acceptance));
        _must(payouts[t], Calls.proposePayout(target, accounts[successor]));
        _auditNothing();
        payouts[t] = accounts[successor];
        _hold(Rule.OnlyThePayoutChangesThePayout, _try(by, acceptance));
        for (uint256 i; i < TOKENS; ++i) {
            fees[t][i] = ledger.maxRelayFee(target, address(tokens[i]));
        }
        _auditNothing();
        _hold(Rule.OnlyThePayoutChangesThePayout, !_try(by, acceptance));
        ++done[bySignature ? Action.AcceptPayoutBySignature : Action.AcceptPayout];
    }

    function setRelayFee(uint256 t, uint256 token, uint256 amount) external {
        (t, token, amount) = (t % TARGETS, token % TOKENS, amount % 5_000);
        address target = accounts[FIRST_TARGET + t];
        _must(payouts[t], abi.encodeCall(ITallyLedger.setMaxRelayFee, (target, address(tokens[token]), uint96(amount))));
        fees[t][token] = amount;
        _auditNothing();
        ++done[Action.SetRelayFee];
    }

    function _acceptance(uint256 t, uint256 successor, bool bySignature) private view returns (bytes memory) {
        address target = accounts[FIRST_TARGET + t];
        if (!bySignature) return Calls.acceptPayout(target);
        uint40 deadline = uint40(block.timestamp);
        bytes32 digest =
            Signing.payoutDigest(address(ledger), target, accounts[successor], ledger.payoutNonce(target), deadline);
        return Calls.acceptPayoutWithSignature(target, accounts[successor], deadline, Signing.full(_keyOf(successor), digest));
    }
}
