// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IServiceRegistry} from "./IServiceRegistry.sol";

/// The registry of Tallystick. What each function promises, the events and the errors stand in IServiceRegistry; REGISTRY.md has the whole.
///
/// A life: Unknown -> register -> Listed (update, any number) -> unregister -> Unbonding -> withdrawStake -> Withdrawn. No way back.
contract ServiceRegistry is IServiceRegistry, ERC2771Context {
    using SafeERC20 for IERC20;

    uint256 private constant MAX_NAME_BYTES = 64;
    uint256 private constant MAX_KIND_BYTES = 32;
    uint256 private constant MAX_ADDRESS_BYTES = 256;
    uint256 private constant MAX_PRICE_BYTES = 139; // five rates and the name of a unit
    uint256 private constant MAX_URI_BYTES = 256;

    IERC20 private immutable _stakeToken;
    uint256 private immutable _stakeAmount;
    uint32 private immutable _unbondingSeconds;

    mapping(bytes32 id => Entry) private _entries;

    constructor(address trustedForwarder, address token, uint256 amount, uint32 delay) ERC2771Context(trustedForwarder) {
        if (token.code.length == 0 || amount == 0 || delay == 0) revert InvalidStake(token, amount, delay);
        (_stakeToken, _stakeAmount, _unbondingSeconds) = (IERC20(token), amount, delay);
    }

    /// @inheritdoc IServiceRegistry
    function register(bytes32 salt, Service calldata service) external returns (bytes32 id) {
        address provider = _msgSender();
        id = serviceId(provider, salt);
        Entry memory e = _entries[id];
        if (e.status != Status.Unknown) revert AlreadyRegistered(id);
        (e.provider, e.status) = (provider, Status.Listed);
        emit Registered(id, provider, _stakeAmount);
        _publish(id, e, service);
        _pullStake(provider);
    }

    /// @inheritdoc IServiceRegistry
    function update(bytes32 id, Service calldata service) external {
        Entry memory e = _ownEntry(id);
        if (e.status != Status.Listed) revert NotListed(id);
        if (e.version == type(uint16).max) revert VersionsUsedUp(id);
        _publish(id, e, service);
    }

    /// @inheritdoc IServiceRegistry
    function unregister(bytes32 id) external {
        Entry memory e = _ownEntry(id);
        if (e.status != Status.Listed) revert NotListed(id);
        // fits 40 bits for 30,000 years: the delay has 32
        (e.status, e.releaseAt) = (Status.Unbonding, uint40(block.timestamp + _unbondingSeconds));
        _entries[id] = e;
        emit Unregistered(id, e.provider, e.releaseAt);
    }

    /// @inheritdoc IServiceRegistry
    function withdrawStake(bytes32 id) external {
        Entry memory e = _ownEntry(id);
        if (e.status != Status.Unbonding) revert NotUnbonding(id);
        if (block.timestamp < e.releaseAt) revert StakeLocked(id, e.releaseAt);
        e.status = Status.Withdrawn;
        _entries[id] = e;
        emit StakeWithdrawn(id, e.provider, _stakeAmount);
        _stakeToken.safeTransfer(e.provider, _stakeAmount);
    }

    /// @inheritdoc IServiceRegistry
    function entry(bytes32 id) external view returns (Entry memory) {
        return _entries[id];
    }

    /// @inheritdoc IServiceRegistry
    function serviceId(address provider, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), provider, salt));
    }

    /// @inheritdoc IServiceRegistry
    function stakeToken() external view returns (address) {
        return address(_stakeToken);
    }

    /// @inheritdoc IServiceRegistry
    function stakeAmount() external view returns (uint256) {
        return _stakeAmount;
    }

    /// @inheritdoc IServiceRegistry
    function unbondingSeconds() external view returns (uint32) {
        return _unbondingSeconds;
    }

    // ------------------------------------------------------------------------------------------------ inside

    function _ownEntry(bytes32 id) private view returns (Entry memory e) {
        e = _entries[id];
        if (e.status == Status.Unknown) revert NotListed(id);
        if (e.provider != _msgSender()) revert NotTheProvider(id, _msgSender());
    }

    /// Stores the hash of the next version and writes the whole into the log, where a byte costs 8 gas and not 690 as in storage.
    function _publish(bytes32 id, Entry memory e, Service calldata service) private {
        _checkParts(service);
        ++e.version;
        e.publishedIn = uint32(block.number); // only says where to look; the hash decides
        e.serviceHash = keccak256(abi.encode(service));
        _entries[id] = e;
        emit Published(id, keccak256(bytes(service.name)), keccak256(bytes(service.kind)), e.provider, e.version, service);
    }

    /// The state is written already. `!=` and not `<`: a stake inside a stake, from a token that calls out, shows as too much.
    function _pullStake(address provider) private {
        uint256 before = _stakeToken.balanceOf(address(this));
        _stakeToken.safeTransferFrom(provider, address(this), _stakeAmount);
        uint256 received = _stakeToken.balanceOf(address(this)) - before;
        if (received != _stakeAmount) revert StakeNotReceived(received, _stakeAmount);
    }

    function _checkParts(Service calldata service) private pure {
        _checkLength(Part.Name, bytes(service.name).length, MAX_NAME_BYTES);
        _checkLength(Part.Kind, bytes(service.kind).length, MAX_KIND_BYTES);
        _checkLength(Part.ServiceAddress, bytes(service.serviceAddress).length, MAX_ADDRESS_BYTES);
        _checkLength(Part.Price, service.price.length, MAX_PRICE_BYTES);
        if (service.chunk == 0) revert MissingPart(Part.Chunk);
        if (service.token == address(0)) revert MissingPart(Part.Token);
        if (service.minReservation == 0) revert MissingPart(Part.MinReservation);
        if (service.minTimeToExpiry == 0) revert MissingPart(Part.MinTimeToExpiry);
        _checkLength(Part.InputsUri, bytes(service.inputs.uri).length, MAX_URI_BYTES);
        if (service.inputs.hash == 0) revert MissingPart(Part.InputsHash);
        _checkLength(Part.OutputsUri, bytes(service.outputs.uri).length, MAX_URI_BYTES);
        if (service.outputs.hash == 0) revert MissingPart(Part.OutputsHash);
    }

    function _checkLength(Part part, uint256 length, uint256 max) private pure {
        if (length == 0) revert MissingPart(part);
        if (length > max) revert PartTooLong(part, length, max);
    }
}
