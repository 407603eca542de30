// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { SortedSumTree } from "../../src/libraries/SortedSumTree.sol";
import { Opening, Sibling } from "../../src/types/AuctionTypes.sol";

/// @notice An order as the trees of these tests know it.
struct Lot {
    address trader;
    uint64 price;
    uint32 quantity;
}

/// @notice Builds sum trees, and says by its definition what VCG pays.
library Trees {
    function root(bytes32[] memory keys, uint256[] memory sums) internal pure returns (bytes32 digest) {
        if (keys.length != 0) (digest,) = _node(keys, sums, 0, keys.length);
    }

    function open(
        bytes32[] memory keys,
        uint256[] memory sums,
        uint256 position
    )
        internal
        pure
        returns (Opening memory opening)
    {
        Sibling[32] memory found;
        bool[32] memory isLeft;
        uint256 depth = 0;
        (uint256 low, uint256 high) = (0, keys.length);
        while (high - low > 1) {
            uint256 middle = (low + high + 1) / 2;
            isLeft[depth] = position >= middle;
            (uint256 from, uint256 to) = isLeft[depth] ? (low, middle) : (middle, high);
            (found[depth].digest, found[depth].sums) = _node(keys, sums, from, to);
            (low, high) = isLeft[depth++] ? (middle, high) : (low, middle);
        }
        opening.siblings = new Sibling[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            opening.siblings[i] = found[depth - 1 - i];
            if (isLeft[depth - 1 - i]) opening.lefts |= uint32(1 << i);
        }
    }

    function askLeaves(Lot[] memory lots) internal pure returns (bytes32[] memory keys, uint256[] memory sums) {
        (keys, sums) = (new bytes32[](lots.length), new uint256[](lots.length));
        for (uint256 i = 0; i < lots.length; ++i) {
            keys[i] = SortedSumTree.askKey(lots[i].price, lots[i].trader);
            sums[i] = SortedSumTree.pack(1, lots[i].quantity, uint128(lots[i].price) * lots[i].quantity);
        }
    }

    function bidLeaves(
        Lot[] memory lots,
        bytes32 drawSeed
    )
        internal
        pure
        returns (bytes32[] memory keys, uint256[] memory sums)
    {
        (keys, sums) = (new bytes32[](lots.length), new uint256[](lots.length));
        for (uint256 i = 0; i < lots.length; ++i) {
            keys[i] = SortedSumTree.bidKey(drawSeed, lots[i].trader);
            sums[i] = SortedSumTree.pack(1, lots[i].quantity, 0);
        }
    }

    /// @dev By price, then by trader.
    function sortAsks(Lot[] memory lots) internal pure {
        for (uint256 i = 1; i < lots.length; ++i) {
            for (uint256 j = i; j > 0 && _key(lots[j]) < _key(lots[j - 1]); --j) {
                (lots[j], lots[j - 1]) = (lots[j - 1], lots[j]);
            }
        }
    }

    /// @dev By public order.
    function sortBids(Lot[] memory lots, bytes32 drawSeed) internal pure {
        for (uint256 i = 1; i < lots.length; ++i) {
            for (uint256 j = i; j > 0; --j) {
                bytes32 own = SortedSumTree.bidKey(drawSeed, lots[j].trader);
                if (own >= SortedSumTree.bidKey(drawSeed, lots[j - 1].trader)) break;
                (lots[j], lots[j - 1]) = (lots[j - 1], lots[j]);
            }
        }
    }

    /// @notice The least cost of `demand` units from asks in order but for one, each missing unit at the reserve.
    function costWithout(
        Lot[] memory lots,
        uint256 demand,
        uint256 reserve,
        uint256 left
    )
        internal
        pure
        returns (uint256 cost)
    {
        for (uint256 i = 0; i < lots.length && demand != 0; ++i) {
            if (i == left) continue;
            uint256 units = lots[i].quantity < demand ? lots[i].quantity : demand;
            cost += units * lots[i].price;
            demand -= units;
        }
        cost += demand * reserve;
    }

    function _key(Lot memory lot) private pure returns (bytes32) {
        return SortedSumTree.askKey(lot.price, lot.trader);
    }

    function _node(
        bytes32[] memory keys,
        uint256[] memory sums,
        uint256 low,
        uint256 high
    )
        private
        pure
        returns (bytes32 digest, uint256 total)
    {
        if (high - low == 1) return (keccak256(abi.encodePacked(bytes1(0x00), keys[low], sums[low])), sums[low]);
        uint256 middle = (low + high + 1) / 2;
        (bytes32 left, uint256 leftSums) = _node(keys, sums, low, middle);
        (bytes32 right, uint256 rightSums) = _node(keys, sums, middle, high);
        digest = keccak256(abi.encodePacked(bytes1(0x01), left, leftSums, right, rightSums));
        total = leftSums + rightSums;
    }
}
