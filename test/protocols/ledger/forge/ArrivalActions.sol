// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {ChannelActions} from "./ChannelActions.sol";
import {Action} from "./MoneyActions.sol";
import {Rule} from "./Rules.sol";
import {Signing} from "./Signing.sol";

/// Money that comes in by somebody else's call: from a deposit address, and by signed authorizations (EIP-3009).
abstract contract ArrivalActions is ChannelActions {
    uint256 private authorizations;

    /// Anybody sweeps, and only the account of the address gains.
    function sweep(uint256 to, uint256 t, uint256 amount) external {
        (to, t, amount) = (to % ACCOUNTS, t % TOKENS, _amount(amount));
        tokens[t].mint(ledger.depositAddress(accounts[to]), amount);
        uint256 before = tokens[t].balanceOf(address(ledger));
        _must(accounts[STRANGER], abi.encodeCall(ITallyLedger.sweep, (accounts[to], address(tokens[t]))));
        uint256 arrived = tokens[t].balanceOf(address(ledger)) - before;
        deposited[t] += arrived;
        require(ledger.balanceOf(accounts[to], address(tokens[t])) == balances[to][t] + arrived, "not what arrived is credited");
        _audit(accounts[STRANGER]);
        if (amount != 0) ++done[Action.Sweep];
    }

    function depositByAuthorization(uint256 by, uint256 to, uint256 amount) external {
        (by, to, amount) = (by % REENTERER, to % ACCOUNTS, 1 + _amount(amount));
        ITallyLedger.Authorization memory a = _authorization(amount);
        _authorize(by, a, keccak256(abi.encode(accounts[to], a.salt)));
        bytes memory good = _depositCall(to, a);
        _handInAuthorization(good, _depositCall((to + 1) % ACCOUNTS, a), amount);
        require(ledger.balanceOf(accounts[to], address(tokens[AUTHORIZED])) == balances[to][AUTHORIZED] + amount, "not credited");
        _audit(accounts[RELAY]);
        _hold(Rule.TrespassFails, !_try(accounts[RELAY], good));
        ++done[Action.DepositByAuthorization];
    }

    function openByAuthorization(uint256 c, uint256 amount, uint256 term) external {
        // the channels of the owners that have keys
        (c, amount) = (c % (3 * TARGETS) * TOKENS + AUTHORIZED, 1 + _amount(amount));
        Parties memory p = channels[c];
        ITallyLedger.Authorization memory a = _authorization(amount);
        uint40 expiry = _expiry(c, term);
        _authorize(_ownerOf(c), a, keccak256(abi.encode(p.signer, accounts[p.target], p.token, expiry, a.salt)));
        bytes memory good = _openCall(p.signer, accounts[p.target], expiry, a);
        bytes memory bad = term % 3 == 0
            ? _openCall(accounts[RELAY], accounts[p.target], expiry, a)
            : term % 3 == 1 ? _openCall(p.signer, accounts[RELAY], expiry, a) : _openCall(p.signer, accounts[p.target], expiry + 1, a);
        reserved[c] += amount;
        _handInAuthorization(good, bad, amount);
        // the signature is the owner's call
        _audit(p.owner);
        _hold(Rule.TrespassFails, !_try(accounts[RELAY], good));
        ++done[Action.OpenByAuthorization];
    }

    // ------------------------------------------------------------------------------------------------ inside

    function _authorization(uint256 amount) private returns (ITallyLedger.Authorization memory a) {
        (a.amount, a.validBefore, a.salt) = (amount, type(uint256).max, bytes32(++authorizations));
    }

    function _authorize(uint256 by, ITallyLedger.Authorization memory a, bytes32 nonce) private {
        address token = address(tokens[AUTHORIZED]);
        a.from = accounts[by];
        (a.v, a.r, a.s) = Signing.authorize(_keyOf(by), token, address(ledger), a.amount, a.validBefore, nonce);
        tokens[AUTHORIZED].mint(a.from, a.amount);
    }

    /// A relay that would do something else with the money cannot; the same authorization then does what was signed.
    function _handInAuthorization(bytes memory good, bytes memory bad, uint256 amount) private {
        _hold(Rule.TrespassFails, !_try(accounts[RELAY], bad));
        _must(accounts[RELAY], good);
        deposited[AUTHORIZED] += amount;
    }

    function _depositCall(uint256 to, ITallyLedger.Authorization memory a) private view returns (bytes memory) {
        return abi.encodeCall(ITallyLedger.depositWithAuthorization, (address(tokens[AUTHORIZED]), accounts[to], a));
    }

    function _openCall(address signer, address target, uint40 expiry, ITallyLedger.Authorization memory a)
        private
        view
        returns (bytes memory)
    {
        address token = address(tokens[AUTHORIZED]);
        return abi.encodeCall(ITallyLedger.depositAndOpenWithAuthorization, (signer, target, token, expiry, a));
    }
}
