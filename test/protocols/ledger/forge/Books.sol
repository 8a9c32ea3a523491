// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Judge, Rule} from "./Rules.sol";
import {World} from "./World.sol";

/// What the ledger said after the last call, what the campaign itself knows of the money, and the audit that compares the two.
abstract contract Books is World, Judge {
    struct State {
        uint96 deposit;
        uint96 settled;
        uint40 expiry;
        uint24 epoch;
    }

    uint256[TOKENS][ACCOUNTS] internal balances;
    State[CHANNELS] internal states;
    address[TOKENS][TARGETS] internal payouts;

    // what the campaign put in and took out
    uint256[TOKENS] internal deposited;
    uint256[TOKENS] internal withdrawn;
    uint256[TOKENS] internal donated;
    uint256[CHANNELS] internal reserved;
    uint256[CHANNELS] internal refunded;
    uint256[CHANNELS] internal promised;
    uint256[TOKENS][TARGETS] internal fees;
    /// what the call that is audited next sent to a wallet instead of crediting it
    uint256 internal sentOut;

    constructor() {
        for (uint256 t; t < TARGETS; ++t) {
            for (uint256 i; i < TOKENS; ++i) {
                payouts[t][i] = accounts[FIRST_TARGET + t];
            }
        }
    }

    /// After a call by `actor` that pays no target.
    function _audit(address actor) internal {
        _auditPaying(actor, TARGETS);
    }

    /// After a call that succeeded and must have changed nothing of this. A call that failed is not audited: it cannot change anything.
    function _auditNothing() internal {
        _hold(Rule.TrespassFails, !_auditPaying(address(0), TARGETS));
    }

    /// Reads all that the ledger knows, judges how it came to be since the last audit, by a call of `actor` that pays no other target
    /// than number `target`, and remembers it. Answers whether anything has changed.
    function _auditPaying(address actor, uint256 target) internal returns (bool changed) {
        uint256[TOKENS] memory sum;
        uint256[TOKENS] memory paid;
        for (uint256 c; c < CHANNELS; ++c) {
            (uint256 rise, uint256 rest, bool moved) = _auditChannel(c, actor);
            changed = changed || moved;
            paid[c % TOKENS] += rise;
            sum[c % TOKENS] += rest;
            if (rise != 0) _hold(Rule.OnlyThePayoutIsPaid, channels[c].target == FIRST_TARGET + target);
        }
        for (uint256 t; t < TOKENS; ++t) {
            uint256 credited;
            for (uint256 a; a < ACCOUNTS; ++a) {
                uint256 balance = ledger.balanceOf(accounts[a], address(tokens[t]));
                uint256 before = balances[a][t];
                sum[t] += balance;
                if (balance == before) continue;
                if (balance < before) _hold(Rule.NobodyMovesAnothersBalance, accounts[a] == actor);
                else if (paid[t] != 0) credited += _auditCredit(a, t, target, balance - before);
                (balances[a][t], changed) = (balance, true);
            }
            if (paid[t] != 0) _hold(Rule.OnlyThePayoutIsPaid, credited + sentOut == paid[t]);
            uint256 held = tokens[t].balanceOf(address(ledger)) - donated[t];
            _hold(Rule.Solvent, t == HOOK ? sum[t] <= held : sum[t] == held);
            _hold(Rule.PaidOutWithinDeposited, sum[t] + withdrawn[t] == deposited[t]);
        }
        sentOut = 0;
        for (uint256 t; t < TARGETS * TOKENS; ++t) {
            address payout = ledger.payoutOf(accounts[FIRST_TARGET + t / TOKENS], address(tokens[t % TOKENS]));
            _hold(Rule.OnlyThePayoutChangesThePayout, payout == payouts[t / TOKENS][t % TOKENS]);
        }
    }

    /// Account `a` got `rise` while target number `target` was paid; what an owner got back is no payment.
    function _auditCredit(uint256 a, uint256 t, uint256 target, uint256 rise) private returns (uint256) {
        if (a < FIRST_TARGET) return 0;
        if (accounts[a] == payouts[target][t]) return rise;
        _hold(Rule.OnlyThePayoutIsPaid, a == FIRST_TARGET + target && rise <= fees[target][t]);
        return rise;
    }

    /// @return rise what the channel paid since the last audit
    /// @return rest what is reserved in it now
    /// @return changed whether it is another than at the last audit
    function _auditChannel(uint256 c, address actor) private returns (uint256 rise, uint256 rest, bool changed) {
        State memory s = _read(c);
        State memory before = states[c];
        _hold(Rule.SettledOnlyRises, s.settled >= before.settled && s.settled <= s.deposit);
        // unchecked: when this wraps, the rule above is broken already
        unchecked {
            rise = s.settled - before.settled;
            rest = s.deposit - s.settled;
            _hold(Rule.ChannelAddsUp, reserved[c] == s.settled + refunded[c] + rest);
        }
        changed = s.deposit != before.deposit || s.settled != before.settled || s.expiry != before.expiry || s.epoch != before.epoch;
        if (!changed) return (rise, rest, false);

        bool byOwner = actor == channels[c].owner;
        _hold(Rule.PaidWithinPromised, s.settled <= promised[c]);
        if (s.epoch == before.epoch) {
            _hold(Rule.OnlyTheOwnerExtends, s.expiry == before.expiry || (s.expiry > before.expiry && byOwner));
            _hold(Rule.OnlyTheOwnerExtends, s.expiry <= block.timestamp + TERM && s.deposit >= before.deposit);
        } else {
            _hold(Rule.EpochEndsByTheOwner, s.epoch == before.epoch + 1 && byOwner && s.expiry == 0 && rest == 0);
        }
        states[c] = s;
    }

    function _read(uint256 c) internal view returns (State memory s) {
        (s.deposit, s.settled, s.expiry, s.epoch) = ledger.channel(channels[c].id);
    }

    /// All that the ledger knows of this world, in one word. What target number `target` and its payout have counts as one sum: how
    /// much the target keeps for a relay depends on the number of calls.
    function _fingerprint(uint256 target) internal view returns (bytes32 print) {
        for (uint256 c; c < CHANNELS; ++c) {
            print = keccak256(abi.encode(print, _read(c)));
        }
        for (uint256 t; t < TOKENS; ++t) {
            uint256 paid;
            for (uint256 a; a < ACCOUNTS; ++a) {
                uint256 balance = ledger.balanceOf(accounts[a], address(tokens[t]));
                if (a == FIRST_TARGET + target || accounts[a] == payouts[target][t]) paid += balance;
                else print = keccak256(abi.encode(print, balance));
            }
            print = keccak256(abi.encode(print, paid));
        }
    }
}
