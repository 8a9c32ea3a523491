// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// The part of forge's cheat codes that the proof needs.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    function prank(address sender) external;
    function warp(uint256 time) external;
    function deployCode(string calldata artefact) external returns (address);
    function deployCode(string calldata artefact, bytes calldata constructorArgs) external returns (address);
    function assume(bool condition) external pure;
    function load(address account, bytes32 slot) external view returns (bytes32);
    function store(address account, bytes32 slot, bytes32 value) external;
}

Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
