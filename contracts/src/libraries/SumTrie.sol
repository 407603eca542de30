// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Errors } from "./Errors.sol";

/// @title SumTrie
/// @notice Verifies that a leaf of a sparse Merkle sum trie covers a point of its sum.
/// @dev Mirrors `relay_mining/sum_trie.py`; the node format is that of `pokt-network/smt`:
///
/// leaf   sha256(0x00 || path32 || be64(weight) || be64(1))             then weight and 1
/// inner  sha256(0x01 || left48 || right48 || be64(sum) || be64(count)) then sum and count
///
/// A `tail` below is `sum * 2^64 + count`, the last 16 bytes of a node.
library SumTrie {
    uint256 private constant NODE_BYTES = 48;
    uint256 private constant DEPTH_MAX = 256;

    /// @notice Checks that the leaf at `path` is in the root and covers `point`, or reverts with the reason.
    /// @param siblings 48 bytes each, from the leaf up; their number is the leaf's depth.
    function verify(
        bytes32 rootDigest,
        uint64 rootSum,
        uint64 rootCount,
        uint64 point,
        bytes32 path,
        uint64 weight,
        bytes calldata siblings
    )
        internal
        view
    {
        (bytes32 digest, uint256 tail, uint256 start) = fold(path, weight, siblings);

        // Check: the siblings lead to the claimed root.
        if (digest != rootDigest || tail != (uint256(rootSum) << 64 | rootCount)) {
            revert Errors.Proof_RootMismatch(digest, tail >> 64, uint64(tail));
        }

        // Check: the leaf covers the challenged point.
        if (point < start || point - start >= weight) {
            revert Errors.Proof_PointNotCovered(point, start, weight);
        }
    }

    /// @notice The node reached from a leaf through its siblings, and where the leaf's range starts.
    function fold(
        bytes32 path,
        uint64 weight,
        bytes calldata siblings
    )
        internal
        view
        returns (bytes32 digest, uint256 tail, uint256 start)
    {
        uint256 depth = siblings.length / NODE_BYTES;
        if (siblings.length % NODE_BYTES != 0 || depth > DEPTH_MAX) {
            revert Errors.Proof_MalformedSiblings(siblings.length);
        }

        tail = uint256(weight) << 64 | 1;
        digest = sha256(abi.encodePacked(bytes1(0x00), path, uint128(tail)));

        (digest, tail, start) = _climb(digest, tail, path, siblings, depth);
    }

    /// @dev The loop of a proof's cost, hence the assembly. One buffer serves all hashes: 0x01, left at 1, right at
    /// 49, tail at 97. It is written from left to right, as a word of 32 bytes spills over what comes next.
    function _climb(
        bytes32 leafDigest,
        uint256 leafTail,
        bytes32 path,
        bytes calldata siblings,
        uint256 depth
    )
        private
        view
        returns (bytes32 digest, uint256 tail, uint256 start)
    {
        bool isOverflow = false;
        (digest, tail) = (leafDigest, leafTail);
        assembly ("memory-safe") {
            let low := 0xffffffffffffffff
            let buffer := mload(0x40) // beyond the last allocation: free to use, nothing is kept there
            mstore8(buffer, 1)
            let left := add(buffer, 1)
            let right := add(buffer, 49)
            let sibling := siblings.offset
            for { } depth { sibling := add(sibling, 48) } {
                depth := sub(depth, 1)
                let siblingTail := shr(128, calldataload(add(sibling, 32)))
                let above := add(tail, siblingTail)
                if or(shr(128, above), gt(add(and(tail, low), and(siblingTail, low)), low)) {
                    isOverflow := 1
                    break
                }
                // Bit `depth` of the path, from the most significant: 1 is the right side.
                switch and(shr(sub(255, depth), path), 1)
                case 1 {
                    start := add(start, shr(64, siblingTail))
                    calldatacopy(left, sibling, 48)
                    mstore(right, digest)
                    mstore(add(right, 32), shl(128, tail))
                }
                default {
                    mstore(left, digest)
                    mstore(add(left, 32), shl(128, tail))
                    calldatacopy(right, sibling, 48)
                }
                mstore(add(buffer, 97), shl(128, above))
                // The precompile cannot fail but for want of gas.
                if iszero(staticcall(gas(), 2, buffer, 113, 0, 32)) { revert(0, 0) }
                digest := mload(0)
                tail := above
            }
        }
        if (isOverflow) revert Errors.Proof_SumOverflow();
    }
}
