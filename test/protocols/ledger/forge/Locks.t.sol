// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Bench} from "./Bench.sol";
import {Row, Shown, Signing} from "./Signing.sol";
import {vm} from "./Vm.sol";

/// What a promise with locks pays, whatever its locks are and however they are shown.
contract LocksTest is Bench {
    /// `count` locks of up to `most` steps; a quarter never expires, a quarter has expired.
    function _random(uint256 seed, uint256 count, uint256 most) private view returns (Shown[] memory locks) {
        locks = new Shown[](count);
        for (uint256 i; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint16 steps = uint16(_bound(seed >> 8, 1, most));
            uint40 expiry = uint40(seed & 3 == 0 ? 0 : seed & 3 == 1 ? block.timestamp - (seed >> 4 & 1) : block.timestamp + 1 + (seed >> 5 & 7));
            locks[i] = Shown(bytes32(seed), uint16((seed >> 40) % (steps + 1)), uint96(seed >> 160), steps, expiry);
        }
    }

    function testFuzz_aPromiseIsWorthItsAmountAndTheShownStepsOfItsLiveLocks(uint96 deposit, uint96 amount, uint256 seed) external {
        _open(C, deposit);
        Shown[] memory locks = _random(seed, seed % 65, 12);
        uint256 worth = Signing.worth(amount, locks);
        require(_settle(C, _promise(C, amount, locks, false)) == (worth > deposit ? deposit : worth), "not min(value, deposit)");
    }

    function testFuzz_aLockOfAnyLengthUpToTheLimitIsWalked(uint256 steps, uint256 k, uint64 unit) external {
        steps = _bound(steps, 1, 1024);
        k = _bound(k, 0, steps);
        _open(C, type(uint96).max);
        Shown[] memory locks = new Shown[](1);
        locks[0] = Shown(keccak256(abi.encode(unit)), uint16(k), unit, uint16(steps), 0);
        require(_settle(C, _promise(C, 0, locks, false)) == k * unit, "not k * unit");
    }

    function testFuzz_laterSettlesWithDeeperWordsPayTheDifferenceOnly(uint256 seed, uint96 amount, uint96 unit) external {
        _open(C, type(uint96).max);
        amount = uint96(_bound(amount, 0, 1e18));
        unit = uint96(_bound(unit, 1, 1e18));
        bytes32 end = keccak256(abi.encode(seed));
        uint256 total;
        for (uint256 round; round < 6; ++round) {
            uint256 k = (seed >> (round * 8) & 0xff) % 21;
            Shown[] memory locks = new Shown[](1);
            locks[0] = Shown(Signing.walk(end, 20 - k), uint16(k), unit, 20, 0);
            total += _settle(C, _promise(C, amount, locks, false));
            uint256 value = amount + k * unit;
            require(_settled(C) >= value && _settled(C) == total, "what is shown once is paid once");
        }
    }

    function testFuzz_aLockCountsUntilTheSecondBeforeItsExpiry(uint40 expiry, uint256 now_, uint96 unit) external {
        expiry = uint40(_bound(expiry, block.timestamp + 1, block.timestamp + 1 days));
        unit = uint96(_bound(unit, 1, type(uint96).max));
        _open(C, type(uint96).max);
        Shown[] memory locks = new Shown[](1);
        locks[0] = Shown(bytes32(now_), 1, unit, 1, expiry);
        Row memory row = _promise(C, 0, locks, false);
        vm.warp(_bound(now_, expiry, expiry + 2 days));
        require(_settle(C, row) == 0, "an expired lock pays");
        vm.warp(expiry - 1);
        require(_settle(C, row) == unit, "a live lock does not pay");
    }

    function testFuzz_aListWithAnyBitChangedIsNotTheSignedOne(uint256 seed, uint256 where) external {
        _open(C, type(uint96).max);
        Shown[] memory locks = _random(seed, _bound(seed, 1, 4), 12);
        Row memory row = _promise(C, 1_000, locks, false);
        bytes memory packed = Signing.encode(row);
        uint256 first = packed.length - locks.length * 53;
        uint256 bit = where % (locks.length * 53 * 8);
        packed[first + bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        (bool ok,) = _batch(C, packed);
        require(ok && _earned(C) == 0, "a list that was not signed pays, or sinks the batch");
    }

    function testFuzz_aLockLeftOutDoubledAddedOrMovedIsNotTheSignedList(uint256 seed, uint256 what) external {
        _open(C, type(uint96).max);
        Shown[] memory locks = _random(seed, _bound(seed, 2, 5), 12);
        Row memory row = _promise(C, 1_000, locks, false);
        uint256 n = locks.length;
        Shown[] memory other = new Shown[](what % 4 == 0 ? n - 1 : what % 4 == 3 ? n : n + 1);
        for (uint256 i; i < other.length; ++i) {
            other[i] = locks[i < n ? i : what % 4 == 1 ? (what >> 8) % n : 0];
        }
        if (what % 4 == 2) other[n] = _random(what, 1, 12)[0];
        if (what % 4 == 3) (other[0], other[n - 1]) = (locks[n - 1], locks[0]);
        row.locks = other;
        require(_settle(C, row) == 0, "another list pays");
    }

    function testFuzz_moreThan64LocksPayNothing(uint256 seed) external {
        _open(C, type(uint96).max);
        require(_settle(C, _promise(C, 1_000, _random(seed, _bound(seed, 65, 90), 2), false)) == 0, "65 locks pay");
    }

    function testFuzz_moreThan1024StepsPayNothing(uint256 steps, uint256 k) external {
        _open(C, type(uint96).max);
        Shown[] memory locks = new Shown[](1);
        steps = _bound(steps, 1025, type(uint16).max);
        locks[0] = Shown(bytes32(k), uint16(_bound(k, 0, 20)), 1, uint16(steps), 0);
        require(_settle(C, _promise(C, 1_000, locks, false)) == 0, "1,025 steps pay");
    }

    function testFuzz_moreStepsThanTheLockHasPayNothing(uint256 steps, uint256 k) external {
        _open(C, type(uint96).max);
        Shown[] memory locks = new Shown[](1);
        steps = _bound(steps, 1, 60);
        locks[0] = Shown(bytes32(k), uint16(_bound(k, steps + 1, 80)), 1, uint16(steps), 0);
        // signed as it is shown: only the limit stands against it
        require(_settle(C, _promise(C, 1_000, locks, false)) == 0, "k > steps pays");
    }
}
