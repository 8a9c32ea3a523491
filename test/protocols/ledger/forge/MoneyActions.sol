// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Books} from "./Books.sol";
import {vm} from "./Vm.sol";

/// What a campaign does. Each really succeeds in each run, which the campaign checks at its end.
enum Action {
    Deposit,
    Withdraw,
    Transfer,
    Donate,
    Open,
    DepositAndOpen,
    TopUp,
    Reclaim,
    Close,
    CloseAgain,
    Settle,
    SettleAgain,
    SettleTwo,
    SettleBatch,
    AcceptPayout,
    AcceptPayoutBySignature,
    SetRelayFee,
    Sweep,
    DepositByAuthorization,
    OpenByAuthorization,
    SettleDirect,
    Trespass,
    Reenter
}

uint256 constant ACTIONS = uint256(type(Action).max) + 1;

/// Money in, out and across; and time.
abstract contract MoneyActions is Books {
    mapping(Action => uint256) public done;

    function deposit(uint256 by, uint256 to, uint256 t, uint256 amount) external {
        (by, to, t, amount) = (by % ACCOUNTS, to % ACCOUNTS, t % TOKENS, _amount(amount));
        uint256 arrived = _pulls(by, t, amount, abi.encodeCall(ITallyLedger.deposit, (address(tokens[t]), accounts[to], amount)));
        require(ledger.balanceOf(accounts[to], address(tokens[t])) == balances[to][t] + arrived, "not what arrived is credited");
        _audit(accounts[by]);
        ++done[Action.Deposit];
    }

    function withdraw(uint256 by, uint256 t, uint256 amount) external {
        (by, t) = _rich(by % ACCOUNTS, t % TOKENS);
        amount = amount % 4 == 0 ? balances[by][t] : amount % (balances[by][t] + 1);
        _must(accounts[by], abi.encodeCall(ITallyLedger.withdraw, (address(tokens[t]), accounts[by], amount)));
        withdrawn[t] += amount;
        _audit(accounts[by]);
        if (amount != 0) ++done[Action.Withdraw];
    }

    function transfer(uint256 by, uint256 to, uint256 t, uint256 amount) external {
        (by, t) = _rich(by % ACCOUNTS, t % TOKENS);
        (to, amount) = (to % ACCOUNTS, amount % (balances[by][t] + 1));
        _must(accounts[by], abi.encodeCall(ITallyLedger.transfer, (address(tokens[t]), accounts[to], amount)));
        _audit(accounts[by]);
        if (amount != 0) ++done[Action.Transfer];
    }

    /// Tokens that come to the ledger unasked belong to nobody.
    function donate(uint256 t, uint256 amount) external {
        (t, amount) = (t % TOKENS, _amount(amount));
        tokens[t].mint(address(ledger), amount);
        donated[t] += amount;
        _auditNothing();
        ++done[Action.Donate];
    }

    function pass(uint256 time) external {
        vm.warp(block.timestamp + time % 3 days);
    }

    // ------------------------------------------------------------------------------------------------ inside

    /// Zero, small, or up to 2^40.
    function _amount(uint256 seed) internal pure returns (uint256) {
        return seed % 16 == 0 ? 0 : seed % 2 == 0 ? seed >> 8 & 0xffff : seed >> 8 & 0xffffffffff;
    }

    function _must(address from, bytes memory data) internal {
        require(_try(from, data), "a call that is in order failed");
    }

    /// A call that takes `amount` out of the wallet of account `by`.
    function _pulls(uint256 by, uint256 t, uint256 amount, bytes memory data) internal returns (uint256 arrived) {
        tokens[t].mint(accounts[by], amount);
        uint256 before = tokens[t].balanceOf(address(ledger));
        _must(accounts[by], data);
        arrived = tokens[t].balanceOf(address(ledger)) - before;
        deposited[t] += arrived;
    }

    /// The next account and token, from those given on, that has a balance; those given when none has.
    function _rich(uint256 by, uint256 t) internal view returns (uint256, uint256) {
        for (uint256 i; i < ACCOUNTS * TOKENS; ++i) {
            uint256 a = (by + i / TOKENS) % ACCOUNTS;
            if (balances[a][(t + i) % TOKENS] != 0) return (a, (t + i) % TOKENS);
        }
        return (by, t);
    }

    /// Gives account `a` a balance of at least `amount`.
    function _fund(uint256 a, uint256 t, uint256 amount) internal {
        if (balances[a][t] >= amount) return;
        uint256 sent = amount + amount / 50 + 1; // the fee is one percent
        _pulls(a, t, sent, abi.encodeCall(ITallyLedger.deposit, (address(tokens[t]), accounts[a], sent)));
        _audit(accounts[a]);
    }
}
