// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Opening, Sibling } from "../types/AuctionTypes.sol";
import { Errors } from "./Errors.sol";

/// @title SortedSumTree
/// @notice Says what stands before a leaf in a Merkle tree that sums counts, units and costs from left to right.
/// @dev Mirrors `pricing/sorted_sum_tree.py`:
///
/// leaf   keccak256(0x00 || key32 || sums32)
/// inner  keccak256(0x01 || left digest || left sums || right digest || right sums)
///
/// Sums are `count * 2^192 + units * 2^128 + cost`, below 2^224. The sums of both children are under the hash, so
/// leaves that open stand at places of their own among as many as the root counts: where each of that many orders
/// opens, the tree holds them and nothing else, and every sum in it is right.
///
/// A node over the leaves from `low` up to `high` splits at `(low + high + 1) / 2`, so a line of leaves has one root:
/// whoever knows the orders knows it, and another one is wrong.
library SortedSumTree {
    /// @dev A tree of 2^32 leaves; `lefts` has no more bits.
    uint256 private constant DEPTH_MAX = 32;

    /// @notice What stands before a leaf.
    struct Place {
        uint32 position;
        uint64 unitsBefore;
        uint128 costBefore;
    }

    function pack(uint32 count, uint64 units, uint128 cost) internal pure returns (uint256) {
        return uint256(count) << 192 | uint256(units) << 128 | cost;
    }

    /// @notice The key of an ask: by price, then by supplier.
    function askKey(uint64 price, address supplier) internal pure returns (bytes32) {
        return bytes32(uint256(price) << 160 | uint160(supplier));
    }

    /// @notice The key of a bid: its place in the public order.
    function bidKey(bytes32 drawSeed, address application) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(drawSeed, application));
    }

    /// @notice Where a leaf stands, or reverts where the opening does not lead to the root.
    /// @param total The root's sums.
    function place(
        bytes32 root,
        uint256 total,
        bytes32 key,
        uint256 leafSums,
        Opening calldata opening
    )
        internal
        pure
        returns (Place memory)
    {
        uint256 depth = opening.siblings.length;
        if (depth > DEPTH_MAX) revert Errors.Tree_TooDeep(depth);
        bytes32 digest = keccak256(abi.encodePacked(bytes1(0x00), key, leafSums));
        uint256 sums = leafSums;
        uint256 before = 0;
        for (uint256 i = 0; i < depth; ++i) {
            Sibling calldata sibling = opening.siblings[i];
            if (sibling.sums >> 224 != 0) revert Errors.Tree_SumsOutOfRange(sibling.sums);
            if (opening.lefts >> i & 1 == 1) {
                before += sibling.sums;
                digest = _inner(sibling.digest, sibling.sums, digest, sums);
            } else {
                digest = _inner(digest, sums, sibling.digest, sibling.sums);
            }
            sums += sibling.sums;
        }
        if (digest != root || sums != total) revert Errors.Tree_RootMismatch(digest, sums);

        // Check: no sum of a tree that is not what it should be reaches into the next one.
        bool isWithin = uint64(before >> 128) + uint256(uint64(leafSums >> 128)) <= uint64(total >> 128)
            && uint128(before) + uint256(uint128(leafSums)) <= uint128(total) && before >> 192 < total >> 192;
        if (!isWithin) revert Errors.Tree_SumsOutOfRange(before);
        if (!_isCanonical(before >> 192, total >> 192, opening)) revert Errors.Tree_ShapeMismatch(before >> 192);
        return Place(uint32(before >> 192), uint64(before >> 128), uint128(before));
    }

    /// @dev Whether the way up from a position turns as in the one tree of that many leaves.
    function _isCanonical(uint256 position, uint256 count, Opening calldata opening) private pure returns (bool) {
        (uint256 low, uint256 high, uint256 depth, uint256 lefts) = (0, count, 0, 0);
        for (; high - low > 1; ++depth) {
            uint256 middle = (low + high + 1) / 2;
            bool isRight = position >= middle;
            (low, high) = isRight ? (middle, high) : (low, middle);
            lefts = lefts << 1 | (isRight ? 1 : 0);
        }
        return depth == opening.siblings.length && lefts == opening.lefts;
    }

    function _inner(bytes32 left, uint256 leftSums, bytes32 right, uint256 rightSums) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x01), left, leftSums, right, rightSums));
    }
}
