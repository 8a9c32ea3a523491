// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Calls} from "./Calls.sol";
import {Row, Shown, Signing} from "./Signing.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// What the fuzz tests have in common: one open channel, and the words in which they are written.
abstract contract Bench is World {
    /// Owner and signer are two keys, the token an honest one.
    uint256 internal constant C = 3 * TARGETS * TOKENS;
    /// The same target and token, the owner signs for itself.
    uint256 internal constant SELF = 0;
    Shown[] internal none;

    function _bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }

    function _open(uint256 c, uint96 amount) internal {
        Parties memory p = channels[c];
        tokens[c % TOKENS].mint(p.owner, amount);
        vm.prank(p.owner);
        ledger.depositAndOpen(p.signer, accounts[p.target], p.token, amount, uint40(block.timestamp + 1 days));
    }

    /// Hands in one promise and answers what the target got.
    function _settle(uint256 c, Row memory row) internal returns (uint256) {
        uint256 before = _earned(c);
        _try(accounts[RELAY], Calls.settle(_targetOf(c), channels[c].token, row));
        return _earned(c) - before;
    }

    function _batch(uint256 c, bytes memory rows) internal returns (bool ok, bytes memory result) {
        bytes memory data = abi.encodeCall(ITallyLedger.settleBatch, (_targetOf(c), channels[c].token, rows));
        vm.prank(accounts[RELAY]);
        return address(ledger).call(data);
    }

    function _earned(uint256 c) internal view returns (uint256) {
        return ledger.balanceOf(_targetOf(c), channels[c].token);
    }

    function _settled(uint256 c) internal view returns (uint96 settled) {
        (, settled,,) = ledger.channel(channels[c].id);
    }

    function _error(bytes memory result) internal pure returns (bytes4) {
        return bytes4(result);
    }

    function _slice(bytes memory data, uint256 length) internal pure returns (bytes memory part) {
        part = new bytes(length);
        for (uint256 i; i < length; ++i) {
            part[i] = data[i];
        }
    }
}
