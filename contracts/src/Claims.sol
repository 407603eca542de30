// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import { IClaims } from "./interfaces/IClaims.sol";
import { IEscrow } from "./interfaces/IEscrow.sol";
import { IParameters } from "./interfaces/IParameters.sol";
import { IRegistry } from "./interfaces/IRegistry.sol";
import { ISessions } from "./interfaces/ISessions.sol";
import { Challenge } from "./libraries/Challenge.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Errors } from "./libraries/Errors.sol";
import { RelayHash } from "./libraries/RelayHash.sol";
import { SumTrie } from "./libraries/SumTrie.sol";
import { Threshold } from "./libraries/Threshold.sol";
import { Claim, ClaimInput, LeafProof, SessionKey, SessionTerms } from "./types/Types.sol";

/// @title Claims
/// @notice See the documentation in {IClaims}.
contract Claims is IClaims, Clocked, EIP712 {
    uint256 private constant BPS = 10_000;
    uint256 private constant BATCH_PATH_MAX = 16;

    IParameters private immutable PARAMETERS;
    IRegistry private immutable REGISTRY;
    IEscrow private immutable ESCROW;
    ISessions private immutable SESSIONS;

    /// @inheritdoc IClaims
    mapping(bytes32 claimId => bytes32 claimHash) public override claimHashOf;

    /// @dev What the leaves of one proof have in common.
    struct ProofContext {
        bytes32 sessionId;
        bytes32 salt;
        bytes32 saltHash;
        address signer;
    }

    constructor(
        IParameters parameters,
        IRegistry registry,
        IEscrow escrow,
        ISessions sessions
    )
        Clocked(parameters.clock())
        EIP712("Lode", "1")
    {
        bool isWired = registry.claims() == address(this) && registry.escrow() == address(escrow)
            && escrow.claims() == address(this);
        if (!isWired) revert Errors.Claims_WiringInvalid();
        PARAMETERS = parameters;
        REGISTRY = registry;
        ESCROW = escrow;
        SESSIONS = sessions;
    }

    /*//////////////////////////////////////////////////////////////////////////
                               STATE-CHANGING FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IClaims
    function submitClaims(ClaimInput[] calldata inputs) external override {
        for (uint256 i = 0; i < inputs.length; ++i) {
            try this.submitOne(inputs[i], msg.sender) { }
            catch (bytes memory reason) {
                emit ClaimRefused(i, reason);
            }
        }
    }

    /// @notice Accepts one claim of a batch, or reverts with the reason. Only for this contract itself.
    function submitOne(ClaimInput calldata input, address operator) external {
        if (msg.sender != address(this)) revert Errors.Claims_NotAuthorized(msg.sender);

        // Check: the window is open, the session not claimed, the numbers in range.
        uint64 number = input.session.number;
        uint64 current = _currentSession();
        if (uint256(number) + 1 != current) revert Errors.Claims_WindowClosed(number, current);
        bytes32 claimId = RelayHash.claimId(input.supplier, RelayHash.sessionId(input.session));
        if (claimHashOf[claimId] != 0) revert Errors.Claims_AlreadyClaimed(claimId);
        if (input.count == 0 || input.count > input.sum || input.sum > Threshold.UNITS_MAX) {
            revert Errors.Claims_SumOutOfRange(input.sum, input.count);
        }

        // Check: the session is valid, the supplier a member, the claim within its slice and bonded.
        SessionTerms memory terms =
            SESSIONS.termsOf(input.session, input.supplier, input.rosterIndex, input.draw, input.earlier);
        uint96 value = _checkedValue(input, terms);

        // Effect: keep the claim's hash.
        Claim memory claim = Claim({
            supplier: input.supplier,
            session: input.session,
            rootDigest: input.rootDigest,
            sum: input.sum,
            count: input.count,
            value: value,
            bond: input.bond,
            tau: terms.tau,
            price: terms.price,
            feeBps: terms.feeBps
        });
        claimHashOf[claimId] = keccak256(abi.encode(claim));
        emit ClaimSubmitted(claimId, input.supplier, claim);

        // Interaction: reserve the bond, lock the value. Both belong to the market and call no one.
        REGISTRY.reserveBond(input.supplier, operator, number, input.bond);
        ESCROW.lock(input.session.application, value);
    }

    /// @inheritdoc IClaims
    function prove(Claim calldata claim, bytes32 salt, LeafProof[] calldata leaves) external override {
        // Check: the claim is open, and so is its window.
        bytes32 claimId = _requireOpen(claim);
        uint256 challenged = uint256(claim.session.number) + 2;
        uint64 current = _currentSession();
        if (current != challenged || block.number <= _seedBlockOf(challenged)) {
            revert Errors.Claims_ProofWindowClosed(claim.session.number, current);
        }

        // Check: one good leaf for each point.
        bytes32 challengeSeed = Challenge.seed(SESSIONS.writeSeed(challenged), claimId);
        uint256 points = _pointsOf(claim, challengeSeed);
        if (leaves.length != points) revert Errors.Proof_WrongLeafCount(leaves.length, points);
        _verifyLeaves(claim, _contextOf(claim, salt), challengeSeed, leaves);

        _pay(claim, claimId);
    }

    /// @inheritdoc IClaims
    function settle(Claim[] calldata claims) external override {
        for (uint256 i = 0; i < claims.length; ++i) {
            try this.settleOne(claims[i]) { }
            catch (bytes memory reason) {
                emit SettleRefused(_claimIdOf(claims[i]), reason);
            }
        }
    }

    /// @inheritdoc IClaims
    function settleOne(Claim calldata claim) external override {
        bytes32 claimId = _requireOpen(claim);
        uint256 challenged = uint256(claim.session.number) + 2;
        if (block.number <= _seedBlockOf(challenged)) {
            revert Errors.Claims_ChallengeUnknown(claim.session.number);
        }

        // A seed that nobody wrote in time counts as a proof required and missing.
        if (SESSIONS.seedOf(challenged) == 0) return _void(claim, claimId);

        bytes32 challengeSeed = Challenge.seed(SESSIONS.writeSeed(challenged), claimId);
        uint256 points = _pointsOf(claim, challengeSeed);
        if (points == 0) return _pay(claim, claimId);
        if (_currentSession() <= challenged) revert Errors.Claims_ProofRequired(points);
        _void(claim, claimId);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IClaims
    function challengeOf(Claim calldata claim) external view override returns (bytes32 challengeSeed, uint256 points) {
        bytes32 seed = SESSIONS.seedOf(uint256(claim.session.number) + 2);
        if (seed == 0) return (0, 0);
        challengeSeed = Challenge.seed(seed, _claimIdOf(claim));
        points = _pointsOf(claim, challengeSeed);
    }

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

    /*//////////////////////////////////////////////////////////////////////////
                                  INNER FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    function _checkedValue(ClaimInput calldata input, SessionTerms memory terms) private pure returns (uint96) {
        uint256 value = Threshold.value(input.sum, terms.price);
        if (value == 0) revert Errors.Claims_ValueZero();
        if (value > terms.slice) revert Errors.Claims_OverSlice(value, terms.slice);
        uint256 least = Challenge.minimumBond(value, terms.bondRatioMax);
        if (input.bond < least) revert Errors.Claims_BondTooLow(input.bond, least);
        return uint96(value);
    }

    function _claimIdOf(Claim calldata claim) private pure returns (bytes32) {
        return RelayHash.claimId(claim.supplier, RelayHash.sessionId(claim.session));
    }

    function _requireOpen(Claim calldata claim) private view returns (bytes32 claimId) {
        claimId = _claimIdOf(claim);
        if (claimHashOf[claimId] != keccak256(abi.encode(claim))) revert Errors.Claims_ClaimUnknown(claimId);
    }

    function _pointsOf(Claim calldata claim, bytes32 challengeSeed) private view returns (uint256) {
        uint32 marginBps = PARAMETERS.valuesAt(_epochOf(claim.session.number)).marginBps;
        return Challenge.points(claim.value, claim.bond, marginBps, challengeSeed);
    }

    function _contextOf(Claim calldata claim, bytes32 salt) private view returns (ProofContext memory) {
        return ProofContext({
            sessionId: RelayHash.sessionId(claim.session),
            salt: salt,
            saltHash: keccak256(abi.encode(salt)),
            signer: REGISTRY.gatewayKeyAt(claim.session.gateway, claim.session.number)
        });
    }

    function _verifyLeaves(
        Claim calldata claim,
        ProofContext memory context,
        bytes32 challengeSeed,
        LeafProof[] calldata leaves
    )
        private
        view
    {
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

    function _pay(Claim calldata claim, bytes32 claimId) private {
        // Check: who gets what. Each share rounds down; the supplier has the rest.
        (address source, uint16 sourceBps,) = REGISTRY.sharesOf(claim.session.service);
        uint256 protocolBps = PARAMETERS.valuesAt(_epochOf(claim.session.number)).protocolBps;
        uint96 sourceShare = uint96(uint256(claim.value) * sourceBps / BPS);
        uint96 gatewayShare = uint96(uint256(claim.value) * claim.feeBps / BPS);
        uint96 protocolShare = uint96(uint256(claim.value) * protocolBps / BPS);
        uint96 supplierShare = claim.value - sourceShare - gatewayShare - protocolShare;

        // Effect: the claim is settled.
        delete claimHashOf[claimId];
        emit ClaimPaid(claimId, supplierShare, sourceShare, gatewayShare, protocolShare);

        // Interaction: free the bond, credit the shares.
        address payout = REGISTRY.releaseBond(claim.supplier, claim.session.service, claim.bond);
        ESCROW.pay(
            [payout, source, claim.session.gateway, PARAMETERS.treasury()],
            [supplierShare, sourceShare, gatewayShare, protocolShare]
        );
    }

    function _void(Claim calldata claim, bytes32 claimId) private {
        // Effect: the claim is settled.
        delete claimHashOf[claimId];
        emit ClaimVoided(claimId, claim.bond);

        // Interaction: the bond and the value go to the application.
        REGISTRY.slashBond(claim.supplier, claim.bond);
        ESCROW.refund(claim.session.application, claim.value, claim.bond);
    }
}
