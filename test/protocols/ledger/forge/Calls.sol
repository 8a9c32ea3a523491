// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Row, Signing} from "./Signing.sol";

/// How one promise is handed in, and how a payout changes: the calls that the tests make from everywhere.
library Calls {
    function settle(address target, address token, Row memory row) internal pure returns (bytes memory) {
        return abi.encodeCall(ITallyLedger.settle, (target, token, Signing.encode(row)));
    }

    function settleDirect(address token, Row memory row) internal pure returns (bytes memory) {
        return abi.encodeCall(ITallyLedger.settleDirect, (token, Signing.encode(row)));
    }

    function proposePayout(address target, address token, address payout) internal pure returns (bytes memory) {
        return abi.encodeCall(ITallyLedger.proposePayout, (target, token, payout));
    }

    function acceptPayout(address target, address token) internal pure returns (bytes memory) {
        return abi.encodeCall(ITallyLedger.acceptPayout, (target, token));
    }

    function acceptPayoutWithSignature(address target, address token, address payout, uint40 deadline, bytes memory signature)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(ITallyLedger.acceptPayoutWithSignature, (target, token, payout, deadline, signature));
    }
}
