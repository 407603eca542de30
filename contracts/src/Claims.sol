// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { OpenClaims } from "./claims/OpenClaims.sol";
import { Proofs } from "./claims/Proofs.sol";
import { Submissions } from "./claims/Submissions.sol";
import { IClaims } from "./interfaces/IClaims.sol";
import { IEscrow } from "./interfaces/IEscrow.sol";
import { IParameters } from "./interfaces/IParameters.sol";
import { IRegistry } from "./interfaces/IRegistry.sol";
import { ISessions } from "./interfaces/ISessions.sol";
import { Challenge } from "./libraries/Challenge.sol";
import { Errors } from "./libraries/Errors.sol";
import { Lanes } from "./libraries/Lanes.sol";
import { RelayHash } from "./libraries/RelayHash.sol";
import { Claim, LeafProof } from "./types/Types.sol";

/// @title Claims
/// @notice See the documentation in {IClaims}; claims are accepted by {Submissions}, leaves verified by {Proofs}.
///
/// A claim of a batch, or a settlement, is refused by a reason that is returned, never by a revert that is caught:
/// so nothing is refused for want of gas, and each claim costs one call less.
contract Claims is Submissions, Proofs {
    uint256 private constant BPS = 10_000;

    constructor(
        IParameters parameters_,
        IRegistry registry_,
        IEscrow escrow_,
        ISessions sessions_
    )
        OpenClaims(parameters_, registry_, escrow_, sessions_)
    { }

    /// @inheritdoc IClaims
    function prove(Claim calldata claim, bytes32 salt, LeafProof[] calldata leaves) external override {
        // Check: the claim is open, and so is its window.
        bytes32 claimId = _claimIdOf(claim);
        if (!isOpen(claim)) revert Errors.Claims_ClaimUnknown(claimId);
        uint256 challenged = uint256(claim.session.number) + 2;
        uint64 current = _currentSession();
        if (current != challenged || block.number <= _seedBlockOf(challenged)) {
            revert Errors.Claims_ProofWindowClosed(claim.session.number, current);
        }

        // Check: one good leaf for each point.
        bytes32 challengeSeed = Challenge.seed(sessions.writeSeed(challenged), claimId);
        (uint32 marginBps, uint16 protocolBps) = parameters.settleValuesOf(claim.session.number);
        uint256 points = Challenge.points(claim.value, claim.bond, marginBps, challengeSeed);
        if (leaves.length != points) revert Errors.Proof_WrongLeafCount(leaves.length, points);
        _verifyLeaves(claim, salt, challengeSeed, leaves);

        _pay(claim, claimId, protocolBps);
    }

    /// @inheritdoc IClaims
    function settle(Claim[] calldata claims) external override {
        for (uint256 i = 0; i < claims.length; ++i) {
            bytes32 claimId = _claimIdOf(claims[i]);
            bytes memory refusal = _settle(claims[i], claimId);
            if (refusal.length != 0) emit SettleRefused(claimId, refusal);
        }
    }

    /// @dev Settles a claim, or returns the error that says why not; then nothing has changed but a seed kept.
    function _settle(Claim calldata claim, bytes32 claimId) private returns (bytes memory) {
        if (!isOpen(claim)) {
            return abi.encodeWithSelector(Errors.Claims_ClaimUnknown.selector, claimId);
        }
        uint64 number = claim.session.number;
        uint256 challenged = uint256(number) + 2;
        if (block.number <= _seedBlockOf(challenged)) {
            return abi.encodeWithSelector(Errors.Claims_ChallengeUnknown.selector, number);
        }

        // A seed that nobody wrote in time counts as a proof required and missing.
        if (sessions.seedOf(challenged) == 0) {
            _void(claim, claimId);
            return "";
        }
        bytes32 challengeSeed = Challenge.seed(sessions.writeSeed(challenged), claimId);
        (uint32 marginBps, uint16 protocolBps) = parameters.settleValuesOf(number);
        uint256 points = Challenge.points(claim.value, claim.bond, marginBps, challengeSeed);
        if (points == 0) {
            _pay(claim, claimId, protocolBps);
        } else if (_currentSession() > challenged) {
            _void(claim, claimId);
        } else {
            return abi.encodeWithSelector(Errors.Claims_ProofRequired.selector, points);
        }
        return "";
    }

    function _pay(Claim calldata claim, bytes32 claimId, uint16 protocolBps) private {
        // Effect: the claim is settled.
        _slots[Lanes.keyOf(claim.supplier, claim.session)] = Lanes.settled(claim.session.number);

        // Interaction: free the bond, learn who gets what. Each share rounds down; the supplier has the rest.
        (address payout, address source, uint16 sourceBps) =
            registry.releaseBond(claim.supplier, claim.session.service, claim.bond);
        uint96 sourceShare = uint96(uint256(claim.value) * sourceBps / BPS);
        uint96 gatewayShare = uint96(uint256(claim.value) * claim.feeBps / BPS);
        uint96 protocolShare = uint96(uint256(claim.value) * protocolBps / BPS);
        uint96 supplierShare = claim.value - sourceShare - gatewayShare - protocolShare;
        emit ClaimPaid(claimId, supplierShare, sourceShare, gatewayShare, protocolShare);

        // Interaction: credit the shares.
        escrow.pay(
            [payout, source, claim.session.gateway, parameters.treasury()],
            [supplierShare, sourceShare, gatewayShare, protocolShare]
        );
    }

    function _void(Claim calldata claim, bytes32 claimId) private {
        // Effect: the claim is settled.
        _slots[Lanes.keyOf(claim.supplier, claim.session)] = Lanes.settled(claim.session.number);
        emit ClaimVoided(claimId, claim.bond);

        // Interaction: the bond and the value go to the application.
        registry.slashBond(claim.supplier, claim.bond);
        escrow.refund(claim.session.application, claim.value, claim.bond);
    }

    /// @inheritdoc IClaims
    function challengeOf(Claim calldata claim) external view override returns (bytes32 challengeSeed, uint256 points) {
        bytes32 seed = sessions.seedOf(uint256(claim.session.number) + 2);
        if (seed == 0) return (0, 0);
        challengeSeed = Challenge.seed(seed, _claimIdOf(claim));
        (uint32 marginBps,) = parameters.settleValuesOf(claim.session.number);
        points = Challenge.points(claim.value, claim.bond, marginBps, challengeSeed);
    }

    function _claimIdOf(Claim calldata claim) private pure returns (bytes32) {
        return RelayHash.claimId(claim.supplier, RelayHash.sessionId(claim.session));
    }
}
