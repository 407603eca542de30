// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { RosterEntry } from "../types/Types.sol";

/// @title Draw
/// @notice Draws the members of a session by weight, and verifies one of them.
/// @dev Draw d of at most 64 hits the entry whose range of the cumulative weights covers
/// `keccak256(drawSeed, d) mod totalWeight`. Where asks are posted, hits on entries hit before are skipped, which is
/// successive weighted sampling without replacement; of an allotted roster the first K draws count, each as often as
/// it hits. An entry is a supplier, its price and its cumulative weight in one slot.
/// Mirrors `relay_mining/membership.py` and `relay_mining/allotted.py`.
library Draw {
    uint256 internal constant DRAWS = 64;

    /// @dev About the most that the weights by cost add up to; 128 entries that round up to 1 still leave 32 bits.
    uint256 private constant COST_WEIGHT = 2 ** 31;

    /// @notice What is drawn from: how many entries, what they weigh together, how many members.
    struct Urn {
        uint32 count;
        uint32 totalWeight;
        uint256 members;
    }

    function pack(address supplier, uint64 unitPrice, uint32 cumulative) internal pure returns (uint256) {
        return uint256(uint160(supplier)) << 96 | uint256(unitPrice) << 32 | cumulative;
    }

    function unpack(uint256 entry) internal pure returns (address supplier, uint64 unitPrice, uint32 cumulative) {
        return (address(uint160(entry >> 96)), uint64(entry >> 32), uint32(entry));
    }

    function seed(bytes32 sessionSeed, bytes32 sessionId) internal pure returns (bytes32) {
        return keccak256(abi.encode(sessionSeed, sessionId));
    }

    function point(bytes32 drawSeed, uint256 draw, uint32 totalWeight) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(drawSeed, draw))) % totalWeight;
    }

    /// @notice The same entries, weighted by what their units cost together instead of by the units.
    /// @dev Where all cost no more than `COST_WEIGHT`, weights are costs; else they are scaled to it, rounded down but
    /// at least 1.
    function weighByCost(RosterEntry[] memory entries) internal pure returns (RosterEntry[] memory) {
        uint256 scale = 0;
        for (uint256 i = 0; i < entries.length; ++i) {
            scale += uint256(entries[i].unitPrice) * entries[i].weight;
        }
        if (scale < COST_WEIGHT) scale = COST_WEIGHT;
        for (uint256 i = 0; i < entries.length; ++i) {
            uint256 weight = uint256(entries[i].unitPrice) * entries[i].weight * COST_WEIGHT / scale;
            entries[i].weight = weight == 0 ? 1 : uint32(weight);
        }
        return entries;
    }

    /// @notice Which part of an allotted session's cap the entry at `index` has: `parts` of `whole`, none for zero.
    function partsOf(
        mapping(uint256 => uint256) storage roster,
        Urn memory urn,
        bytes32 drawSeed,
        uint32 index
    )
        internal
        view
        returns (uint32 parts, uint32 whole)
    {
        if (index >= urn.count) return (0, 0);
        uint256 from = index == 0 ? 0 : uint32(roster[index - 1]);
        uint256 end = uint32(roster[index]);
        if (urn.count <= urn.members) return (uint32(end - from), urn.totalWeight);
        whole = uint32(urn.members);
        for (uint256 draw = 0; draw < whole; ++draw) {
            uint256 target = point(drawSeed, draw, urn.totalWeight);
            if (from <= target && target < end) ++parts;
        }
    }

    /// @notice Whether draw `draw` makes the entry at `index` a member.
    /// @param earlier The entries hit by all earlier draws where `draw >= members`, else empty.
    function isMember(
        mapping(uint256 => uint256) storage roster,
        Urn memory urn,
        bytes32 drawSeed,
        uint32 index,
        uint256 draw,
        uint32[] calldata earlier
    )
        internal
        view
        returns (bool)
    {
        uint32 totalWeight = urn.totalWeight;
        if (draw >= DRAWS || index >= urn.count || !_isHit(roster, index, point(drawSeed, draw, totalWeight))) {
            return false;
        }
        if (draw < urn.members) return earlier.length == 0;
        if (earlier.length != draw) return false;

        uint32[] memory distinct = new uint32[](urn.members);
        uint256 count = 0;
        for (uint256 d = 0; d < draw; ++d) {
            bool isThere = earlier[d] < urn.count && _isHit(roster, earlier[d], point(drawSeed, d, totalWeight));
            if (!isThere) return false;
            if (_contains(distinct, count, earlier[d])) continue;
            if (count + 1 == urn.members) return false;
            distinct[count++] = earlier[d];
        }
        return true;
    }

    /// @dev `index` is within the roster; slots beyond it are cleared, and refused by the callers all the same.
    function _isHit(
        mapping(uint256 => uint256) storage roster,
        uint256 index,
        uint256 target
    )
        private
        view
        returns (bool)
    {
        if (target >= uint32(roster[index])) return false;
        return index == 0 || target >= uint32(roster[index - 1]);
    }

    function _contains(uint32[] memory values, uint256 count, uint32 wanted) private pure returns (bool) {
        for (uint256 i = 0; i < count; ++i) {
            if (values[i] == wanted) return true;
        }
        return false;
    }
}
