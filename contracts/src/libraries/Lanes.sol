// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { SessionKey } from "../types/Types.sol";

/// @title Lanes
/// @notice Where open claims are kept: a supplier has four slots for each delegation it serves, used in turn.
///
/// A claim for session n is settled by anyone from n+3 on at the latest, and its slot is wanted again by the claim
/// for n+4, made in n+5. A slot is never cleared, as writing over one costs 5,000 gas and filling an empty one
/// 22,100; and the state does not grow with the number of claims.
/// @dev A slot holds the session claimed last in its low 32 bits. Above it are the high 224 bits of the claim's hash
/// while the claim is open, and zero once it is settled.
library Lanes {
    uint256 private constant LANES = 4;

    function keyOf(address supplier, SessionKey memory session) internal pure returns (bytes32) {
        uint256 lane = session.number % LANES;
        return keccak256(abi.encode(supplier, session.application, session.gateway, session.service, lane));
    }

    function open(bytes32 claimHash, uint64 number) internal pure returns (uint256 slot) {
        return uint256(claimHash) & ~uint256(type(uint32).max) | uint32(number);
    }

    function settled(uint64 number) internal pure returns (uint256 slot) {
        return uint32(number);
    }

    function isOpen(uint256 slot) internal pure returns (bool) {
        return slot >> 32 != 0;
    }

    /// @dev Session 0 is never claimed, so an empty slot is of none.
    function isOf(uint256 slot, uint64 number) internal pure returns (bool) {
        return uint32(slot) == uint32(number);
    }
}
