// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ITallyLedger} from "../../../../protocols/ledger/contracts/ITallyLedger.sol";
import {Row, Signing} from "./Signing.sol";

/// The calls whose form on the wire is a matter of taste, in one place: how one promise is handed in, and how a payout changes.
library Calls {
    function settle(address target, address token, Row memory row) internal pure returns (bytes memory) {
        bytes memory signature = abi.encodePacked(row.r, row.vs);
        return abi.encodeCall(ITallyLedger.settle, (row.owner, target, token, row.amount, Signing.show(row.locks), signature));
    }

    function proposePayout(address target, address payout) internal pure returns (bytes memory) {
        return abi.encodeCall(ITallyLedger.proposePayoutFor, (target, payout));
    }

    function acceptPayout(address target) internal pure returns (bytes memory) {
        return abi.encodeCall(ITallyLedger.acceptPayout, (target));
    }

    function acceptPayoutWithSignature(address target, address payout, uint40 deadline, bytes memory signature)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(ITallyLedger.acceptPayoutWithSignature, (target, payout, deadline, signature));
    }
}
