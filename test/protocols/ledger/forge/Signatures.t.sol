// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Bench} from "./Bench.sol";
import {Calls} from "./Calls.sol";
import {Row, Shown, Signing} from "./Signing.sol";
import {vm} from "./Vm.sol";

/// Every signature that is not the one form of the one signature is refused: of a promise, a Close and a Payout.
contract SignaturesTest is Bench {
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    uint96 private constant AMOUNT = 600;

    function setUp() external {
        _open(C, 1_000);
        vm.prank(_targetOf(C));
        (bool ok,) = address(ledger).call(Calls.proposePayout(_targetOf(C), channels[C].token, accounts[FIRST_PAYOUT]));
        require(ok);
    }

    /// Hands in a signature as that of a Close, which the target signs, or of a Payout.
    function _accepts(bool isClose, bytes memory signature) private returns (bool) {
        if (!isClose) {
            bytes memory data = Calls.acceptPayoutWithSignature(
                _targetOf(C), channels[C].token, accounts[FIRST_PAYOUT], uint40(block.timestamp), signature
            );
            return _try(accounts[RELAY], data);
        }
        Parties memory p = channels[C];
        uint40 deadline = uint40(block.timestamp);
        return _try(
            p.owner, abi.encodeCall(ITallyLedger.close, (p.signer, accounts[p.target], p.token, AMOUNT, deadline, signature))
        );
    }

    function _digest(bool isClose) private view returns (uint256 key, bytes32 digest) {
        uint40 deadline = uint40(block.timestamp);
        if (isClose) return (_keyOf(channels[C].target), Signing.closeDigest(address(ledger), channels[C].id, AMOUNT, deadline, 0));
        return (_keyOf(FIRST_PAYOUT), _payoutDigest(_targetOf(C), channels[C].token, accounts[FIRST_PAYOUT], 0, deadline));
    }

    function _payoutDigest(address target, address token, address payout, uint256 nonce, uint40 deadline) private view returns (bytes32) {
        return Signing.payoutDigest(address(ledger), target, token, payout, nonce, deadline);
    }

    function testFuzz_bothFormsAreTaken(bool isClose, bool isCompact) external {
        (uint256 key, bytes32 digest) = _digest(isClose);
        (bytes32 r, bytes32 vs) = Signing.compact(key, digest);
        require(_accepts(isClose, isCompact ? abi.encodePacked(r, vs) : Signing.full(key, digest)), "a good signature is refused");
    }

    function testFuzz_anyOtherLengthIsRefused(bool isClose, uint256 length) external {
        (uint256 key, bytes32 digest) = _digest(isClose);
        length = length % 131;
        vm.assume(length != 64 && length != 65);
        bytes memory long = bytes.concat(Signing.full(key, digest), Signing.full(key, digest), hex"00");
        require(!_accepts(isClose, _slice(long, length)), "another length is taken");
    }

    function testFuzz_vIs27Or28(bool isClose, uint8 v, uint16 later) external {
        vm.warp(block.timestamp + later); // the deadline is signed: signatures of both parities come
        (uint256 key, bytes32 digest) = _digest(isClose);
        bytes memory signature = Signing.full(key, digest);
        vm.assume(bytes1(v) != signature[64]);
        signature[64] = bytes1(v);
        require(!_accepts(isClose, signature), "another v is taken");
    }

    function testFuzz_anyBitChangedIsRefused(bool isClose, uint256 where) external {
        (uint256 key, bytes32 digest) = _digest(isClose);
        bytes memory signature = Signing.full(key, digest);
        signature[where / 8 % 65] ^= bytes1(uint8(1 << (where % 8)));
        require(!_accepts(isClose, signature), "a changed signature is taken");
    }

    function test_theMalleableTwinIsRefused() external {
        for (uint256 i; i < 2; ++i) {
            (uint256 key, bytes32 digest) = _digest(i == 0);
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
            bytes32 high = bytes32(ORDER - uint256(s));
            require(ecrecover(digest, 55 - v, r, high) == vm.addr(key), "the twin is no signature: the test proves nothing");
            require(!_accepts(i == 0, abi.encodePacked(r, high, 55 - v)), "the twin is taken");
        }
    }

    function testFuzz_ofAPromiseTheMalleableTwinIsRefused(uint96 amount) external {
        Row memory row = _promise(C, uint96(_bound(amount, 1, 1_000)), none, false);
        uint256 s = uint256(row.vs << 1 >> 1);
        uint256 parity = uint256(row.vs) >> 255;
        bytes32 good = row.vs;
        // a high s leaves no room for the parity: both readings of the word are tried
        row.vs = bytes32(ORDER - s);
        require(_settle(C, row) == 0, "the twin pays");
        row.vs = bytes32((ORDER - s) & (2 ** 255 - 1) | (1 - parity) << 255);
        require(_settle(C, row) == 0, "the twin pays");
        row.vs = bytes32(s | (1 - parity) << 255);
        require(_settle(C, row) == 0, "the other parity pays");
        row.vs = good;
        require(_settle(C, row) == row.amount, "the signature itself does not pay");
    }

    function test_theDomainIsThatOfEip712() external view {
        require(ledger.domainSeparator() == Signing.domain(address(ledger)), "another domain");
    }

    /// A payout with code is asked by EIP-1271: its master signs, and nobody else does.
    function testFuzz_aPayoutWithCodeAcceptsByItsMastersSignatureOnly(uint256 key, bool byMaster) external {
        (address target, address token, uint40 deadline) = (_targetOf(C), channels[C].token, uint40(block.timestamp));
        key = _bound(key, 1, 1e30);
        uint256 master = byMaster ? key : key + 1;
        address payout = vm.deployCode("SmartAccount.sol:SmartAccount", abi.encode(vm.addr(master)));
        require(_try(target, Calls.proposePayout(target, token, payout)), "no proposal");
        bytes memory signature = Signing.full(key, _payoutDigest(target, token, payout, 0, deadline));
        bytes memory data = Calls.acceptPayoutWithSignature(target, token, payout, deadline, signature);
        require(_try(accounts[RELAY], data) == byMaster, "not exactly the master's signature is taken");
        require(ledger.payoutOf(target, token) == (byMaster ? payout : target), "the payout is another");
    }

    /// The few s above half the order that the compact form can hold: whoever such a signature would recover is no signer.
    function testFuzz_halfTheOrderIsTheLargestS(uint256 above, uint256 seed, bool odd, uint96 amount) external {
        (address owner, address target, address token) = (accounts[0], _targetOf(C), channels[C].token);
        amount = uint96(_bound(amount, 1, 1_000));
        uint256 s = ORDER / 2 + (above % 4 == 0 ? 0 : _bound(above, 1, 2 ** 255 - 1 - ORDER / 2));
        (, bytes32 r,) = vm.sign(_bound(seed, 1, 1e30), bytes32(seed));
        bytes32 digest = Signing.promiseDigest(address(ledger), owner, target, token, amount, none);
        address signer = ecrecover(digest, odd ? 28 : 27, r, bytes32(s));
        vm.assume(signer != address(0));
        tokens[HONEST].mint(owner, amount);
        vm.prank(owner);
        ledger.depositAndOpen(signer, target, token, amount, uint40(block.timestamp + 1));
        Row memory row = Row(owner, amount, none, r, bytes32(s | (odd ? 1 << 255 : 0)));
        require(_settle(C, row) == (s == ORDER / 2 ? amount : 0), "not exactly the s up to half the order");
    }

    /// A recovery that fails leaves memory as it was: neither the row before nor a word of the row itself becomes the signer.
    function testFuzz_aFailingRecoveryLendsNoSigner(uint96 amount, bytes32 r, uint256 high) external {
        Parties memory p = channels[C];
        amount = uint96(_bound(amount, 2, 1_000));
        bytes memory before = Signing.encode(_promise(C, 1, none, false));
        Row memory row = Row(p.owner, amount, new Shown[](1), r, bytes32(_bound(high, 2 ** 255 - 99, 2 ** 255 - 1)));
        row.locks[0] = Shown(bytes32(uint256(uint160(p.signer))), 0, 1, 1, 0);
        (bool ok,) = _batch(C, bytes.concat(before, Signing.encode(row)));
        require(ok && _settled(C) == 1, "a row without a signature pays");
        row.locks = none;
        (ok,) = _batch(C, bytes.concat(before, Signing.encode(row)));
        require(ok && _settled(C) == 1, "a row without a signature pays");
    }

    function testFuzz_anyBytesAreNoPromise(bytes32 r, bytes32 vs, uint96 amount, bool named) external {
        Row memory row = Row(named ? channels[C].owner : address(0), amount, none, r, vs);
        require(_settle(C, row) == 0, "noise pays");
    }

    function testFuzz_aPromiseBindsOwnerTargetTokenAmountChainAndLedger(uint256 what, uint96 amount, uint256 other) external {
        Parties memory p = channels[C];
        Row memory row = _promise(C, uint96(_bound(amount, 1, 1_000)), none, false);
        (address owner, address target, address token, uint96 sum, address place) =
            (p.owner, accounts[p.target], p.token, row.amount, address(ledger));
        address stranger = address(uint160(_bound(other, 1, type(uint160).max)));
        if (what % 5 == 0) owner = stranger;
        if (what % 5 == 1) target = stranger;
        if (what % 5 == 2) token = stranger;
        if (what % 5 == 3) sum = uint96(other);
        if (what % 5 == 4) place = stranger;
        bytes32 digest = Signing.promiseDigest(place, owner, target, token, sum, none);
        vm.assume(digest != Signing.promiseDigest(address(ledger), p.owner, accounts[p.target], p.token, row.amount, none));
        (row.r, row.vs) = Signing.compact(p.signerKey, digest);
        require(_settle(C, row) == 0, "a promise of something else pays");
    }

    function testFuzz_aCloseBindsChannelAmountDeadlineAndEpoch(uint256 what, uint256 other) external {
        (bytes32 id, uint96 amount, uint40 deadline, uint24 epoch) = (channels[C].id, AMOUNT, uint40(block.timestamp), uint24(0));
        if (what % 4 == 0) id = bytes32(other);
        if (what % 4 == 1) amount = uint96(other);
        if (what % 4 == 2) deadline = uint40(other);
        if (what % 4 == 3) epoch = uint24(other);
        bytes32 digest = Signing.closeDigest(address(ledger), id, amount, deadline, epoch);
        (uint256 key, bytes32 good) = _digest(true);
        vm.assume(digest != good);
        require(!_accepts(true, Signing.full(key, digest)), "a close of something else is taken");
    }

    function testFuzz_aPayoutBindsTargetTokenPayoutNonceAndDeadline(uint256 what, uint256 other) external {
        (address target, address token, address payout, uint256 nonce, uint40 deadline) =
            (_targetOf(C), channels[C].token, accounts[FIRST_PAYOUT], uint256(0), uint40(block.timestamp));
        if (what % 5 == 0) target = address(uint160(other));
        if (what % 5 == 1) payout = address(uint160(other));
        if (what % 5 == 2) nonce = other;
        if (what % 5 == 3) deadline = uint40(other);
        if (what % 5 == 4) token = address(uint160(other));
        bytes32 digest = _payoutDigest(target, token, payout, nonce, deadline);
        (uint256 key, bytes32 good) = _digest(false);
        vm.assume(digest != good);
        require(!_accepts(false, Signing.full(key, digest)), "an acceptance of something else is taken");
    }
}
