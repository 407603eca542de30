// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ISessions } from "../interfaces/ISessions.sol";
import { Clocked } from "../libraries/Clocked.sol";
import { Errors } from "../libraries/Errors.sol";

/// @title Seeds
/// @notice The part of {Sessions} that keeps one seed a session.
abstract contract Seeds is ISessions, Clocked {
    /// @dev EIP-2935: the hashes of the last 8191 blocks.
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 private constant HISTORY_BLOCKS = 8191;

    mapping(uint256 number => bytes32 seed) private _seeds;

    constructor() {
        if (HISTORY.code.length == 0) revert Errors.Sessions_HistoryMissing();
    }

    /// @inheritdoc ISessions
    function writeSeed(uint256 number) external override returns (bytes32 seed) {
        seed = _seeds[number];
        if (seed != 0) return seed;
        seed = _readSeed(number);
        if (seed == 0) revert Errors.Sessions_SeedUnavailable(number);
        _seeds[number] = seed;
        emit WriteSeed(number, seed);
    }

    /// @inheritdoc ISessions
    function seedOf(uint256 number) public view override returns (bytes32 seed) {
        seed = _seeds[number];
        if (seed == 0) seed = _readSeed(number);
    }

    /// @dev The one place randomness comes from; zero where the block is not past, or forgotten.
    function _readSeed(uint256 number) private view returns (bytes32) {
        uint256 blockNumber = _seedBlockOf(number);
        if (blockNumber >= block.number || block.number - blockNumber > HISTORY_BLOCKS) return 0;
        (bool success, bytes memory answer) = HISTORY.staticcall(abi.encode(blockNumber));
        // A failure is not a lost seed: whoever is short of gas must not make it look so.
        if (!success || answer.length != 32) revert Errors.Sessions_HistoryMissing();
        return bytes32(answer);
    }
}
