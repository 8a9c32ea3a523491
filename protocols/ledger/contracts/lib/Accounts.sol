// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../ITallyLedger.sol";

/// The one storage slot of an account in one token, from its low bits up: balance 96 | payout 160.
///
/// The payout is who is credited when the account is paid as a target; zero: itself. It lies beside the balance so that paying a
/// target that has no other payout looks at nothing but the slot that it changes.
type Account is uint256;

using Accounts for Account global;

library Accounts {
    function balance(Account a) internal pure returns (uint96) {
        return uint96(Account.unwrap(a));
    }

    function payout(Account a) internal pure returns (address) {
        return address(uint160(Account.unwrap(a) >> 96));
    }

    /// The same account with `amount` more. Beyond 96 bits it reverts: no such sum of a token exists that anybody trades in.
    function plus(Account a, uint256 amount) internal pure returns (Account) {
        if (amount > type(uint96).max - a.balance()) revert ITallyLedger.BalanceTooLarge(a.balance(), amount);
        unchecked {
            return Account.wrap(Account.unwrap(a) + amount); // checked just above: nothing is carried into the payout
        }
    }

    /// The same account with `amount` less, which the caller has checked to be there.
    function minus(Account a, uint256 amount) internal pure returns (Account) {
        unchecked {
            return Account.wrap(Account.unwrap(a) - amount);
        }
    }

    function withPayout(Account a, address payout_) internal pure returns (Account) {
        return Account.wrap(uint256(a.balance()) | uint256(uint160(payout_)) << 96);
    }
}
