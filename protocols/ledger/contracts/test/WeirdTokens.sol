// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Tokens as they really occur, for tests only. Anyone may mint.
abstract contract MintableToken is ERC20 {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// Keeps one percent of every transfer.
contract FeeToken is MintableToken {
    constructor() ERC20("Fee", "FEE") {}

    function _update(address from, address to, uint256 amount) internal virtual override {
        if (from != address(0) && to != address(0)) {
            uint256 fee = amount / 100;
            super._update(from, address(0xfee), fee);
            amount -= fee;
        }
        super._update(from, to, amount);
    }
}

/// Returns nothing from transfer, transferFrom and approve, as USDT does.
contract NoReturnToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address account => mapping(address spender => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// Answers false, and moves nothing, while it is told to refuse.
contract FalseToken is MintableToken {
    bool public refusing;

    constructor() ERC20("False", "FLS") {}

    function setRefusing(bool refuse) external {
        refusing = refuse;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return refusing ? false : super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return refusing ? false : super.transferFrom(from, to, amount);
    }
}

/// Refuses to pay accounts on its list, as USDC does.
contract BlocklistToken is MintableToken {
    mapping(address account => bool) public blocked;

    constructor() ERC20("Block", "BLK") {}

    function setBlocked(address account, bool yes) external {
        blocked[account] = yes;
    }

    function _update(address from, address to, uint256 amount) internal override {
        require(!blocked[from] && !blocked[to], "blocked");
        super._update(from, to, amount);
    }
}

interface IHook {
    function onTransfer() external;
}

/// Calls sender and receiver on every transfer if they ask for it (the shape of ERC-777), and keeps one percent: the worst of both.
contract HookToken is FeeToken {
    mapping(address account => bool) public hooked;

    function setHook(bool on) external {
        hooked[msg.sender] = on;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (hooked[from]) IHook(from).onTransfer();
        if (hooked[to]) IHook(to).onTransfer();
    }
}
