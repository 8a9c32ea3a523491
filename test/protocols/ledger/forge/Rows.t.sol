// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Bench} from "./Bench.sol";
import {Row, Signing} from "./Signing.sol";
import {vm} from "./Vm.sol";

/// Whatever bytes a batch is made of.
contract RowsTest is Bench {
    uint256 private constant OWNERS = 3;

    /// A row of each owner, with and without an owner, with and without locks.
    function _rows(uint256 seed) private returns (bytes[] memory rows, uint256[] memory worth) {
        (rows, worth) = (new bytes[](OWNERS), new uint256[](OWNERS));
        for (uint256 i; i < OWNERS; ++i) {
            uint256 c = i * TARGETS * TOKENS;
            _open(c, type(uint96).max / 4);
            seed = uint256(keccak256(abi.encode(seed)));
            Row memory row = _promise(c, uint96(1 + seed % 1e9), _locks(seed >> 32), seed % 2 == 0);
            (rows[i], worth[i]) = (Signing.encode(row), Signing.worth(row.amount, row.locks));
        }
    }

    function testFuzz_rowsCutInsideARowRevertAndCutBetweenRowsPayThoseBefore(uint256 seed, uint256 cut) external {
        (bytes[] memory rows, uint256[] memory worth) = _rows(seed);
        bytes memory all = bytes.concat(rows[0], rows[1], rows[2]);
        cut = cut % (all.length + 1);
        (uint256 index, uint256 end, uint256 due) = (0, 0, 0);
        while (index < OWNERS && end + rows[index].length <= cut) {
            end += rows[index].length;
            due += worth[index++];
        }
        (bool ok, bytes memory result) = _batch(SELF, _slice(all, cut));
        if (cut == end) {
            require(ok && _earned(SELF) == due, "whole rows are not paid");
        } else {
            bytes memory expected = abi.encodeWithSelector(ITallyLedger.MalformedRows.selector, index);
            require(!ok && keccak256(result) == keccak256(expected), "a row that ends early does not revert");
        }
    }

    function testFuzz_whatFollowsInTheCalldataCompletesNoRow(uint256 seed, uint256 cut) external {
        (bytes[] memory rows,) = _rows(seed);
        cut = _bound(cut, 1, rows[0].length - 1);
        bytes memory head = abi.encodeCall(ITallyLedger.settleBatch, (_targetOf(SELF), channels[SELF].token, _slice(rows[0], cut)));
        bytes memory rest = new bytes(rows[0].length - cut);
        for (uint256 i; i < rest.length; ++i) {
            rest[i] = rows[0][cut + i];
        }
        // without the padding, so that the rest stands where the row would go on
        bytes memory data = bytes.concat(_slice(head, head.length - (32 - cut % 32) % 32), rest);
        (bool ok,) = address(ledger).call(data);
        require(!ok && _earned(SELF) == 0, "a row ran on into what follows");
    }

    function testFuzz_unknownFlagsRevert(uint256 seed, uint256 index, uint8 flags) external {
        (bytes[] memory rows,) = _rows(seed);
        index = index % OWNERS;
        rows[index][0] = bytes1(uint8(_bound(flags, 4, 255)));
        (bool ok, bytes memory result) = _batch(SELF, bytes.concat(rows[0], rows[1], rows[2]));
        require(!ok && _error(result) == ITallyLedger.MalformedRows.selector && _earned(SELF) == 0, "unknown flags are read");
    }

    /// A changed row reverts the batch as malformed, or is skipped; the rows before and behind are paid then, and nothing else is.
    function testFuzz_aRowWithAnyBitChangedPaysNothing(uint256 seed, uint256 index, uint256 where) external {
        (bytes[] memory rows, uint256[] memory worth) = _rows(seed);
        index = index % OWNERS;
        uint256 bit = 8 + where % ((rows[index].length - 1) * 8);
        // the count of the locks moves where the next row begins; that is the case of the cut rows
        if (uint8(rows[index][0]) & 2 != 0 && bit / 8 == (uint8(rows[index][0]) & 1 == 0 ? 77 : 97)) bit = 8;
        rows[index][bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        (bool ok,) = _batch(SELF, bytes.concat(rows[0], rows[1], rows[2]));
        require(ok && _earned(SELF) == worth[0] + worth[1] + worth[2] - worth[index], "not exactly the rows that were signed");
    }

    function testFuzz_aSingleSettleTakesOneRowAndNothingBehindIt(uint256 seed, bytes calldata behind) external {
        (bytes[] memory rows, uint256[] memory worth) = _rows(seed);
        (address target, address token) = (_targetOf(SELF), channels[SELF].token);
        bytes memory data = abi.encodeCall(ITallyLedger.settle, (target, token, bytes.concat(rows[0], behind)));
        (bool ok, bytes memory result) = address(ledger).call(data);
        require(ok == (behind.length == 0) && _earned(SELF) == (ok ? worth[0] : 0), "something behind the row");
        if (!ok) require(keccak256(result) == keccak256(abi.encodeWithSelector(ITallyLedger.MalformedRows.selector, 1)), "why");
    }

    function testFuzz_aCountOfNoLocksIsAPromiseWithoutLocks(uint96 amount) external {
        amount = uint96(_bound(amount, 1, type(uint96).max));
        _open(SELF, amount);
        Row memory row = _promise(SELF, amount, none, false);
        (bool ok,) = _batch(SELF, abi.encodePacked(uint8(2), row.amount, row.r, row.vs, uint8(0)));
        require(ok && _earned(SELF) == amount, "it is another promise");
    }

    function testFuzz_anyBytesPayNothing(bytes calldata rows, uint256 length) external {
        _open(SELF, 1e9);
        bytes memory long = bytes.concat(rows, rows, rows, rows);
        (bool ok, bytes memory result) = _batch(SELF, _slice(long, long.length == 0 ? 0 : length % long.length));
        require(ok ? abi.decode(result, (uint256)) == 0 : _error(result) == ITallyLedger.MalformedRows.selector, "neither");
        require(_earned(SELF) == 0 && _settled(SELF) == 0, "noise pays");
    }

    function testFuzz_theOrderOfRowsChangesNothing(uint256 seed, uint256 order) external {
        (bytes[] memory rows, uint256[] memory worth) = _rows(seed);
        (uint256 a, uint256 b) = (order % 3, (order % 3 + 1 + (order >> 8) % 2) % 3);
        (bool ok,) = _batch(SELF, bytes.concat(rows[a], rows[b], rows[a], rows[3 - a - b]));
        require(ok && _earned(SELF) == worth[0] + worth[1] + worth[2], "the order of rows matters");
    }
}
