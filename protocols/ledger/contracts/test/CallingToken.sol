// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IHook, MintableToken} from "./WeirdTokens.sol";

/// Calls sender and receiver on every transfer if they ask for it, and takes no fee. For tests only.
contract CallingToken is MintableToken {
    mapping(address account => bool) public hooked;

    constructor() ERC20("Calling", "CALL") {}

    function setHook(bool on) external {
        hooked[msg.sender] = on;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (hooked[from]) IHook(from).onTransfer();
        if (hooked[to]) IHook(to).onTransfer();
    }
}
