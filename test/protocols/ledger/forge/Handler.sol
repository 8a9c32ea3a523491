// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Rule} from "./Rules.sol";
import {TrespassActions} from "./TrespassActions.sol";
import {vm} from "./Vm.sol";

/// All that a campaign can do; its external functions are what forge calls, with anything as arguments.
contract Handler is TrespassActions {
    /// All reservations run out, all owners take back what is left, everybody withdraws.
    function everybodyLeaves() external {
        vm.warp(block.timestamp + TERM);
        for (uint256 c; c < CHANNELS; ++c) {
            if (states[c].expiry == 0) continue;
            refunded[c] += states[c].deposit - states[c].settled;
            _hold(Rule.NothingStaysBehind, _reclaim(c));
            _audit(channels[c].owner);
        }
        for (uint256 a; a < ACCOUNTS; ++a) {
            for (uint256 t; t < TOKENS; ++t) {
                uint256 amount = balances[a][t];
                withdrawn[t] += amount;
                _hold(Rule.NothingStaysBehind, _try(accounts[a], abi.encodeCall(ITallyLedger.withdraw, (address(tokens[t]), accounts[a], amount))));
            }
            _audit(accounts[a]);
        }
        for (uint256 t; t < TOKENS; ++t) {
            uint256 left = tokens[t].balanceOf(address(ledger)) - donated[t];
            _hold(Rule.NothingStaysBehind, withdrawn[t] == deposited[t] && (t == HOOK || left == 0));
        }
    }
}
