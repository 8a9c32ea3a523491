// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Calls} from "./Calls.sol";
import {Action} from "./MoneyActions.sol";
import {PayoutActions} from "./PayoutActions.sol";
import {Rule} from "./Rules.sol";
import {Row, Shown, Signing} from "./Signing.sol";

interface IReenterer {
    function attack(bytes calldata outer, bytes calldata inner) external;
    function entered() external view returns (bool);
}

/// What nobody is entitled to, tried at every state that a campaign reaches; and calls from inside a moving token.
abstract contract TrespassActions is PayoutActions {
    function trespass(uint256 c, uint256 what, uint256 amount) external {
        c = _live(c % CHANNELS);
        _hold(Rule.TrespassFails, !_tryWrong(c, what % 15, amount));
        ++done[Action.Trespass];
    }

    /// The owner with code calls, and calls again while the token moves.
    function reenter(uint256 outer, uint256 inner, uint256 amount) external {
        amount = 1 + _amount(amount);
        _fund(REENTERER, HOOK, amount);
        tokens[HOOK].mint(accounts[REENTERER], 3 * amount);
        bytes memory first = _hooked(outer % 3, amount);
        // a reclaim inside an opening is in order, but not one of the steps that the audit knows
        bytes memory second = _hooked(outer % 3 == 2 && inner % 5 == 3 ? 0 : inner % 5, amount);
        uint256 before = tokens[HOOK].balanceOf(address(ledger));
        uint256 had = _wealth();
        try IReenterer(accounts[REENTERER]).attack(first, second) {
            if (IReenterer(accounts[REENTERER]).entered()) ++done[Action.Reenter];
        } catch {}
        _noteReserved();
        uint256 held = tokens[HOOK].balanceOf(address(ledger));
        // a withdrawal in the middle of a deposit makes less arrive: what is lost belongs to nobody
        uint256 gained = _wealth();
        if (gained >= had) deposited[HOOK] += gained - had;
        else withdrawn[HOOK] += had - gained;
        _hold(Rule.Solvent, gained + before <= had + held);
        _audit(accounts[REENTERER]);
    }

    // ------------------------------------------------------------------------------------------------ inside

    function _tryWrong(uint256 c, uint256 what, uint256 amount) private returns (bool) {
        Parties memory p = channels[c];
        State memory s = states[c];
        (address target, address stranger) = (accounts[p.target], accounts[STRANGER]);
        uint256 t = c % TOKENS;
        if (what == 0) return _try(stranger, abi.encodeCall(ITallyLedger.reclaim, (p.signer, target, p.token)));
        if (what == 1) return _try(p.owner, abi.encodeCall(ITallyLedger.reclaim, (p.signer, target, p.token)));
        if (what == 2) return _closeBy(stranger, c, _keyOf(p.target), s.epoch);
        if (what == 3) return _closeBy(p.owner, c, _keyOf(STRANGER), s.epoch);
        if (what == 4) return _closeBy(p.owner, c, _keyOf(p.target), amount % 2 == 0 || s.epoch == 0 ? s.epoch + 1 : s.epoch - 1);
        if (what == 5) return _settleBy(c, _keyOf(STRANGER), amount);
        if (what == 6) return _settleBy(c, _keyOf(p.target), amount);
        if (what == 7) return _try(stranger, abi.encodeCall(ITallyLedger.withdraw, (p.token, stranger, balances[STRANGER][t] + 1 + amount % 99)));
        if (what == 8) return _try(stranger, abi.encodeCall(ITallyLedger.transfer, (p.token, stranger, balances[STRANGER][t] + 1)));
        if (what == 9) return _openUntil(c, s.expiry - 1); // sooner than the present one
        if (what == 10) return _openUntil(c, uint40(block.timestamp + TERM + 1));
        if (what == 11) return _topUpDead(c);
        if (what == 12) return _try(amount % 2 == 0 ? stranger : p.owner, Calls.acceptPayout(target, p.token));
        if (what == 13) return _try(_notThePayout(p.target, t, amount), Calls.proposePayout(target, p.token, stranger));
        return _try(
            _notThePayout(p.target, t, amount), abi.encodeCall(ITallyLedger.setMaxRelayFee, (target, p.token, uint96(amount)))
        );
    }

    /// A stranger; or the target itself, once it has another payout.
    function _notThePayout(uint256 target, uint256 t, uint256 seed) private view returns (address) {
        bool handedOver = payouts[target - FIRST_TARGET][t] != accounts[target];
        return handedOver && seed % 2 == 0 ? accounts[target] : accounts[STRANGER];
    }

    function _closeBy(address caller, uint256 c, uint256 key, uint24 epoch) private returns (bool) {
        Parties memory p = channels[c];
        (uint96 amount, uint40 deadline) = (states[c].settled, uint40(block.timestamp));
        bytes memory signature = Signing.full(key, Signing.closeDigest(address(ledger), p.id, amount, deadline, epoch));
        return _try(caller, abi.encodeCall(ITallyLedger.close, (p.signer, accounts[p.target], p.token, amount, deadline, signature)));
    }

    /// A promise of the whole deposit that is not signed by the channel's signer.
    function _settleBy(uint256 c, uint256 key, uint256 seed) private returns (bool) {
        Parties memory p = channels[c];
        Row memory row;
        row.owner = seed % 2 == 0 ? p.owner : address(0);
        row.amount = states[c].deposit;
        row.locks = new Shown[](0);
        bytes32 digest = Signing.promiseDigest(address(ledger), row.owner, accounts[p.target], p.token, row.amount, row.locks);
        (row.r, row.vs) = Signing.compact(key, digest);
        return _try(accounts[STRANGER], Calls.settle(accounts[p.target], p.token, row));
    }

    function _openUntil(uint256 c, uint40 expiry) private returns (bool) {
        Parties memory p = channels[c];
        return _try(p.owner, abi.encodeCall(ITallyLedger.open, (p.signer, accounts[p.target], p.token, 0, expiry)));
    }

    /// The next channel that is not live takes no gift, not even of nothing.
    function _topUpDead(uint256 c) private returns (bool) {
        for (uint256 i; i < CHANNELS; ++i) {
            Parties memory p = channels[(c + i) % CHANNELS];
            if (states[(c + i) % CHANNELS].expiry > block.timestamp) continue;
            return _try(accounts[STRANGER], abi.encodeCall(ITallyLedger.topUp, (p.owner, p.signer, accounts[p.target], p.token, 0)));
        }
        return false;
    }

    /// The one channel of the owner with code in the token that calls out, to the first target.
    function _hookedChannel() private pure returns (uint256) {
        return (SIDES - 1) * TARGETS * TOKENS + HOOK;
    }

    function _hooked(uint256 what, uint256 amount) private view returns (bytes memory) {
        uint256 c = _hookedChannel();
        (address token, address self) = (address(tokens[HOOK]), accounts[REENTERER]);
        if (what == 0) return abi.encodeCall(ITallyLedger.deposit, (token, self, amount));
        if (what == 1) return abi.encodeCall(ITallyLedger.withdraw, (token, self, amount));
        Parties memory p = channels[c];
        if (what == 2) {
            return abi.encodeCall(
                ITallyLedger.depositAndOpen, (p.signer, accounts[p.target], token, uint96(amount), _expiry(c, amount))
            );
        }
        if (what == 3) return abi.encodeCall(ITallyLedger.reclaim, (p.signer, accounts[p.target], token));
        return abi.encodeCall(ITallyLedger.topUp, (p.owner, p.signer, accounts[p.target], token, uint96(amount)));
    }

    /// What the attack reserved or took back is not known beforehand.
    function _noteReserved() private {
        uint256 c = _hookedChannel();
        State memory s = _read(c);
        if (s.epoch != states[c].epoch) refunded[c] = reserved[c] - s.settled;
        else reserved[c] += s.deposit - states[c].deposit;
    }

    /// What the owner with code has in the ledger.
    function _wealth() private view returns (uint256) {
        State memory s = _read(_hookedChannel());
        return ledger.balanceOf(accounts[REENTERER], address(tokens[HOOK])) + s.deposit - s.settled;
    }
}
