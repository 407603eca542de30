// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Errors } from "../src/libraries/Errors.sol";
import { Harness } from "./Harness.sol";
import { Test } from "./utils/Vm.sol";

/// @notice The verifier against a trie built the slow and obvious way.
contract SumTrieTest is Test {
    Harness internal harness = new Harness();

    bytes32[] internal paths;
    uint64[] internal weights;

    struct Node {
        bytes32 digest;
        uint64 sum;
        uint64 count;
    }

    /// @dev Every point of a trie is covered by exactly the leaf whose turn it is.
    function test_EveryLeafOpens(bytes32 seed, uint8 size) public {
        build(seed, 1 + size % 6);
        Node memory root = subtree(0, 0);
        uint64 start = 0;
        for (uint256 i = 0; i < paths.length; ++i) {
            bytes memory siblings = siblingsOf(paths[i]);
            open(root, start, i, siblings);
            open(root, start + weights[i] - 1, i, siblings);
            if (start != 0) refuse(root, start - 1, i, siblings, Errors.Proof_PointNotCovered.selector);
            refuse(root, start + weights[i], i, siblings, Errors.Proof_PointNotCovered.selector);
            start += weights[i];
        }
        vm.assertEq(start, root.sum);
    }

    /// @dev Any one bit of the siblings changed leads elsewhere.
    function test_EveryBitCounts(bytes32 seed, uint16 bit) public {
        build(seed, 5);
        Node memory root = subtree(0, 0);
        bytes memory siblings = siblingsOf(paths[0]);
        uint256 where = uint256(bit) % (siblings.length * 8);
        siblings[where / 8] ^= bytes1(uint8(1 << (where % 8)));
        (bool success,) = address(harness).staticcall(callOf(root, 0, 0, siblings));
        vm.assertFalse(success);
    }

    function test_ADuplicateOrMisplacedLeafHasNoPlace(bytes32 seed) public {
        build(seed, 4);
        Node memory root = subtree(0, 0);
        bytes memory siblings = siblingsOf(paths[1]);
        bytes memory message = abi.encodeCall(
            harness.verifyOpening, (root.digest, root.sum, root.count, 0, paths[0], weights[0], siblings)
        );
        bytes memory own = siblingsOf(paths[0]);
        (bool success,) = address(harness).staticcall(message);
        vm.assertEq(success, keccak256(own) == keccak256(siblings));
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       HELPERS
    //////////////////////////////////////////////////////////////////////////*/

    function build(bytes32 seed, uint256 size) internal {
        delete paths;
        delete weights;
        for (uint256 i = 0; i < size; ++i) {
            bytes32 path = keccak256(abi.encode(seed, i));
            // Some neighbours share long prefixes.
            if (i == 1) path = bytes32(uint256(paths[0]) ^ (1 << (255 - uint256(path) % 40)));
            paths.push(path);
            weights.push(uint64(1 + uint256(keccak256(abi.encode(path))) % 1000));
            for (uint256 j = i; j != 0 && paths[j] < paths[j - 1]; --j) {
                (paths[j], paths[j - 1]) = (paths[j - 1], paths[j]);
                (weights[j], weights[j - 1]) = (weights[j - 1], weights[j]);
            }
        }
    }

    /// @dev The node over all leaves whose first `depth` bits are those of `prefix`.
    function subtree(uint256 prefix, uint256 depth) internal view returns (Node memory node) {
        uint256 only = 0;
        for (uint256 i = 0; i < paths.length; ++i) {
            if (depth == 0 || uint256(paths[i]) >> (256 - depth) == prefix) (only, node.count) = (i, node.count + 1);
        }
        if (node.count == 0) return node;
        if (node.count == 1) {
            node.sum = weights[only];
            node.digest = sha256(abi.encodePacked(bytes1(0x00), paths[only], node.sum, uint64(1)));
            return node;
        }
        Node memory left = subtree(prefix << 1, depth + 1);
        Node memory right = subtree(prefix << 1 | 1, depth + 1);
        node.sum = left.sum + right.sum;
        node.digest = sha256(
            abi.encodePacked(
                bytes1(0x01),
                abi.encodePacked(left.digest, left.sum, left.count),
                abi.encodePacked(right.digest, right.sum, right.count),
                node.sum,
                node.count
            )
        );
    }

    function siblingsOf(bytes32 path) internal view returns (bytes memory siblings) {
        for (uint256 depth = 1; depth <= 256; ++depth) {
            uint256 above = depth == 1 ? 0 : uint256(path) >> (257 - depth);
            if (subtree(above, depth - 1).count == 1) return siblings;
            Node memory sibling = subtree((uint256(path) >> (256 - depth)) ^ 1, depth);
            siblings = abi.encodePacked(sibling.digest, sibling.sum, sibling.count, siblings);
        }
    }

    function callOf(
        Node memory root,
        uint64 point,
        uint256 index,
        bytes memory siblings
    )
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            harness.verifyOpening, (root.digest, root.sum, root.count, point, paths[index], weights[index], siblings)
        );
    }

    function open(Node memory root, uint64 point, uint256 index, bytes memory siblings) internal view {
        (bool success,) = address(harness).staticcall(callOf(root, point, index, siblings));
        vm.assertTrue(success, "a good opening was refused");
    }

    function refuse(Node memory root, uint64 point, uint256 index, bytes memory siblings, bytes4 reason) internal view {
        (bool success, bytes memory answer) = address(harness).staticcall(callOf(root, point, index, siblings));
        vm.assertFalse(success);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(reason));
    }
}
