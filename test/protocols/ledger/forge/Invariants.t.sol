// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Handler} from "./Handler.sol";
import {Action, ACTIONS} from "./MoneyActions.sol";
import {Rule, RULES} from "./Rules.sol";
import {vm} from "./Vm.sol";

/// One campaign: whatever is called in whatever order, all rules of Rules.sol hold after every call.
contract InvariantsTest {
    error Broken(Rule rule);
    error NeverJudged(Rule rule);
    error NeverDone(Action action);

    /// After so many calls of the ledger (a run of 500 steps makes a thousand) each kind must have succeeded at least once. A failing sequence that forge has shortened is not held to it.
    uint256 private constant LONG_RUN = 600;

    Handler private handler;

    function setUp() external {
        handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// forge calls these and no other function of the handler.
    function targetSelectors() external view returns (FuzzSelector[] memory selectors) {
        bytes4[] memory actions = new bytes4[](24);
        actions[0] = handler.deposit.selector;
        actions[1] = handler.withdraw.selector;
        actions[2] = handler.transfer.selector;
        actions[3] = handler.donate.selector;
        actions[4] = handler.pass.selector;
        actions[5] = handler.open.selector;
        actions[6] = handler.depositAndOpen.selector;
        actions[7] = handler.topUp.selector;
        actions[8] = handler.reclaim.selector;
        actions[9] = handler.close.selector;
        actions[10] = handler.closeAgain.selector;
        actions[11] = handler.settle.selector;
        actions[12] = handler.settleAgain.selector;
        actions[13] = handler.settleExpired.selector;
        actions[14] = handler.settleTwo.selector;
        actions[15] = handler.settleBatch.selector;
        actions[16] = handler.changePayout.selector;
        actions[17] = handler.setRelayFee.selector;
        actions[18] = handler.trespass.selector;
        actions[19] = handler.reenter.selector;
        actions[20] = handler.sweep.selector;
        actions[21] = handler.depositByAuthorization.selector;
        actions[22] = handler.openByAuthorization.selector;
        actions[23] = handler.settleDirect.selector;
        selectors = new FuzzSelector[](1);
        selectors[0] = FuzzSelector(address(handler), actions);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function invariant_everyRuleHolds() external view {
        for (uint256 i; i < RULES; ++i) {
            if (handler.broken(Rule(i))) revert Broken(Rule(i));
        }
    }

    /// At the end of each run everybody leaves. In the campaign of CI, whose seed is fixed, every action must also have happened in every run and
    /// every rule must have been put to the test; of two thousand runs by other seeds one may well miss one of them by chance.
    function afterInvariant() external {
        handler.everybodyLeaves();
        for (uint256 i; i < RULES; ++i) {
            if (handler.broken(Rule(i))) revert Broken(Rule(i));
        }
        if (handler.tries() < LONG_RUN || isLong()) return;
        for (uint256 i; i < RULES; ++i) {
            if (!handler.judged(Rule(i))) revert NeverJudged(Rule(i));
        }
        for (uint256 i; i < ACTIONS; ++i) {
            if (handler.done(Action(i)) == 0) revert NeverDone(Action(i));
        }
    }

    function isLong() private view returns (bool) {
        return keccak256(bytes(vm.envOr("FOUNDRY_PROFILE", ""))) == keccak256("long");
    }
}
