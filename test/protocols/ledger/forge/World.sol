// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Row, Shown, Signing} from "./Signing.sol";
import {vm} from "./Vm.sol";

interface ITestToken {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external;
    function transfer(address to, uint256 amount) external;
    function balanceOf(address account) external view returns (uint256);
}

/// Who takes part in the campaign, and in what money.
///
/// Accounts: 0-1 owners with keys, 2 an owner with code that re-enters, 3-4 targets, 5-6 payouts, 7 a relay, 8 a stranger.
/// Channels: the owners with keys sign for themselves, the first and the last owner have a hot key; to every target in every token.
abstract contract World {
    struct Parties {
        address owner;
        address signer;
        uint256 signerKey;
        uint256 target; // the number of its account
        address token;
        bytes32 id;
    }

    uint256 internal constant ACCOUNTS = 9;
    uint256 internal constant REENTERER = 2;
    uint256 internal constant FIRST_TARGET = 3;
    uint256 internal constant FIRST_PAYOUT = 5;
    uint256 internal constant RELAY = 7;
    uint256 internal constant STRANGER = 8;
    uint256 internal constant TARGETS = 2;
    uint256 internal constant TOKENS = 4;
    uint256 internal constant SIDES = 4;
    uint256 internal constant CHANNELS = SIDES * TARGETS * TOKENS;
    uint256 internal constant TERM = 730 days;
    address internal constant FORWARDER = address(0xf0);

    /// Returns nothing, as USDT does; takes a fee; takes a fee and calls out; knows EIP-3009.
    uint256 internal constant HONEST = 0;
    uint256 internal constant HOOK = 2;
    uint256 internal constant AUTHORIZED = 3;

    ITallyLedger public immutable ledger;
    address[ACCOUNTS] internal accounts;
    ITestToken[TOKENS] internal tokens;
    Parties[CHANNELS] internal channels;

    /// How many calls were made of the ledger, refused ones too.
    uint256 public tries;

    constructor() {
        ledger = ITallyLedger(vm.deployCode("TallyLedger.sol:TallyLedger", abi.encode(FORWARDER)));
        tokens[HONEST] = ITestToken(vm.deployCode("WeirdTokens.sol:NoReturnToken"));
        tokens[1] = ITestToken(vm.deployCode("WeirdTokens.sol:FeeToken"));
        tokens[HOOK] = ITestToken(vm.deployCode("WeirdTokens.sol:HookToken"));
        tokens[AUTHORIZED] = ITestToken(vm.deployCode("AuthorizationToken.sol:AuthorizationToken"));
        for (uint256 i; i < ACCOUNTS; ++i) {
            accounts[i] = vm.addr(_keyOf(i));
        }
        accounts[REENTERER] = vm.deployCode("Reenterer.sol:Reenterer", abi.encode(address(ledger), address(tokens[HOOK])));
        for (uint256 i; i < ACCOUNTS; ++i) {
            for (uint256 t; t < TOKENS; ++t) {
                vm.prank(accounts[i]);
                tokens[t].approve(address(ledger), type(uint256).max);
            }
        }
        for (uint256 c; c < CHANNELS; ++c) {
            _name(c);
        }
        vm.warp(1_800_000_000);
    }

    function _name(uint256 c) private {
        uint256 owner = _ownerOf(c);
        Parties storage p = channels[c];
        p.owner = accounts[owner];
        p.signerKey = c / (TARGETS * TOKENS) < 2 ? _keyOf(owner) : 100 + owner;
        p.signer = vm.addr(p.signerKey);
        p.target = FIRST_TARGET + (c / TOKENS) % TARGETS;
        p.token = address(tokens[c % TOKENS]);
        p.id = keccak256(abi.encode(p.owner, p.signer, accounts[p.target], p.token));
    }

    function _keyOf(uint256 account) internal pure returns (uint256) {
        return account + 1;
    }

    /// The number of the account that owns channel `c`.
    function _ownerOf(uint256 c) internal pure returns (uint256) {
        uint256 side = c / (TARGETS * TOKENS);
        return side < 2 ? side : side == 2 ? 0 : REENTERER;
    }

    function _targetOf(uint256 c) internal view returns (address) {
        return accounts[channels[c].target];
    }

    /// Calls the ledger as `from`.
    function _try(address from, bytes memory data) internal returns (bool ok) {
        ++tries;
        vm.prank(from);
        (ok,) = address(ledger).call(data);
    }

    /// The channel's signer promises. A signer that owns its channel names no owner, unless `named`.
    function _promise(uint256 c, uint96 amount, Shown[] memory locks, bool named) internal view returns (Row memory row) {
        Parties memory p = channels[c];
        row.owner = p.owner == p.signer && !named ? address(0) : p.owner;
        row.amount = amount;
        row.locks = locks;
        bytes32 digest = Signing.promiseDigest(address(ledger), row.owner, accounts[p.target], p.token, amount, locks);
        (row.r, row.vs) = Signing.compact(p.signerKey, digest);
    }

    /// Up to three locks of up to nine steps: open, never expiring, and expired ones.
    function _locks(uint256 seed) internal view returns (Shown[] memory locks) {
        locks = new Shown[](seed % 4);
        for (uint256 i; i < locks.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint16 steps = uint16(1 + seed % 9);
            uint256 when = (seed >> 16) % 4;
            uint40 expiry = uint40(when == 0 ? 0 : when == 1 ? block.timestamp : block.timestamp + 1 + (seed >> 32) % 2 days);
            locks[i] = Shown(bytes32(seed), uint16((seed >> 64) % (steps + 1)), uint96((seed >> 80) % 5_000), steps, expiry);
        }
    }
}
