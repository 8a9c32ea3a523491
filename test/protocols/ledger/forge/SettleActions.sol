// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Calls} from "./Calls.sol";
import {ArrivalActions} from "./ArrivalActions.sol";
import {Action} from "./MoneyActions.sol";
import {Rule} from "./Rules.sol";
import {Row, Shown, Signing} from "./Signing.sol";
import {vm} from "./Vm.sol";

/// Promises: fresh ones, old ones, two of one channel, and whole batches with bad rows among them.
abstract contract SettleActions is ArrivalActions {
    uint256 private constant KEPT = 16;

    error Undone(bytes32 fingerprint);

    Row[KEPT] private kept;
    uint256[KEPT] private keptChannel;
    uint256 private signed;

    function settle(uint256 c, uint256 amount, uint256 locks) external {
        c = _live(c % CHANNELS);
        Row memory row = _row(c, amount, _locks(locks), locks);
        if (_settle(c, row) != 0) ++done[Action.Settle];
        _hold(Rule.PromisePaysTheDifference, _settle(c, row) == 0);
        _keep(c, row);
    }

    /// The target takes the payment to its wallet; with another payout it cannot.
    function settleDirect(uint256 c, uint256 amount, uint256 locks) external {
        c = _live(c % CHANNELS);
        (uint256 t, address target, uint256 target_) = (c % TOKENS, _targetOf(c), channels[c].target - FIRST_TARGET);
        Row memory row = _row(c, amount, _locks(locks), locks);
        (uint256 paid, uint256 settled) = _due(c, row);
        bytes memory data = Calls.settleDirect(channels[c].token, row);
        if (payouts[target_][t] != target) {
            _hold(Rule.TrespassFails, !_try(target, data));
            return;
        }
        uint256 before = tokens[t].balanceOf(target);
        _hold(Rule.PromisePaysTheDifference, _try(target, data) == (paid != 0));
        (sentOut, withdrawn[t]) = (paid, withdrawn[t] + paid);
        uint256 fee = t == HONEST || t == AUTHORIZED ? 0 : paid / 100;
        _hold(Rule.OnlyThePayoutIsPaid, tokens[t].balanceOf(target) == before + paid - fee);
        _auditPaying(target, target_);
        if (paid == 0) return;
        _hold(Rule.PromisePaysTheDifference, states[c].settled == settled);
        ++done[Action.SettleDirect];
    }

    /// An old promise: replayed, overtaken, of a channel that was ended or opened again, with locks that have expired since.
    function settleAgain(uint256 i) external {
        i = i % KEPT;
        if (i >= signed) _keep(i % CHANNELS, _row(i % CHANNELS, i, new Shown[](0), i));
        i = i % signed;
        _settle(keptChannel[i], kept[i]);
        ++done[Action.SettleAgain];
    }

    /// A promise with a lock before and after the moment of the lock's expiry.
    function settleExpired(uint256 c, uint256 amount, uint256 unit) external {
        c = _live(c % CHANNELS);
        Shown[] memory locks = new Shown[](1);
        locks[0] = Shown(bytes32(unit), 3, uint96(1 + unit % 1_000), 3, uint40(block.timestamp + 1));
        Row memory row = _row(c, amount, locks, amount);
        vm.warp(locks[0].expiry);
        uint256 before = states[c].settled;
        uint256 paid = _settle(c, row);
        _hold(Rule.ExpiredLockIsWorthless, paid == 0 || before + paid <= row.amount);
    }

    function settleTwo(uint256 c, uint256 amount, uint256 locks) external {
        c = _live(c % CHANNELS);
        Row memory one = _row(c, amount, _locks(locks), 0);
        Row memory other = _row(c, amount >> 128, _locks(locks >> 128), 0);
        uint256 most = _max(Signing.worth(one.amount, one.locks), Signing.worth(other.amount, other.locks));
        uint256 before = states[c].settled;
        uint256 paid = _settle(c, one) + _settle(c, other);
        uint256 due = _max(most > states[c].deposit ? states[c].deposit : most, before) - before;
        _hold(Rule.PromisesNeverAddUp, paid == due);
        if (paid != 0) ++done[Action.SettleTwo];
    }

    /// Promises of any channels of one target in one token, one of them perhaps twice, and rows that must be skipped.
    function settleBatch(uint256 first, uint256 count, uint256 amount, uint256 seed) external {
        first = _live(first % CHANNELS) % (TARGETS * TOKENS);
        Row[] memory rows = new Row[](1 + count % 6);
        bytes memory packed;
        uint256 target = channels[first].target - FIRST_TARGET;
        for (uint256 i; i < rows.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 c = first + (seed % SIDES) * TARGETS * TOKENS;
            rows[i] = _row(c, amount >> (i * 40), _locks(seed >> 16), seed);
            uint256 spoilt = (seed >> 8) % 12;
            if (spoilt == 0) ++rows[i].amount; // not what was signed
            if (spoilt == 1) rows[i].vs = bytes32(seed);
            if (spoilt == 2 && rows[i].locks.length != 0) rows[i].locks[0].k = rows[i].locks[0].steps + 1;
            if (spoilt == 3) rows[i].owner = accounts[STRANGER];
            packed = bytes.concat(packed, Signing.encode(rows[i]));
        }
        bytes32 expected = _oneByOne(target, channels[first].token, rows);
        _must(accounts[RELAY], abi.encodeCall(ITallyLedger.settleBatch, (_targetOf(first), channels[first].token, packed)));
        _hold(Rule.BatchEqualsItems, _fingerprint(target) == expected);
        if (_auditPaying(accounts[RELAY], target)) ++done[Action.SettleBatch];
    }

    /// Settles each row by itself and undoes it all by reverting with what the ledger knew then.
    function settleOneByOne(uint256 target, address token, Row[] memory rows) external {
        require(msg.sender == address(this));
        for (uint256 i; i < rows.length; ++i) {
            _try(accounts[RELAY], Calls.settle(accounts[FIRST_TARGET + target], token, rows[i]));
        }
        revert Undone(_fingerprint(target));
    }

    // ------------------------------------------------------------------------------------------------ inside

    function _oneByOne(uint256 target, address token, Row[] memory rows) private returns (bytes32 fingerprint) {
        try this.settleOneByOne(target, token, rows) {}
        catch (bytes memory undone) {
            require(undone.length == 36 && bytes4(undone) == Undone.selector, "the items cannot be settled one by one");
            assembly ("memory-safe") {
                fingerprint := mload(add(undone, 0x24))
            }
        }
    }

    /// A promise of channel `c` around what is settled and what is reserved: below, within, a little above.
    function _row(uint256 c, uint256 amount, Shown[] memory locks, uint256 seed) private returns (Row memory row) {
        State memory s = states[c];
        uint256 low = s.settled - s.settled / 8;
        uint256 most = s.deposit + s.deposit / 8 + 1;
        row = _promise(c, uint96(low + amount % (most - low)), locks, seed % 5 == 0);
        promised[c] = _max(promised[c], Signing.worth(row.amount, locks));
    }

    /// Settles, and judges that the ledger paid what it had to, or refused.
    function _settle(uint256 c, Row memory row) private returns (uint256 paid) {
        uint256 settled;
        (paid, settled) = _due(c, row);
        bool ok = _try(accounts[RELAY], Calls.settle(_targetOf(c), channels[c].token, row));
        _hold(Rule.PromisePaysTheDifference, ok == (paid != 0));
        if (!ok) return 0;
        _auditPaying(accounts[RELAY], channels[c].target - FIRST_TARGET);
        _hold(Rule.PromisePaysTheDifference, states[c].settled == settled);
    }

    /// What the ledger has to pay for a promise now, and what it has settled then.
    function _due(uint256 c, Row memory row) private view returns (uint256 paid, uint256 settled) {
        State memory s = states[c];
        uint256 value = Signing.worth(row.amount, row.locks);
        settled = value > s.deposit ? s.deposit : value;
        paid = settled > s.settled ? settled - s.settled : 0;
    }

    function _keep(uint256 c, Row memory row) private {
        uint256 place = signed < KEPT ? signed++ : uint256(row.r) % KEPT;
        Row storage slot = kept[place];
        (slot.owner, slot.amount, slot.r, slot.vs) = (row.owner, row.amount, row.r, row.vs);
        delete slot.locks;
        for (uint256 i; i < row.locks.length; ++i) {
            slot.locks.push(row.locks[i]);
        }
        keptChannel[place] = c;
    }

    function _max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }
}
