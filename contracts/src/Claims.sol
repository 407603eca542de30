// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Proofs } from "./claims/Proofs.sol";
import { IClaims } from "./interfaces/IClaims.sol";
import { IEscrow } from "./interfaces/IEscrow.sol";
import { IParameters } from "./interfaces/IParameters.sol";
import { IRegistry } from "./interfaces/IRegistry.sol";
import { ISessions } from "./interfaces/ISessions.sol";
import { Challenge } from "./libraries/Challenge.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Draw } from "./libraries/Draw.sol";
import { Errors } from "./libraries/Errors.sol";
import { Lanes } from "./libraries/Lanes.sol";
import { RelayHash } from "./libraries/RelayHash.sol";
import { Threshold } from "./libraries/Threshold.sol";
import { BondRoom, Claim, ClaimInput, LeafProof, Seat, SessionKey, SessionRules } from "./types/Types.sol";

/// @title Claims
/// @notice See the documentation in {IClaims}; leaves are verified by {Proofs}.
///
/// A claim of a batch, or a settlement, is refused by a reason that is returned, never by a revert that is caught:
/// so nothing is refused for want of gas, and each claim costs one call less.
contract Claims is Proofs, Clocked {
    uint256 private constant BPS = 10_000;

    IParameters public immutable override parameters;
    IEscrow public immutable override escrow;
    ISessions public immutable override sessions;

    mapping(bytes32 lane => uint256 slot) private _slots;

    /// @dev What the claims of one batch have in common, and the bonds they take together.
    struct Batch {
        address supplier;
        uint64 number;
        SessionRules rules;
        BondRoom room;
        uint96 bonds;
    }

    constructor(
        IParameters parameters_,
        IRegistry registry_,
        IEscrow escrow_,
        ISessions sessions_
    )
        Proofs(registry_)
        Clocked(parameters_.clock())
    {
        parameters = parameters_;
        escrow = escrow_;
        sessions = sessions_;
        if (!_isWired()) revert Errors.Claims_WiringInvalid();
    }

    /*//////////////////////////////////////////////////////////////////////////
                                     SUBMITTING
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IClaims
    function submitClaims(address supplier, uint64 number, ClaimInput[] calldata inputs) external override {
        // Check: the window is open, the caller the operator.
        uint64 current = _currentSession();
        if (uint256(number) + 1 != current) revert Errors.Claims_WindowClosed(number, current);
        Batch memory batch;
        (batch.supplier, batch.number) = (supplier, number);
        batch.rules = sessions.rulesOf(number);
        batch.room = registry.bondRoomOf(supplier, msg.sender, number);

        // Effect: each claim that is good, with its value locked.
        for (uint256 i = 0; i < inputs.length; ++i) {
            bytes memory refusal = _submit(batch, inputs[i]);
            if (refusal.length != 0) emit ClaimRefused(i, refusal);
        }

        // Effect: the bonds of all of them.
        if (batch.bonds != 0) registry.reserveBonds(supplier, number, batch.bonds);
    }

    /// @dev Accepts a claim, or returns the error that says why not; then nothing has changed.
    function _submit(Batch memory batch, ClaimInput calldata input) private returns (bytes memory refusal) {
        // Check: the session is not claimed, its slot free, the numbers in range.
        SessionKey memory session = SessionKey(input.application, input.gateway, input.service, batch.number);
        bytes32 sessionId = RelayHash.sessionId(session);
        bytes32 lane = Lanes.keyOf(batch.supplier, session);
        refusal = _checkSlot(batch, _slots[lane], sessionId);
        if (refusal.length != 0) return refusal;
        if (input.count == 0 || input.count > input.sum || input.sum > Threshold.UNITS_MAX) {
            return abi.encodeWithSelector(Errors.Claims_SumOutOfRange.selector, input.sum, input.count);
        }

        // Check: the supplier is a member, the claim worth something and bonded.
        uint64 price = _priceOf(batch, input, sessionId);
        if (price == 0) {
            return abi.encodeWithSelector(Errors.Sessions_NotMember.selector, batch.supplier, input.draw);
        }
        uint256 value = Threshold.value(input.sum, price);
        refusal = _checkBond(batch, input.bond, value);
        if (refusal.length != 0) return refusal;

        // Interaction: lock the value, where the session is valid and the value within the slice.
        (uint96 slice, uint16 feeBps) = escrow.lock(session, value, batch.rules.members);
        if (slice == 0) return abi.encodeWithSelector(Errors.Sessions_SessionInvalid.selector, sessionId);
        if (value > slice) return abi.encodeWithSelector(Errors.Claims_OverSlice.selector, value, slice);

        // Effect: keep the claim's hash, count its bond.
        Claim memory claim = Claim({
            supplier: batch.supplier,
            session: session,
            rootDigest: input.rootDigest,
            sum: input.sum,
            count: input.count,
            value: uint96(value),
            bond: input.bond,
            tau: Threshold.tau(slice, price, batch.rules.targetLeaves),
            price: price,
            feeBps: feeBps
        });
        batch.bonds += input.bond;
        _keep(claim, RelayHash.claimId(batch.supplier, sessionId), lane);
    }

    /// @dev The hash and the event are of the same bytes, encoded once.
    function _keep(Claim memory claim, bytes32 claimId, bytes32 lane) private {
        bytes memory encoded = abi.encode(claim);
        _slots[lane] = Lanes.open(keccak256(encoded), claim.session.number);
        bytes32 selector = ClaimSubmitted.selector;
        address supplier = claim.supplier;
        assembly ("memory-safe") {
            log3(add(encoded, 32), mload(encoded), selector, claimId, supplier)
        }
    }

    /// @dev Refuses a session claimed before, and one whose slot holds an open claim of another.
    function _checkSlot(Batch memory batch, uint256 slot, bytes32 sessionId) private pure returns (bytes memory) {
        if (Lanes.isOf(slot, batch.number)) {
            bytes32 claimId = RelayHash.claimId(batch.supplier, sessionId);
            return abi.encodeWithSelector(Errors.Claims_AlreadyClaimed.selector, claimId);
        }
        if (Lanes.isOpen(slot)) return abi.encodeWithSelector(Errors.Claims_Unsettled.selector, uint32(slot));
        return "";
    }

    /// @dev A member's price; zero for all others, and where the session did not open.
    function _priceOf(Batch memory batch, ClaimInput calldata input, bytes32 sessionId) private view returns (uint64) {
        if (!batch.rules.isOpen || batch.rules.seed == 0) return 0;
        Seat memory seat = Seat({
            service: input.service,
            number: batch.number,
            drawSeed: Draw.seed(batch.rules.seed, sessionId),
            members: batch.rules.members,
            supplier: batch.supplier,
            rosterIndex: input.rosterIndex,
            draw: input.draw
        });
        return sessions.priceOf(seat, input.earlier);
    }

    /// @dev Refuses a claim that is worth nothing, or whose bond is too small, or too large for what is left.
    function _checkBond(Batch memory batch, uint96 bond, uint256 value) private pure returns (bytes memory) {
        if (value == 0) return abi.encodeWithSelector(Errors.Claims_ValueZero.selector);
        uint256 least = Challenge.minimumBond(value, batch.rules.bondRatioMax);
        if (bond < least) return abi.encodeWithSelector(Errors.Claims_BondTooLow.selector, bond, least);
        uint256 free = batch.room.free - batch.bonds;
        if (bond > free) return abi.encodeWithSelector(Errors.Registry_StakeTooLow.selector, free, bond);
        uint256 used = uint256(batch.room.used) + batch.bonds + bond;
        if (used > batch.room.cap) {
            return abi.encodeWithSelector(Errors.Registry_BondCapExceeded.selector, used, batch.room.cap);
        }
        return "";
    }

    /*//////////////////////////////////////////////////////////////////////////
                                PROVING AND SETTLING
    //////////////////////////////////////////////////////////////////////////*/

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

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IClaims
    function challengeOf(Claim calldata claim) external view override returns (bytes32 challengeSeed, uint256 points) {
        bytes32 seed = sessions.seedOf(uint256(claim.session.number) + 2);
        if (seed == 0) return (0, 0);
        challengeSeed = Challenge.seed(seed, _claimIdOf(claim));
        (uint32 marginBps,) = parameters.settleValuesOf(claim.session.number);
        points = Challenge.points(claim.value, claim.bond, marginBps, challengeSeed);
    }

    /// @inheritdoc IClaims
    function isOpen(Claim calldata claim) public view override returns (bool) {
        uint64 number = claim.session.number;
        return _slots[Lanes.keyOf(claim.supplier, claim.session)] == Lanes.open(keccak256(abi.encode(claim)), number);
    }

    function _claimIdOf(Claim calldata claim) private pure returns (bytes32) {
        return RelayHash.claimId(claim.supplier, RelayHash.sessionId(claim.session));
    }

    /// @dev Whether the contracts were built to work with each other and with this one.
    function _isWired() private view returns (bool) {
        bytes memory found = abi.encode(
            registry.parameters(),
            registry.token(),
            registry.escrow(),
            registry.claims(),
            escrow.parameters(),
            escrow.registry(),
            escrow.claims(),
            sessions.parameters(),
            sessions.registry(),
            sessions.escrow()
        );
        bytes memory wanted = abi.encode(
            parameters, escrow.token(), escrow, this, parameters, registry, this, parameters, registry, escrow
        );
        return keccak256(found) == keccak256(wanted);
    }
}
