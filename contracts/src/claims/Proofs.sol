// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import { IClaims } from "../interfaces/IClaims.sol";
import { Challenge } from "../libraries/Challenge.sol";
import { Errors } from "../libraries/Errors.sol";
import { RelayHash } from "../libraries/RelayHash.sol";
import { SumTrie } from "../libraries/SumTrie.sol";
import { Threshold } from "../libraries/Threshold.sol";
import { Claim, LeafProof, SessionKey } from "../types/Types.sol";
import { OpenClaims } from "./OpenClaims.sol";

/// @title Proofs
/// @notice The part of {Claims} that verifies opened leaves and the receipts behind them.
abstract contract Proofs is OpenClaims, EIP712 {
    uint256 private constant BATCH_PATH_MAX = 16;

    /// @dev What the leaves of one proof have in common.
    struct ProofContext {
        bytes32 sessionId;
        bytes32 salt;
        bytes32 saltHash;
        address signer;
    }

    constructor() EIP712("Lode", "1") { }

    /// @inheritdoc IClaims
    function checkLeaf(
        Claim calldata claim,
        bytes32 salt,
        uint64 point,
        LeafProof calldata leaf
    )
        external
        view
        override
    {
        _verifyLeaf(claim, _contextOf(claim, salt), point, leaf);
    }

    /// @inheritdoc IClaims
    function sessionIdOf(SessionKey calldata session) external pure override returns (bytes32) {
        return RelayHash.sessionId(session);
    }

    /// @inheritdoc IClaims
    function claimIdOf(address supplier, bytes32 sessionId) external pure override returns (bytes32) {
        return RelayHash.claimId(supplier, sessionId);
    }

    /// @inheritdoc IClaims
    function domainSeparator() external view override returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _contextOf(Claim calldata claim, bytes32 salt) private view returns (ProofContext memory) {
        return ProofContext({
            sessionId: RelayHash.sessionId(claim.session),
            salt: salt,
            saltHash: keccak256(abi.encode(salt)),
            signer: registry.gatewayKeyAt(claim.session.gateway, claim.session.number)
        });
    }

    /// @dev One good leaf for each point, in their order.
    function _verifyLeaves(
        Claim calldata claim,
        bytes32 salt,
        bytes32 challengeSeed,
        LeafProof[] calldata leaves
    )
        internal
        view
    {
        ProofContext memory context = _contextOf(claim, salt);
        for (uint256 i = 0; i < leaves.length; ++i) {
            _verifyLeaf(claim, context, Challenge.point(challengeSeed, i, claim.sum), leaves[i]);
        }
    }

    /// @dev The checks and their order are those of `relay_mining/proof.py`.
    function _verifyLeaf(
        Claim calldata claim,
        ProofContext memory context,
        uint64 point,
        LeafProof calldata leaf
    )
        private
        view
    {
        // Check: a payable receipt of this session, supplier and salt.
        if (leaf.units == 0 || leaf.units > Threshold.UNITS_MAX) revert Errors.Proof_UnitsOutOfRange(leaf.units);
        bytes32 receiptHash = _receiptHashOf(claim, context, leaf);
        if (!Threshold.isPayable(receiptHash, context.salt, leaf.units, claim.tau)) {
            revert Errors.Proof_NotPayable(receiptHash);
        }

        // Check: its leaf is in the claimed trie and covers the point.
        uint64 weight = Threshold.weight(leaf.units, claim.tau);
        SumTrie.verify(claim.rootDigest, claim.sum, claim.count, point, receiptHash, weight, leaf.siblings);

        // Check: the gateway signed a batch that holds the receipt.
        if (leaf.batchPath.length > BATCH_PATH_MAX) revert Errors.Proof_PathMismatch(leaf.batchPath.length);
        bytes32 root = MerkleProof.processProofCalldata(leaf.batchPath, receiptHash);
        (address signer, ECDSA.RecoverError fault,) =
            ECDSA.tryRecoverCalldata(_hashTypedDataV4(RelayHash.batch(root)), leaf.batchSignature);
        if (fault != ECDSA.RecoverError.NoError || signer != context.signer) {
            revert Errors.Proof_BadBatchSignature(signer);
        }
    }

    function _receiptHashOf(
        Claim calldata claim,
        ProofContext memory context,
        LeafProof calldata leaf
    )
        private
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            RelayHash.receipt(
                context.sessionId,
                claim.supplier,
                leaf.requestHash,
                leaf.responseHash,
                context.saltHash,
                leaf.units,
                leaf.secret
            )
        );
    }
}
