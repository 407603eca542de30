// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Share } from "../types/Types.sol";

/// @title Threshold
/// @notice Threshold sampling of relays, and what slices and units are worth.
/// @dev Mirrors `relay_mining/threshold.py` and `relay_mining/session.py`. Every division rounds down.
library Threshold {
    /// @dev The most units of a receipt and the most weight of a claim.
    uint256 internal constant UNITS_MAX = 2 ** 63 - 1;

    /// @dev A unit price is for this many compute units.
    uint256 internal constant UNITS_PER_PRICE = 1e6;

    /// @notice The most a member may claim of a session's cap.
    function slice(uint96 cap, Share memory share) internal pure returns (uint96) {
        uint256 most = cap < share.capMax ? cap : share.capMax;
        return uint96(most * share.parts / share.whole);
    }

    function tau(uint96 slice_, uint64 price, uint32 targetLeaves) internal pure returns (uint64) {
        uint256 sliceUnits = uint256(slice_) * UNITS_PER_PRICE / price;
        if (sliceUnits > UNITS_MAX) sliceUnits = UNITS_MAX;
        uint256 threshold = sliceUnits / targetLeaves;
        return threshold == 0 ? 1 : uint64(threshold);
    }

    function value(uint64 sum, uint64 price) internal pure returns (uint256) {
        return uint256(sum) * price / UNITS_PER_PRICE;
    }

    function coin(bytes32 receiptHash, bytes32 salt) internal pure returns (uint128) {
        return uint128(uint256(keccak256(abi.encode(receiptHash, salt))));
    }

    /// @dev `coin * tau < 2^192` and `units * 2^128 < 2^192`: nothing overflows.
    function isPayable(bytes32 receiptHash, bytes32 salt, uint64 units, uint64 threshold) internal pure returns (bool) {
        return uint256(coin(receiptHash, salt)) * threshold < uint256(units) << 128;
    }

    function weight(uint64 units, uint64 threshold) internal pure returns (uint64) {
        return units < threshold ? threshold : units;
    }
}
