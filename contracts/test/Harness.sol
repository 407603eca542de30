// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import { ClearingVerifier } from "../src/auction/ClearingVerifier.sol";
import { Challenge } from "../src/libraries/Challenge.sol";
import { Draw } from "../src/libraries/Draw.sol";
import { PostedPrice } from "../src/libraries/PostedPrice.sol";
import { RelayHash } from "../src/libraries/RelayHash.sol";
import { SortedSumTree } from "../src/libraries/SortedSumTree.sol";
import { SumTrie } from "../src/libraries/SumTrie.sol";
import { Threshold } from "../src/libraries/Threshold.sol";
import { Opening, Round } from "../src/types/AuctionTypes.sol";
import { Claim, RosterEntry, Service, SessionKey, Share } from "../src/types/Types.sol";

/// @title Harness
/// @notice The libraries' functions in the open, so that Python is held against them byte for byte.
contract Harness is ClearingVerifier {
    mapping(uint256 index => uint256 entry) private _roster;

    /*//////////////////////////////////////////////////////////////////////////
                                   IDS AND HASHES
    //////////////////////////////////////////////////////////////////////////*/

    function serviceId(Service calldata listed) external pure returns (bytes32) {
        return RelayHash.serviceId(listed);
    }

    function supplierId(address owner, bytes32 salt) external pure returns (address) {
        return RelayHash.supplierId(owner, salt);
    }

    function sessionId(SessionKey calldata key) external pure returns (bytes32) {
        return RelayHash.sessionId(key);
    }

    function claimId(address supplier, bytes32 session) external pure returns (bytes32) {
        return RelayHash.claimId(supplier, session);
    }

    function claimHash(Claim calldata claim) external pure returns (bytes32) {
        return keccak256(abi.encode(claim));
    }

    function domainSeparator(uint256 chainId, address verifyingContract) public pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Lode"),
                keccak256("1"),
                chainId,
                verifyingContract
            )
        );
    }

    function requestDigest(
        bytes32 domain,
        bytes32 session,
        address supplier,
        bytes32 bodyHash,
        uint64 maxUnits,
        uint64 expiry,
        bytes32 nonce
    )
        external
        pure
        returns (bytes32)
    {
        bytes memory message =
            abi.encode(RelayHash.REQUEST_TYPEHASH, session, supplier, bodyHash, maxUnits, expiry, nonce);
        return MessageHashUtils.toTypedDataHash(domain, keccak256(message));
    }

    struct Response {
        bytes32 requestHash;
        bytes32 bodyHash;
        bytes32 saltHash;
        uint32 inputTokens;
        uint32 cachedTokens;
        uint32 outputTokens;
        uint64 units;
        uint8 status;
        bytes32 serviceSpecHash;
        uint32 part;
    }

    function responseDigest(bytes32 domain, Response calldata response) external pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(RelayHash.RESPONSE_TYPEHASH, response)));
    }

    function receiptDigest(
        bytes32 domain,
        bytes32 session,
        address supplier,
        bytes32 requestHash,
        bytes32 responseHash,
        bytes32 saltHash,
        uint64 units,
        bytes32 secret
    )
        external
        pure
        returns (bytes32)
    {
        bytes32 message = RelayHash.receipt(session, supplier, requestHash, responseHash, saltHash, units, secret);
        return MessageHashUtils.toTypedDataHash(domain, message);
    }

    function batchDigest(bytes32 domain, bytes32 root) external pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, RelayHash.batch(root));
    }

    function cancelDigest(bytes32 domain, bytes32 requestHash) external pure returns (bytes32) {
        bytes32 message = keccak256(abi.encode(RelayHash.CANCEL_TYPEHASH, requestHash));
        return MessageHashUtils.toTypedDataHash(domain, message);
    }

    function ackDigest(bytes32 domain, bytes32 root) external pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(RelayHash.ACK_TYPEHASH, root)));
    }

    function batchRoot(bytes32 receiptHash, bytes32[] calldata path) external pure returns (bytes32) {
        return MerkleProof.processProofCalldata(path, receiptHash);
    }

    /// @notice The signer, or zero where the signature is refused.
    function recover(bytes32 digest, bytes calldata signature) external pure returns (address signer) {
        (signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
    }

    /*//////////////////////////////////////////////////////////////////////////
                              SAMPLING, CHALLENGE, TRIE
    //////////////////////////////////////////////////////////////////////////*/

    function tau(uint96 slice, uint64 price, uint32 targetLeaves) external pure returns (uint64) {
        return Threshold.tau(slice, price, targetLeaves);
    }

    function value(uint64 sum, uint64 price) external pure returns (uint256) {
        return Threshold.value(sum, price);
    }

    function coin(bytes32 receiptHash, bytes32 salt) external pure returns (uint128) {
        return Threshold.coin(receiptHash, salt);
    }

    function isPayable(bytes32 receiptHash, bytes32 salt, uint64 units, uint64 threshold) external pure returns (bool) {
        return Threshold.isPayable(receiptHash, salt, units, threshold);
    }

    function leafWeight(uint64 units, uint64 threshold) external pure returns (uint64) {
        return Threshold.weight(units, threshold);
    }

    function minimumBond(uint256 amount, uint16 bondRatioMax) external pure returns (uint256) {
        return Challenge.minimumBond(amount, bondRatioMax);
    }

    function challengeSeed(bytes32 sessionSeed, bytes32 claim) external pure returns (bytes32) {
        return Challenge.seed(sessionSeed, claim);
    }

    function pointsRequired(uint96 amount, uint96 bond, uint32 marginBps, bytes32 seed)
        external
        pure
        returns (uint256)
    {
        return Challenge.points(amount, bond, marginBps, seed);
    }

    function challengePoints(bytes32 seed, uint256 count, uint64 sum) external pure returns (uint64[] memory points) {
        points = new uint64[](count);
        for (uint256 i = 0; i < count; ++i) {
            points[i] = Challenge.point(seed, i, sum);
        }
    }

    function foldSiblings(
        bytes32 path,
        uint64 weight,
        bytes calldata siblings
    )
        external
        view
        returns (bytes32 digest, uint64 sum, uint64 count, uint256 start)
    {
        uint256 tail;
        (digest, tail, start) = SumTrie.fold(path, weight, siblings);
        (sum, count) = (uint64(tail >> 64), uint64(tail));
    }

    function verifyOpening(
        bytes32 rootDigest,
        uint64 rootSum,
        uint64 rootCount,
        uint64 point,
        bytes32 path,
        uint64 weight,
        bytes calldata siblings
    )
        external
        view
    {
        SumTrie.verify(rootDigest, rootSum, rootCount, point, path, weight, siblings);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       DRAW
    //////////////////////////////////////////////////////////////////////////*/

    function drawSeed(bytes32 sessionSeed, bytes32 session) external pure returns (bytes32) {
        return Draw.seed(sessionSeed, session);
    }

    function drawPoint(bytes32 seed, uint256 draw, uint32 totalWeight) external pure returns (uint256) {
        return Draw.point(seed, draw, totalWeight);
    }

    /// @notice Whether the draw makes the entry a member of a session of this roster.
    /// @dev Writes the roster first, as a real one lies in storage: call it, do not send it.
    function isMember(
        RosterEntry[] calldata entries,
        bytes32 sessionSeed,
        bytes32 session,
        uint256 members,
        uint32 index,
        uint256 draw,
        uint32[] calldata earlier
    )
        external
        returns (bool)
    {
        Draw.Urn memory urn = _write(entries, members);
        return Draw.isMember(_roster, urn, Draw.seed(sessionSeed, session), index, draw, earlier);
    }

    /// @notice The roster weighted by cost, and which part of a session's cap each of its entries has.
    /// @dev As {isMember}: call it, do not send it.
    function partsOf(
        RosterEntry[] calldata entries,
        bytes32 sessionSeed,
        bytes32 session,
        uint256 members
    )
        external
        returns (RosterEntry[] memory weighed, uint32[] memory parts, uint32 whole)
    {
        weighed = Draw.weighByCost(entries);
        Draw.Urn memory urn = _write(weighed, members);
        parts = new uint32[](entries.length);
        for (uint32 i = 0; i < entries.length; ++i) {
            (parts[i], whole) = Draw.partsOf(_roster, urn, Draw.seed(sessionSeed, session), i);
        }
        (uint32 none,) = Draw.partsOf(_roster, urn, Draw.seed(sessionSeed, session), uint32(entries.length));
        assert(none == 0);
    }

    function slice(uint96 cap, Share calldata share) external pure returns (uint96) {
        return Threshold.slice(cap, share);
    }

    function _write(RosterEntry[] memory entries, uint256 members) private returns (Draw.Urn memory) {
        uint32 total = 0;
        for (uint256 i = 0; i < entries.length; ++i) {
            total += entries[i].weight;
            _roster[i] = Draw.pack(entries[i].supplier, entries[i].unitPrice, total);
        }
        for (uint256 i = entries.length; _roster[i] != 0; ++i) {
            delete _roster[i];
        }
        return Draw.Urn(uint32(entries.length), total, members);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                      AUCTION
    //////////////////////////////////////////////////////////////////////////*/

    function askKey(uint64 price, address supplier) external pure returns (bytes32) {
        return SortedSumTree.askKey(price, supplier);
    }

    function bidKey(bytes32 seed, address application) external pure returns (bytes32) {
        return SortedSumTree.bidKey(seed, application);
    }

    function verifyPlace(
        bytes32 root,
        uint256 total,
        bytes32 key,
        uint256 leafSums,
        Opening calldata opening
    )
        external
        pure
        returns (SortedSumTree.Place memory)
    {
        return SortedSumTree.place(root, total, key, leafSums, opening);
    }

    function reserve(uint64 price, uint16 feeBps) external pure returns (uint64) {
        return PostedPrice.reserve(price, feeBps);
    }

    function nextPrice(Round calldata round, uint64 price, uint16 feeBps) external pure returns (uint64) {
        return PostedPrice.next(round, price, feeBps);
    }
}
