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

        // One buffer for all hashes: 0x01, left at 1, right at 49, tail at 97, 15 spare bytes for the last write.
        bytes memory buffer = new bytes(129);
        buffer[0] = 0x01;
        uint256 offset = 0;
        while (depth != 0) {
            --depth;
            uint256 sibling = uint128(bytes16(siblings[offset + 32:offset + 48]));
            uint256 above = _addTails(tail, sibling);
            bool isRight = (uint256(path) >> (255 - depth)) & 1 == 1;
            if (isRight) start += sibling >> 64;
            digest = _hashInner(buffer, digest, tail, siblings[offset:], isRight, above);
            tail = above;
            offset += NODE_BYTES;
        }
    }

    function _addTails(uint256 a, uint256 b) private pure returns (uint256) {
        uint256 sum = (a >> 64) + (b >> 64);
        uint256 count = uint256(uint64(a)) + uint64(b);
        if (sum > type(uint64).max || count > type(uint64).max) revert Errors.Proof_SumOverflow();
        return sum << 64 | count;
    }

    /// @dev Writes from left to right: a write of 32 bytes spills over what the next one fills.
    function _hashInner(
        bytes memory buffer,
        bytes32 digest,
        uint256 tail,
        bytes calldata sibling,
        bool isRight,
        uint256 above
    )
        private
        view
        returns (bytes32 parent)
    {
        assembly ("memory-safe") {
            let data := add(buffer, 32)
            let own := add(data, 1)
            if isRight {
                calldatacopy(own, sibling.offset, 48)
                own := add(data, 49)
            }
            mstore(own, digest)
            mstore(add(own, 32), shl(128, tail))
            if iszero(isRight) { calldatacopy(add(data, 49), sibling.offset, 48) }
            mstore(add(data, 97), shl(128, above))
            // Scratch space takes the digest; the precompile cannot fail but for want of gas.
            if iszero(staticcall(gas(), 2, data, 113, 0, 32)) { revert(0, 0) }
            parent := mload(0)
        }
    }
}
