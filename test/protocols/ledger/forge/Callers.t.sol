// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Bench} from "./Bench.sol";
import {Calls} from "./Calls.sol";
import {ITestToken} from "./World.sol";
import {vm} from "./Vm.sol";

interface IMulticall {
    function multicall(bytes[] calldata data) external returns (bytes[] memory);
}

/// Who calls, through whom, and which addresses and states no call may have.
contract CallersTest is Bench {
    /// The storage slot of a channel, wherever the mapping lies.
    function _slotOf(uint256 c) private view returns (bytes32 slot) {
        for (uint256 n; n < 32; ++n) {
            slot = keccak256(abi.encode(channels[c].id, n));
            if (vm.load(address(ledger), slot) != 0) return slot;
        }
        revert("the channel has no slot");
    }

    function _refused(address from, bytes memory data, bytes memory expected) private {
        vm.prank(from);
        (bool ok, bytes memory result) = address(ledger).call(data);
        require(!ok && keccak256(result) == keccak256(expected), "not refused, or for another reason");
    }

    function testFuzz_noAddressMayBeZero(uint96 amount) external {
        (address owner, address token) = (accounts[0], channels[SELF].token);
        bytes memory expected = abi.encodeWithSelector(ITallyLedger.InvalidAddress.selector, address(0));
        tokens[HONEST].mint(owner, uint256(2) * amount);
        vm.prank(owner);
        ledger.deposit(token, owner, amount);
        uint40 expiry = uint40(block.timestamp + 1);
        _refused(owner, abi.encodeCall(ITallyLedger.deposit, (token, address(0), amount)), expected);
        _refused(owner, abi.encodeCall(ITallyLedger.withdraw, (token, address(0), amount)), expected);
        _refused(owner, abi.encodeCall(ITallyLedger.sweep, (address(0), token)), expected);
        ITallyLedger.Authorization memory none_;
        _refused(owner, abi.encodeCall(ITallyLedger.depositWithAuthorization, (token, address(0), none_)), expected);
        _refused(owner, abi.encodeCall(ITallyLedger.transfer, (token, address(0), amount)), expected);
        _refused(owner, abi.encodeCall(ITallyLedger.open, (address(0), _targetOf(SELF), token, amount, expiry)), expected);
        _refused(owner, abi.encodeCall(ITallyLedger.open, (owner, address(0), token, amount, expiry)), expected);
        expected = abi.encodeWithSelector(ITallyLedger.InvalidAddress.selector, address(ledger));
        _refused(owner, abi.encodeCall(ITallyLedger.withdraw, (token, address(ledger), amount)), expected);
    }

    function testFuzz_theZeroAddressIsNobodysPayout(bytes calldata signature) external {
        (address target, address token) = (_targetOf(C), channels[C].token);
        require(_try(target, Calls.proposePayout(target, token, address(0))), "a proposal cannot be taken back");
        require(!_try(address(0), Calls.acceptPayout(target, token)), "zero accepted");
        require(!_try(target, Calls.acceptPayoutWithSignature(target, token, address(0), uint40(block.timestamp), signature)), "zero signed");
    }

    function testFuzz_anAcceptanceIsLateAfterItsDeadline(uint40 deadline) external {
        deadline = uint40(_bound(deadline, 0, block.timestamp - 1));
        bytes memory expected = abi.encodeWithSelector(ITallyLedger.DeadlinePassed.selector, deadline);
        _refused(accounts[RELAY], Calls.acceptPayoutWithSignature(_targetOf(C), channels[C].token, accounts[FIRST_PAYOUT], deadline, ""), expected);
    }

    /// The last epoch still gives everything back, and then the channel opens no more; the epoch never wraps to one that was signed before.
    function testFuzz_theEpochNeverWraps(uint96 amount, bool byClose) external {
        _open(C, uint96(_bound(amount, 1, type(uint96).max)));
        bytes32 slot = _slotOf(C);
        uint256 raw = uint256(vm.load(address(ledger), slot));
        vm.store(address(ledger), slot, bytes32(raw & type(uint232).max | uint256(type(uint24).max - 1) << 232));
        Parties memory p = channels[C];
        (uint96 deposit,,,) = ledger.channel(p.id);
        vm.warp(block.timestamp + 2 days);
        vm.prank(p.owner);
        ledger.reclaim(p.signer, accounts[p.target], p.token);
        (,,, uint24 epoch) = ledger.channel(p.id);
        require(epoch == type(uint24).max && ledger.balanceOf(p.owner, p.token) == deposit, "the last epoch keeps something");
        uint40 expiry = uint40(block.timestamp + 1);
        bytes memory data = byClose
            ? abi.encodeCall(ITallyLedger.depositAndOpen, (p.signer, accounts[p.target], p.token, 0, expiry))
            : abi.encodeCall(ITallyLedger.open, (p.signer, accounts[p.target], p.token, 0, expiry));
        _refused(p.owner, data, abi.encodeWithSelector(ITallyLedger.EpochsUsedUp.selector, p.id));
    }

    function testFuzz_theForwarderIsBelievedAndNobodyElse(address caller, uint96 amount) external {
        (address owner, address other, address token) = (accounts[0], accounts[1], channels[SELF].token);
        tokens[HONEST].mint(owner, amount);
        vm.prank(owner);
        ledger.deposit(token, owner, amount);
        vm.assume(caller != FORWARDER && caller != owner && amount != 0);
        bytes memory data = abi.encodePacked(abi.encodeCall(ITallyLedger.transfer, (token, other, amount)), owner);
        require(!_try(caller, data), "an appended sender was believed");
        require(_try(FORWARDER, data) && ledger.balanceOf(other, token) == amount, "the forwarder was not believed");
    }

    function testFuzz_multicallPassesTheSenderOnAndFailsAsAWhole(uint96 amount, bool spoilt) external {
        (address owner, address other, address token) = (accounts[0], accounts[1], channels[SELF].token);
        amount = uint96(_bound(amount, 2, type(uint96).max));
        tokens[HONEST].mint(owner, amount);
        bytes[] memory steps = new bytes[](3);
        steps[0] = abi.encodeCall(ITallyLedger.deposit, (token, owner, amount));
        steps[1] = abi.encodeCall(ITallyLedger.transfer, (token, other, amount / 2));
        steps[2] = abi.encodeCall(ITallyLedger.withdraw, (token, other, amount - amount / 2 + (spoilt ? 1 : 0)));
        bool ok = _try(FORWARDER, abi.encodePacked(abi.encodeCall(IMulticall.multicall, (steps)), owner));
        require(ok == !spoilt, "not all or nothing");
        require(ledger.balanceOf(owner, token) == 0 && ledger.balanceOf(other, token) == (spoilt ? 0 : amount / 2), "not as signed");
        require(ITestToken(token).balanceOf(owner) == (spoilt ? amount : 0), "not as signed");
    }

    function test_theViewsSayWhatIsSoAndWhatIsProposed() external {
        (address target, address token) = (_targetOf(C), channels[C].token);
        require(ledger.proposedPayoutOf(target, token) == address(0) && ledger.payoutNonce(target, token) == 0, "something is proposed");
        require(_try(target, Calls.proposePayout(target, token, accounts[FIRST_PAYOUT])) && ledger.proposedPayoutOf(target, token) == accounts[FIRST_PAYOUT], "nothing is");
        require(_try(accounts[FIRST_PAYOUT], Calls.acceptPayout(target, token)) && ledger.payoutNonce(target, token) == 1, "the nonce stays");
        bytes memory fee = abi.encodeCall(ITallyLedger.setMaxRelayFee, (target, token, 7));
        require(_try(accounts[FIRST_PAYOUT], fee) && ledger.maxRelayFee(target, token) == 7, "the fee is another");
    }
}
