// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Bench} from "./Bench.sol";
import {Calls} from "./Calls.sol";
import {Signing} from "./Signing.sol";
import {ITestToken} from "./World.sol";
import {vm} from "./Vm.sol";

interface IPermitToken is ITestToken {
    function nonces(address owner) external view returns (uint256);
    function DOMAIN_SEPARATOR() external view returns (bytes32);
    function allowance(address owner, address spender) external view returns (uint256);
}

/// Any amounts, also of tokens of an absurd supply; permits; and who is credited.
contract MoneyTest is Bench {
    bytes32 private constant PERMIT = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function _permit(IPermitToken token, uint256 key, uint256 value, uint256 deadline)
        private
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        address owner = vm.addr(key);
        bytes32 hash = keccak256(abi.encode(PERMIT, owner, address(ledger), value, token.nonces(owner), deadline));
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), hash)));
    }

    function testFuzz_whatComesInGoesOutToTheUnit(uint96 amount, uint256 part, uint256 t) external {
        (address owner, address other) = (accounts[0], accounts[1]);
        ITestToken token = tokens[t % TOKENS];
        token.mint(owner, amount);
        vm.prank(owner);
        ledger.deposit(address(token), owner, amount);
        uint256 arrived = token.balanceOf(address(ledger));
        require(ledger.balanceOf(owner, address(token)) == arrived, "not what arrived is credited");
        part = part % (arrived + 1);
        vm.prank(owner);
        ledger.transfer(address(token), other, part);
        vm.prank(other);
        ledger.withdraw(address(token), other, part);
        vm.prank(owner);
        ledger.withdraw(address(token), owner, arrived - part);
        require(token.balanceOf(address(ledger)) == 0, "something stays behind");
        require(ledger.balanceOf(owner, address(token)) + ledger.balanceOf(other, address(token)) == 0, "something is owed still");
    }

    function testFuzz_moreThanTheBalanceMovesNowhere(uint96 amount, uint256 more, uint256 how) external {
        (address owner, address token) = (accounts[0], channels[0].token);
        tokens[HONEST].mint(owner, amount);
        vm.prank(owner);
        ledger.deposit(token, owner, amount);
        more = _bound(more, uint256(amount) + 1, type(uint256).max);
        bytes memory data = how % 2 == 0
            ? abi.encodeCall(ITallyLedger.withdraw, (token, owner, more))
            : abi.encodeCall(ITallyLedger.transfer, (token, owner, more));
        require(!_try(owner, data) && ledger.balanceOf(owner, token) == amount, "more than the balance moved");
    }

    function testFuzz_aDepositAbove96BitsIsRefusedAndNeverCut(uint96 first, uint96 more) external {
        _open(C, first);
        bool fits = uint256(first) + more <= type(uint96).max;
        Parties memory p = channels[C];
        tokens[HONEST].mint(p.owner, more);
        bytes memory data = abi.encodeCall(
            ITallyLedger.depositAndOpen, (p.signer, accounts[p.target], p.token, more, uint40(block.timestamp + 1 days))
        );
        require(_try(p.owner, data) == fits, "not exactly what fits is taken");
        (uint96 deposit,,,) = ledger.channel(p.id);
        require(deposit == (fits ? uint256(first) + more : first), "the deposit was cut");
    }

    function testFuzz_aBalanceAbove96BitsIsRefusedAndNeverCut(uint96 first, uint96 more) external {
        (address owner, address token) = (accounts[0], channels[SELF].token);
        bool fits = uint256(first) + more <= type(uint96).max;
        tokens[HONEST].mint(owner, uint256(first) + more);
        vm.prank(owner);
        ledger.deposit(token, owner, first);
        require(_try(owner, abi.encodeCall(ITallyLedger.deposit, (token, owner, more))) == fits, "not exactly what fits is taken");
        require(ledger.balanceOf(owner, token) == (fits ? uint256(first) + more : first), "the balance was cut");
        require(ledger.payoutOf(owner, token) == owner, "the balance runs over into the payout");
    }

    function testFuzz_anAuthorizationDoesWhatItsNonceSaysOnce(uint96 amount, address account, bytes32 salt, uint256 what) external {
        (address token, uint256 value) = (address(tokens[AUTHORIZED]), _bound(amount, 1, type(uint96).max));
        tokens[AUTHORIZED].mint(accounts[0], value);
        account = account == address(0) || account == accounts[0] ? accounts[1] : account;
        bytes32 nonce = keccak256(abi.encode(account, salt));
        (uint8 v, bytes32 r, bytes32 s) = Signing.authorize(_keyOf(0), token, address(ledger), value, block.timestamp + 1, nonce);
        ITallyLedger.Authorization memory a =
            ITallyLedger.Authorization(accounts[0], value, 0, block.timestamp + 1, salt, v, r, s);
        bytes memory good = abi.encodeCall(ITallyLedger.depositWithAuthorization, (token, account, a));
        if (what % 3 == 0) a.salt = bytes32(uint256(salt) ^ (1 << (what >> 8 & 0xff)));
        if (what % 3 == 1) a.amount = value - 1;
        address other = what % 3 == 2 ? accounts[RELAY] : account;
        bytes memory bad = abi.encodeCall(ITallyLedger.depositWithAuthorization, (token, other, a));
        if (other != account || what % 3 != 2) require(!_try(accounts[RELAY], bad), "something else was done with the money");
        require(_try(accounts[RELAY], good) && ledger.balanceOf(account, token) == value, "what was signed was not done");
        require(!_try(accounts[RELAY], good), "it was done twice");
    }

    function test_aTokenThatAnswersAuthorizationsWithSilenceCreditsNothing() external {
        address token = vm.deployCode("AuthorizationToken.sol:SilentToken");
        ITallyLedger.Authorization memory a;
        (a.from, a.amount, a.validBefore) = (accounts[0], 100, type(uint256).max);
        (bool ok, bytes memory result) =
            address(ledger).call(abi.encodeCall(ITallyLedger.depositWithAuthorization, (token, accounts[1], a)));
        require(!ok && _error(result) == ITallyLedger.NothingReceived.selector, "nothing arrived, and something was credited");
    }

    function testFuzz_aDepositBoxIsEmptiedByTheLedgerOnlyAndIntoItsAccountOnly(address account, uint96 first, uint96 second) external {
        account = account == address(0) ? accounts[0] : account;
        address box = ledger.depositAddress(account);
        (uint256 a, uint256 b) = (first / 2, second / 2);
        tokens[HONEST].mint(box, a);
        require(ledger.sweep(account, channels[SELF].token) == a, "another amount was swept");
        tokens[HONEST].mint(box, b);
        vm.prank(accounts[STRANGER]);
        (bool ok,) = box.call(abi.encodeWithSignature("empty(address)", channels[SELF].token));
        require(!ok && tokens[HONEST].balanceOf(box) == b, "a stranger emptied the box");
        require(ledger.sweep(account, channels[SELF].token) == b, "another amount was swept");
        require(ledger.balanceOf(account, channels[SELF].token) == a + b, "another account got it");
    }

    function testFuzz_settleDirectPaysTheWalletOfATargetThatIsItsOwnPayout(uint96 amount, bool handedOver, uint256 by) external {
        (address target, address token, address payout) = (_targetOf(C), channels[C].token, accounts[FIRST_PAYOUT]);
        amount = uint96(_bound(amount, 1, type(uint96).max));
        _open(C, amount);
        bytes memory data = Calls.settleDirect(token, _promise(C, amount, none, false));
        address caller = accounts[by % ACCOUNTS];
        if (caller != target) require(!_try(caller, data), "somebody else took the payment");
        if (handedOver) {
            require(_try(target, Calls.proposePayout(target, token, payout)) && _try(payout, Calls.acceptPayout(target, token)));
        }
        require(_try(target, data) == !handedOver, "not exactly a target that is its own payout");
        require(tokens[HONEST].balanceOf(target) == (handedOver ? 0 : amount), "another amount reached the wallet");
        require(_earned(C) == 0 && _settled(C) == (handedOver ? 0 : amount), "it was credited as well");
    }

    function testFuzz_anExpiryLiesBetweenThePresentOneAndTwoYears(uint40 first, uint40 second) external {
        Parties memory p = channels[C];
        first = uint40(_bound(first, block.timestamp + 1, block.timestamp + TERM));
        vm.prank(p.owner);
        ledger.open(p.signer, accounts[p.target], p.token, 0, first);
        bytes memory data = abi.encodeCall(ITallyLedger.open, (p.signer, accounts[p.target], p.token, 0, second));
        require(_try(p.owner, data) == (second >= first && second <= block.timestamp + TERM), "not exactly what is in range is taken");
    }

    function testFuzz_aPermitMakesOneDeposit(uint96 amount, uint256 deadline) external {
        IPermitToken token = IPermitToken(vm.deployCode("TestToken.sol:TestToken"));
        (uint256 key, uint256 value) = (_keyOf(0), _bound(amount, 0, 1e12));
        deadline = _bound(deadline, block.timestamp, type(uint256).max);
        token.mint(accounts[0], value);
        (uint8 v, bytes32 r, bytes32 s) = _permit(token, key, value, deadline);
        vm.prank(accounts[0]);
        ledger.depositWithPermit(address(token), accounts[0], value, deadline, v, r, s);
        require(ledger.balanceOf(accounts[0], address(token)) == value && token.allowance(accounts[0], address(ledger)) == 0, "not so");
    }

    function testFuzz_aPermitMakesOneOpening(uint96 amount) external {
        IPermitToken token = IPermitToken(vm.deployCode("TestToken.sol:TestToken"));
        (address owner, address target, uint256 value) = (accounts[0], accounts[FIRST_TARGET], _bound(amount, 0, 1e12));
        token.mint(owner, value);
        (uint8 v, bytes32 r, bytes32 s) = _permit(token, _keyOf(0), value, block.timestamp);
        uint40 expiry = uint40(block.timestamp + 1);
        vm.prank(owner);
        ledger.depositAndOpenWithPermit(owner, target, address(token), uint96(value), expiry, block.timestamp, v, r, s);
        (uint96 deposit,,,) = ledger.channel(ledger.channelId(owner, owner, target, address(token)));
        require(deposit == value && ledger.balanceOf(owner, address(token)) == 0, "not what was permitted is reserved");
    }

    /// With an allowance the permit does not matter; without one, only the permit of the caller itself for that much does.
    function testFuzz_aPermitThatFailsDecidesNothing(uint96 amount, bool allowed, uint256 key, uint8 v, bytes32 r) external {
        IPermitToken token = IPermitToken(vm.deployCode("TestToken.sol:TestToken"));
        (address owner, uint256 value) = (accounts[0], _bound(amount, 1, 1e12));
        token.mint(owner, value);
        bytes32 s;
        // a stranger's permit, or noise
        if (key % 2 == 0) (v, r, s) = _permit(token, _keyOf(STRANGER), value, block.timestamp);
        if (allowed) {
            vm.prank(owner);
            token.approve(address(ledger), value);
        }
        bytes memory data = abi.encodeCall(ITallyLedger.depositWithPermit, (address(token), owner, value, block.timestamp, v, r, s));
        require(_try(owner, data) == allowed, "the permit decided");
    }

    function testFuzz_aPermitThatSomebodyElseHandsInPaysThatOneNothing(uint96 amount) external {
        IPermitToken token = IPermitToken(vm.deployCode("TestToken.sol:TestToken"));
        (address owner, address thief, uint256 value) = (accounts[0], accounts[STRANGER], _bound(amount, 1, 1e12));
        token.mint(owner, value);
        (uint8 v, bytes32 r, bytes32 s) = _permit(token, _keyOf(0), value, block.timestamp);
        bytes memory data = abi.encodeCall(ITallyLedger.depositWithPermit, (address(token), thief, value, block.timestamp, v, r, s));
        require(!_try(thief, data) && token.balanceOf(owner) == value, "a stranger used the permit");
        require(_try(owner, abi.encodeCall(ITallyLedger.depositWithPermit, (address(token), owner, value, block.timestamp, v, r, s))));
    }

    function testFuzz_theTargetKeepsTheRelayFeeAndThePayoutGetsTheRest(uint96 fee, uint96 amount) external {
        (address target, address payout) = (_targetOf(C), accounts[FIRST_PAYOUT]);
        amount = uint96(_bound(amount, 1, type(uint96).max));
        _open(C, amount);
        require(_try(target, Calls.proposePayout(target, channels[C].token, payout)) && _try(payout, Calls.acceptPayout(target, channels[C].token)), "no payout");
        require(_try(payout, abi.encodeCall(ITallyLedger.setMaxRelayFee, (target, channels[C].token, fee))), "no fee");
        _settle(C, _promise(C, amount, none, false));
        uint256 kept = fee < amount ? fee : amount;
        require(ledger.balanceOf(target, channels[C].token) == kept, "the target keeps another fee");
        require(ledger.balanceOf(payout, channels[C].token) == amount - kept, "the payout gets another rest");
    }

    function testFuzz_onlyTheProposedAddressAccepts(uint256 who, address proposed) external {
        (address target, address token) = (_targetOf(C), channels[C].token);
        address caller = accounts[who % ACCOUNTS];
        if (who % 3 == 0) proposed = caller;
        require(_try(target, Calls.proposePayout(target, token, proposed)), "no proposal");
        require(_try(caller, Calls.acceptPayout(target, token)) == (caller == proposed), "somebody else accepted");
        require(ledger.payoutOf(target, address(tokens[AUTHORIZED])) == target, "the payout of another token has changed");
    }
}
