// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title Tallystick's service registry: who sells what, on which demands, with a stake behind it. No owner, no upgrade, no slashing.
///
/// A provider registers a service and locks a stake; the service is listed until it unregisters, and the stake comes back after a fixed
/// delay. Consumers stake nothing and pay nothing here. The registry never touches the ledger, and no payment depends on it.
///
/// An entry keeps the hash of what is registered; the whole stands in the Published log. Whoever holds a descriptor, from the log or
/// from anybody else, can check it: serviceHash = keccak256(abi.encode(service)).
///
/// Invariants (each has a test):
///  - the tokens that the registry holds are never less than stakeAmount times the entries that are listed or unbonding;
///  - an id belongs to one provider for ever and is never used again; only that provider changes its entry;
///  - a stake is paid out once, to its provider, and not a second before releaseAt.
interface IServiceRegistry {
    enum Status {
        /// 0: never registered
        Unknown,
        /// 1: on sale, stake locked
        Listed,
        /// 2: taken back, stake locked until releaseAt
        Unbonding,
        /// 3: taken back, stake returned
        Withdrawn
    }

    /// What a service takes or gives: where the document is, and the keccak256 of its bytes.
    struct Specification {
        string uri;
        bytes32 hash;
    }

    /// The descriptor. Every part is required: none may be empty or zero.
    struct Service {
        /// at most 64 bytes
        string name;
        /// what the service is to a program; at most 32 bytes
        string kind;
        /// where the provider is reached, as a multiaddr with its peer id; at most 256 bytes
        string serviceAddress;
        /// the rates, encoded as in an offer; at most 139 bytes
        bytes price;
        /// the quantum after which a payment is due, encoded as in an offer: kind 1 | size 8
        bytes9 chunk;
        /// what is paid in; the stake has a token of its own
        address token;
        /// the least that a consumer has to reserve, base units of `token`
        uint96 minReservation;
        /// seconds that the reservation has to last at least
        uint32 minTimeToExpiry;
        /// each uri at most 256 bytes
        Specification inputs;
        Specification outputs;
    }

    /// What is stored of a service: two slots, never cleared.
    struct Entry {
        address provider;
        Status status;
        /// 1 when registered, one more with each update
        uint16 version;
        /// low 32 bits of block.number when this version was published: where its log is
        uint32 publishedIn;
        /// unix seconds, from then on the stake can be withdrawn; zero while listed
        uint40 releaseAt;
        /// keccak256(abi.encode(service)) of this version
        bytes32 serviceHash;
    }

    /// Names a part of the descriptor in an error.
    enum Part {
        Name,
        Kind,
        ServiceAddress,
        Price,
        Chunk,
        Token,
        MinReservation,
        MinTimeToExpiry,
        InputsUri,
        InputsHash,
        OutputsUri,
        OutputsHash
    }

    // ------------------------------------------------------------------------------------------------ events

    /// A service is listed and its stake is locked.
    event Registered(bytes32 indexed id, address indexed provider, uint256 stake);

    /// The descriptor in full, with every version. nameHash = keccak256(name), kindHash = keccak256(kind).
    event Published(
        bytes32 indexed id, bytes32 indexed nameHash, bytes32 indexed kindHash, address provider, uint16 version, Service service
    );

    event Unregistered(bytes32 indexed id, address indexed provider, uint40 releaseAt);
    event StakeWithdrawn(bytes32 indexed id, address indexed provider, uint256 stake);

    // ------------------------------------------------------------------------------------------------ errors

    /// The constructor was given no token contract, no amount or no delay.
    error InvalidStake(address token, uint256 amount, uint32 unbondingSeconds);
    /// A part of the descriptor is empty or zero.
    error MissingPart(Part part);
    error PartTooLong(Part part, uint256 length, uint256 max);
    /// The caller has used this salt before; ids are never used again.
    error AlreadyRegistered(bytes32 id);
    error NotTheProvider(bytes32 id, address caller);
    /// The id was never registered, or its service was taken back.
    error NotListed(bytes32 id);
    /// There is no stake to return: the service is still listed, or the stake was withdrawn.
    error NotUnbonding(bytes32 id);
    error StakeLocked(bytes32 id, uint40 releaseAt);
    /// The token moved another amount than the stake: one that takes a fee cannot be staked.
    error StakeNotReceived(uint256 received, uint256 needed);
    /// The service was updated 65,534 times; register it again under another salt.
    error VersionsUsedUp(bytes32 id);

    // ------------------------------------------------------------------------------------------------ functions

    /// Lists a service of the caller and pulls its stake. Needs an allowance for stakeAmount. The salt is the caller's choice and
    /// makes the id: a call that is sent twice is refused the second time, so no stake is locked twice by mistake.
    function register(bytes32 salt, Service calldata service) external returns (bytes32 id);

    /// The provider replaces the descriptor; the id stays, the version rises.
    function update(bytes32 id, Service calldata service) external;

    /// The provider takes the service back. The stake can be withdrawn unbondingSeconds later.
    function unregister(bytes32 id) external;

    /// Returns the stake to the provider, who has to be the caller.
    function withdrawStake(bytes32 id) external;

    /// All zero for an id that was never registered.
    function entry(bytes32 id) external view returns (Entry memory);

    /// keccak256(abi.encode(chainid, registry, provider, salt)): no other chain, registry or provider has it.
    function serviceId(address provider, bytes32 salt) external view returns (bytes32);

    function stakeToken() external view returns (address);

    /// What every registration locks, base units of stakeToken.
    function stakeAmount() external view returns (uint256);

    function unbondingSeconds() external view returns (uint32);
}
