// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Challenge
/// @notice How many points of a claim must be proved, and which.
/// @dev Mirrors `relay_mining/challenge.py`. The rate is rounded up, against the claimant.
library Challenge {
    function seed(bytes32 sessionSeed, bytes32 claimId) internal pure returns (bytes32) {
        return keccak256(abi.encode(sessionSeed, claimId));
    }

    /// @dev `marginBps * value * 2^64 < 2^192`: nothing overflows. `bond` is at least 1.
    function points(uint96 value, uint96 bond, uint32 marginBps, bytes32 challengeSeed)
        internal
        pure
        returns (uint256)
    {
        uint256 scaled = (uint256(marginBps) * value) << 64;
        uint256 unit = 10_000 * uint256(bond);
        uint256 rate = (scaled + unit - 1) / unit;
        return (rate + uint64(uint256(challengeSeed))) >> 64;
    }

    function point(bytes32 challengeSeed, uint256 index, uint64 sum) internal pure returns (uint64) {
        return uint64(uint256(keccak256(abi.encode(challengeSeed, index))) % sum);
    }

    function minimumBond(uint256 value, uint16 bondRatioMax) internal pure returns (uint256) {
        uint256 least = (value + bondRatioMax - 1) / bondRatioMax;
        return least == 0 ? 1 : least;
    }
}
