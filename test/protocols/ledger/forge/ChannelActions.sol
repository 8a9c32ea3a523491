// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Action, MoneyActions} from "./MoneyActions.sol";
import {Rule} from "./Rules.sol";
import {Signing} from "./Signing.sol";
import {vm} from "./Vm.sol";

/// Reservations: opened, extended, topped up, taken back, closed.
abstract contract ChannelActions is MoneyActions {
    struct SignedClose {
        uint256 channel;
        uint96 amount;
        uint40 deadline;
        uint24 epoch;
        bytes signature;
        bool used;
    }

    SignedClose[] internal closes;

    function open(uint256 c, uint256 amount, uint256 term) external {
        c = c % CHANNELS;
        _open(c, _amount(amount), term);
        ++done[Action.Open];
    }

    function depositAndOpen(uint256 c, uint256 amount, uint256 term) external {
        (c, amount) = (c % CHANNELS, _amount(amount));
        Parties memory p = channels[c];
        bytes memory data = abi.encodeCall(
            ITallyLedger.depositAndOpen, (p.signer, accounts[p.target], p.token, uint96(amount), _expiry(c, term))
        );
        reserved[c] += _pulls(_ownerOf(c), c % TOKENS, amount, data);
        _audit(p.owner);
        ++done[Action.DepositAndOpen];
    }

    function topUp(uint256 c, uint256 by, uint256 amount) external {
        (c, by, amount) = (_live(c % CHANNELS), by % ACCOUNTS, _amount(amount));
        Parties memory p = channels[c];
        _fund(by, c % TOKENS, amount);
        reserved[c] += amount;
        _must(accounts[by], abi.encodeCall(ITallyLedger.topUp, (p.owner, p.signer, accounts[p.target], p.token, uint96(amount))));
        _audit(accounts[by]);
        if (amount != 0) ++done[Action.TopUp];
    }

    /// Also one second too early, if there is still time.
    function reclaim(uint256 c) external {
        c = _live(c % CHANNELS);
        State memory s = states[c];
        if (block.timestamp < s.expiry) {
            vm.warp(s.expiry - 1);
            _hold(Rule.OwnerGetsTheRest, !_reclaim(c));
            vm.warp(s.expiry);
        }
        uint256 before = balances[_ownerOf(c)][c % TOKENS];
        refunded[c] += s.deposit - s.settled;
        _hold(Rule.OwnerGetsTheRest, _reclaim(c));
        _audit(channels[c].owner);
        _hold(Rule.OwnerGetsTheRest, balances[_ownerOf(c)][c % TOKENS] == before + s.deposit - s.settled);
        _hold(Rule.OwnerGetsTheRest, !_reclaim(c));
        ++done[Action.Reclaim];
    }

    function close(uint256 c, uint256 amount, uint256 time) external {
        c = _live(c % CHANNELS);
        _sign(c, amount, time);
        // a third of the signatures is kept back for later
        if (time % 3 == 0) return;
        _handIn(closes.length - 1);
        ++done[Action.Close];
    }

    /// Whatever has become of the channel: used, ended, re-opened, settled further, late.
    function closeAgain(uint256 i) external {
        if (closes.length == 0) _sign(_live(i % CHANNELS), i >> 8, 0);
        _handIn(i % closes.length);
        ++done[Action.CloseAgain];
    }

    // ------------------------------------------------------------------------------------------------ inside

    function _sign(uint256 c, uint256 amount, uint256 time) private {
        State memory s = states[c];
        uint96 final_ = s.settled + uint96(amount % (uint256(s.deposit - s.settled) + 1));
        uint40 deadline = uint40(block.timestamp + time % 1 days);
        bytes32 digest = Signing.closeDigest(address(ledger), channels[c].id, final_, deadline, s.epoch);
        bytes memory signature = Signing.full(_keyOf(channels[c].target), digest);
        closes.push(SignedClose(c, final_, deadline, s.epoch, signature, false));
    }

    /// Hands in a close, and judges whether the ledger took it exactly when it had to.
    function _handIn(uint256 i) private {
        SignedClose memory k = closes[i];
        (uint256 c, State memory s) = (k.channel, states[k.channel]);
        bool good = s.expiry != 0 && k.epoch == s.epoch && block.timestamp <= k.deadline && k.amount >= s.settled && k.amount <= s.deposit;
        if (k.used) _hold(Rule.CloseWorksOnce, !good);
        uint256 before = promised[c];
        if (good) {
            if (k.amount > before) promised[c] = k.amount;
            refunded[c] += s.deposit - k.amount;
            closes[i].used = true;
        }
        _hold(Rule.CloseWorksOnce, _close(k) == good);
        if (!good) return;
        _auditPaying(channels[c].owner, channels[c].target - FIRST_TARGET);
        _hold(Rule.CloseWorksOnce, !_close(k));
    }

    function _close(SignedClose memory k) internal returns (bool) {
        Parties memory p = channels[k.channel];
        return _try(
            p.owner,
            abi.encodeCall(ITallyLedger.close, (p.signer, accounts[p.target], p.token, k.amount, k.deadline, k.signature))
        );
    }

    function _reclaim(uint256 c) internal returns (bool) {
        Parties memory p = channels[c];
        return _try(p.owner, abi.encodeCall(ITallyLedger.reclaim, (p.signer, accounts[p.target], p.token)));
    }

    function _open(uint256 c, uint256 amount, uint256 term) internal {
        Parties memory p = channels[c];
        _fund(_ownerOf(c), c % TOKENS, amount);
        reserved[c] += amount;
        _must(
            p.owner,
            abi.encodeCall(ITallyLedger.open, (p.signer, accounts[p.target], p.token, uint96(amount), _expiry(c, term)))
        );
        _audit(p.owner);
    }

    /// An expiry that the channel can have now: the present one, the soonest, the latest, or one of the days to come.
    function _expiry(uint256 c, uint256 term) internal view returns (uint40) {
        uint256 soonest = states[c].expiry > block.timestamp ? states[c].expiry : block.timestamp + 1;
        uint256 latest = block.timestamp + TERM;
        if (term % 32 == 0) return uint40(latest);
        uint256 later = soonest + (term % 4 == 0 ? 0 : term % 4 days);
        return uint40(later > latest ? latest : later);
    }

    /// The next live channel from `c` on; `c` itself, newly opened, when none is.
    function _live(uint256 c) internal returns (uint256) {
        for (uint256 i; i < CHANNELS; ++i) {
            State storage s = states[(c + i) % CHANNELS];
            if (s.expiry > block.timestamp && s.deposit > s.settled) return (c + i) % CHANNELS;
        }
        _open(c, 1_000_000, 1 days + 1);
        return c;
    }
}
