// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IServiceRegistry} from "../../../../protocols/ledger/contracts/IServiceRegistry.sol";
import {vm} from "./Vm.sol";
import {ITestToken} from "./World.sol";

/// The registry: who may change what, what a descriptor must hold, and where the stakes are.
contract RegistryTest {
    uint256 private constant STAKE = 1_000;
    uint32 private constant DELAY = 7 days;
    uint256 private constant PROVIDERS = 3;
    address private constant FORWARDER = address(0xf0);

    ITestToken private token = ITestToken(vm.deployCode("WeirdTokens.sol:NoReturnToken"));
    IServiceRegistry private registry = IServiceRegistry(vm.deployCode("ServiceRegistry.sol:ServiceRegistry", _stake(address(token), STAKE, DELAY)));
    address[PROVIDERS] private providers;

    function setUp() external {
        vm.warp(1_800_000_000);
        for (uint256 i; i < PROVIDERS; ++i) {
            providers[i] = vm.addr(i + 1);
            token.mint(providers[i], 100 * STAKE);
            vm.prank(providers[i]);
            token.approve(address(registry), type(uint256).max);
        }
    }

    function _stake(address token_, uint256 amount, uint32 delay) private pure returns (bytes memory) {
        return abi.encode(FORWARDER, token_, amount, delay);
    }

    function _service(uint256 seed) private pure returns (IServiceRegistry.Service memory s) {
        (s.name, s.kind, s.serviceAddress) = ("name", "kind", "/ip4/127.0.0.1/tcp/1/p2p/16Uiu2");
        (s.price, s.chunk, s.token) = (hex"01", bytes9(uint72(1)), address(uint160(1 + seed % 99)));
        (s.minReservation, s.minTimeToExpiry) = (uint96(1 + seed % 1e6), 3_600);
        (s.inputs.uri, s.inputs.hash) = ("in", keccak256("in"));
        (s.outputs.uri, s.outputs.hash) = ("out", bytes32(seed | 1));
    }

    function _call(address from, bytes memory data) private returns (bool ok, bytes memory result) {
        vm.prank(from);
        return address(registry).call(data);
    }

    function _refused(address from, bytes memory data, bytes memory expected) private {
        (bool ok, bytes memory result) = _call(from, data);
        require(!ok && keccak256(result) == keccak256(expected), "not refused, or for another reason");
    }

    function _register(uint256 provider, bytes32 salt, uint256 seed) private returns (bytes32 id) {
        vm.prank(providers[provider]);
        return registry.register(salt, _service(seed));
    }

    function testFuzz_anEntryIsWhatWasRegistered(bytes32 salt, uint256 seed) external {
        bytes32 id = _register(0, salt, seed);
        require(id == keccak256(abi.encode(block.chainid, address(registry), providers[0], salt)), "another id");
        IServiceRegistry.Entry memory e = registry.entry(id);
        require(e.provider == providers[0] && e.status == IServiceRegistry.Status.Listed && e.version == 1, "another entry");
        require(e.serviceHash == keccak256(abi.encode(_service(seed))) && e.publishedIn == block.number && e.releaseAt == 0, "another service");
        require(token.balanceOf(address(registry)) == STAKE, "another stake");
        bytes memory again = abi.encodeCall(IServiceRegistry.register, (salt, _service(seed)));
        _refused(providers[0], again, abi.encodeWithSelector(IServiceRegistry.AlreadyRegistered.selector, id));
    }

    function testFuzz_onlyTheProviderChangesAnEntry(bytes32 salt, address stranger, uint256 what) external {
        bytes32 id = _register(0, salt, 1);
        vm.assume(stranger != providers[0] && stranger != FORWARDER);
        bytes memory expected = abi.encodeWithSelector(IServiceRegistry.NotTheProvider.selector, id, stranger);
        if (what % 3 == 0) return _refused(stranger, abi.encodeCall(IServiceRegistry.update, (id, _service(2))), expected);
        if (what % 3 == 1) return _refused(stranger, abi.encodeCall(IServiceRegistry.unregister, (id)), expected);
        vm.prank(providers[0]);
        registry.unregister(id);
        vm.warp(block.timestamp + DELAY);
        _refused(stranger, abi.encodeCall(IServiceRegistry.withdrawStake, (id)), expected);
    }

    function testFuzz_anUpdateRaisesTheVersionAndMovesNoStake(bytes32 salt, uint256 seed, uint8 times) external {
        bytes32 id = _register(0, salt, 0);
        for (uint256 i; i < times % 8; ++i) {
            vm.prank(providers[0]);
            registry.update(id, _service(seed));
        }
        IServiceRegistry.Entry memory e = registry.entry(id);
        require(e.version == 1 + times % 8 && token.balanceOf(address(registry)) == STAKE, "another version or stake");
        if (times % 8 != 0) require(e.serviceHash == keccak256(abi.encode(_service(seed))), "another service");
    }

    function test_versionsNeverWrap() external {
        bytes32 id = _register(0, 0, 0);
        bytes32 slot = keccak256(abi.encode(id, 0));
        uint256 raw = uint256(vm.load(address(registry), slot));
        require(address(uint160(raw)) == providers[0], "the entry lies elsewhere: the test proves nothing");
        vm.store(address(registry), slot, bytes32(raw | uint256(type(uint16).max) << 168));
        bytes memory expected = abi.encodeWithSelector(IServiceRegistry.VersionsUsedUp.selector, id);
        _refused(providers[0], abi.encodeCall(IServiceRegistry.update, (id, _service(1))), expected);
    }

    function testFuzz_aStakeComesBackOnceAndNotASecondBeforeItsTime(bytes32 salt, uint256 early) external {
        bytes32 id = _register(0, salt, 0);
        bytes memory withdraw = abi.encodeCall(IServiceRegistry.withdrawStake, (id));
        bytes memory bound = abi.encodeWithSelector(IServiceRegistry.NotUnbonding.selector, id);
        _refused(providers[0], withdraw, bound);
        vm.prank(providers[0]);
        registry.unregister(id);
        uint40 releaseAt = uint40(block.timestamp + DELAY);
        vm.warp(releaseAt - 1 - early % DELAY);
        _refused(providers[0], withdraw, abi.encodeWithSelector(IServiceRegistry.StakeLocked.selector, id, releaseAt));
        vm.warp(releaseAt);
        (bool ok,) = _call(providers[0], withdraw);
        require(ok && token.balanceOf(providers[0]) == 100 * STAKE && token.balanceOf(address(registry)) == 0, "not the stake");
        _refused(providers[0], withdraw, bound);
        bytes memory gone = abi.encodeWithSelector(IServiceRegistry.NotListed.selector, id);
        _refused(providers[0], abi.encodeCall(IServiceRegistry.unregister, (id)), gone);
        _refused(providers[0], abi.encodeCall(IServiceRegistry.update, (id, _service(1))), gone);
    }

    function testFuzz_anUnknownIdIsNotListed(bytes32 id) external {
        bytes memory expected = abi.encodeWithSelector(IServiceRegistry.NotListed.selector, id);
        _refused(providers[0], abi.encodeCall(IServiceRegistry.update, (id, _service(1))), expected);
        _refused(providers[0], abi.encodeCall(IServiceRegistry.unregister, (id)), expected);
        _refused(providers[0], abi.encodeCall(IServiceRegistry.withdrawStake, (id)), expected);
    }

    /// Whatever the providers do, the registry holds a stake for each entry that is listed or unbonding.
    function testFuzz_theStakesAreThoseOfTheEntriesThatHoldOne(uint256[24] calldata steps) external {
        bytes32[9] memory ids;
        for (uint256 i; i < steps.length; ++i) {
            uint256 slot = steps[i] % ids.length;
            address provider = providers[slot % PROVIDERS];
            uint256 what = (steps[i] >> 8) % 8;
            bytes memory data = abi.encodeCall(IServiceRegistry.withdrawStake, (ids[slot]));
            if (what < 4) data = abi.encodeCall(IServiceRegistry.register, (bytes32(slot), _service(steps[i])));
            else if (what == 4) data = abi.encodeCall(IServiceRegistry.unregister, (ids[slot]));
            else if (what == 5) vm.warp(block.timestamp + (steps[i] >> 16) % (2 * DELAY));
            (bool ok, bytes memory result) = _call(provider, data);
            if (ok && what < 4) ids[slot] = abi.decode(result, (bytes32));
            uint256 held;
            for (uint256 j; j < ids.length; ++j) {
                IServiceRegistry.Status status = registry.entry(ids[j]).status;
                if (status == IServiceRegistry.Status.Listed || status == IServiceRegistry.Status.Unbonding) held += STAKE;
            }
            require(token.balanceOf(address(registry)) == held, "stakes without entries, or entries without stakes");
        }
    }

    function testFuzz_everyPartIsRequired(uint256 seed, uint256 part) external {
        IServiceRegistry.Service memory s = _service(seed);
        part = part % 12;
        if (part == 0) s.name = "";
        if (part == 1) s.kind = "";
        if (part == 2) s.serviceAddress = "";
        if (part == 3) s.price = "";
        if (part == 4) s.chunk = 0;
        if (part == 5) s.token = address(0);
        if (part == 6) s.minReservation = 0;
        if (part == 7) s.minTimeToExpiry = 0;
        if (part == 8) s.inputs.uri = "";
        if (part == 9) s.inputs.hash = 0;
        if (part == 10) s.outputs.uri = "";
        if (part == 11) s.outputs.hash = 0;
        bytes memory expected = abi.encodeWithSelector(IServiceRegistry.MissingPart.selector, IServiceRegistry.Part(part));
        _refused(providers[0], abi.encodeCall(IServiceRegistry.register, (bytes32(seed), s)), expected);
    }

    function testFuzz_everyPartHasALimitAndMayReachIt(uint256 which, uint256 more) external {
        uint16[6] memory limits = [64, 32, 256, 139, 256, 256];
        uint8[6] memory parts = [0, 1, 2, 3, 8, 10];
        which = which % 6;
        uint256 length = limits[which] + more % 3;
        bytes memory long = new bytes(length);
        IServiceRegistry.Service memory s = _service(1);
        if (which == 0) s.name = string(long);
        if (which == 1) s.kind = string(long);
        if (which == 2) s.serviceAddress = string(long);
        if (which == 3) s.price = long;
        if (which == 4) s.inputs.uri = string(long);
        if (which == 5) s.outputs.uri = string(long);
        (bool ok, bytes memory result) = _call(providers[0], abi.encodeCall(IServiceRegistry.register, (bytes32(more), s)));
        require(ok == (more % 3 == 0), "not exactly what fits is taken");
        bytes memory expected = abi.encodeWithSelector(
            IServiceRegistry.PartTooLong.selector, IServiceRegistry.Part(parts[which]), length, limits[which]
        );
        if (!ok) require(keccak256(result) == keccak256(expected), "for another reason");
    }

    function test_aTokenThatTakesAFeeCannotBeStaked() external {
        ITestToken fee = ITestToken(vm.deployCode("WeirdTokens.sol:FeeToken"));
        registry = IServiceRegistry(vm.deployCode("ServiceRegistry.sol:ServiceRegistry", _stake(address(fee), STAKE, DELAY)));
        fee.mint(providers[0], STAKE);
        vm.prank(providers[0]);
        fee.approve(address(registry), STAKE);
        bytes memory expected = abi.encodeWithSelector(IServiceRegistry.StakeNotReceived.selector, STAKE - STAKE / 100, STAKE);
        _refused(providers[0], abi.encodeCall(IServiceRegistry.register, (bytes32(0), _service(1))), expected);
    }

    function testFuzz_thereIsNoRegistryWithoutStake(uint256 amount, uint32 delay, bool code) external {
        bool good = code && amount != 0 && delay != 0;
        address stake = code ? address(token) : address(1);
        try vm.deployCode("ServiceRegistry.sol:ServiceRegistry", _stake(stake, amount, delay)) returns (address made) {
            require(good, "a registry without a stake");
            IServiceRegistry r = IServiceRegistry(made);
            require(r.stakeToken() == stake && r.stakeAmount() == amount && r.unbondingSeconds() == delay, "another stake");
        } catch {
            require(!good, "no registry");
        }
    }

    function testFuzz_theForwarderIsBelievedAndNobodyElse(bytes32 salt, address caller) external {
        bytes memory data = abi.encodePacked(abi.encodeCall(IServiceRegistry.register, (salt, _service(1))), providers[0]);
        vm.assume(caller != FORWARDER && caller != providers[0]);
        bytes32 id = registry.serviceId(providers[0], salt);
        // another provider may register a service of its own by that
        _call(caller, data);
        require(registry.entry(id).provider == address(0), "an appended sender was believed");
        (bool ok,) = _call(FORWARDER, data);
        require(ok && registry.entry(id).provider == providers[0], "the forwarder was not believed");
    }
}
