// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ClockValues } from "../types/Types.sol";

/// @title Clocked
/// @notice The session clock, in every contract that needs the time.
abstract contract Clocked {
    uint256 private immutable GENESIS_BLOCK;
    uint256 private immutable SESSION_BLOCKS;
    uint256 private immutable SEED_OFFSET;
    uint256 private immutable EPOCH_SESSIONS;

    constructor(ClockValues memory values) {
        GENESIS_BLOCK = values.genesisBlock;
        SESSION_BLOCKS = values.sessionBlocks;
        SEED_OFFSET = values.seedOffset;
        EPOCH_SESSIONS = values.epochSessions;
    }

    function _clock() internal view returns (ClockValues memory) {
        return ClockValues(uint64(GENESIS_BLOCK), uint64(SESSION_BLOCKS), uint64(SEED_OFFSET), uint64(EPOCH_SESSIONS));
    }

    /// @dev The genesis block is never in the future: {Parameters} refuses that.
    function _currentSession() internal view returns (uint64) {
        return uint64((block.number - GENESIS_BLOCK) / SESSION_BLOCKS);
    }

    function _currentEpoch() internal view returns (uint256) {
        return _epochOf(_currentSession());
    }

    function _epochOf(uint256 number) internal view returns (uint256) {
        return number / EPOCH_SESSIONS;
    }

    /// @dev The first session of an epoch.
    function _firstOf(uint256 epoch) internal view returns (uint256) {
        return epoch * EPOCH_SESSIONS;
    }

    function _startOf(uint256 number) internal view returns (uint256) {
        return GENESIS_BLOCK + number * SESSION_BLOCKS;
    }

    function _seedBlockOf(uint256 number) internal view returns (uint256) {
        return _startOf(number) + SEED_OFFSET;
    }

    /// @dev The roster of an epoch must be fixed before the block whose hash draws its first members.
    function _isLastOfEpoch(uint256 number) internal view returns (bool) {
        return number % EPOCH_SESSIONS == EPOCH_SESSIONS - 1;
    }
}
