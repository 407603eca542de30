// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IClaims } from "../interfaces/IClaims.sol";
import { Challenge } from "../libraries/Challenge.sol";
import { Draw } from "../libraries/Draw.sol";
import { Errors } from "../libraries/Errors.sol";
import { Lanes } from "../libraries/Lanes.sol";
import { RelayHash } from "../libraries/RelayHash.sol";
import { Threshold } from "../libraries/Threshold.sol";
import { BondRoom, Claim, ClaimInput, Seat, SessionKey, SessionRules, Share } from "../types/Types.sol";
import { OpenClaims } from "./OpenClaims.sol";

/// @title Submissions
/// @notice The part of {Claims} that accepts claims, a batch at a time.
abstract contract Submissions is OpenClaims {
    /// @dev What the claims of one batch have in common, and the bonds they take together.
    struct Batch {
        address supplier;
        uint64 number;
        SessionRules rules;
        BondRoom room;
        uint96 bonds;
    }

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
        (uint64 price, Share memory share) = _priceOf(batch, input, session, sessionId);
        if (price == 0) {
            return abi.encodeWithSelector(Errors.Sessions_NotMember.selector, batch.supplier, input.draw);
        }
        uint256 value = Threshold.value(input.sum, price);
        refusal = _checkBond(batch, input.bond, value);
        if (refusal.length != 0) return refusal;

        // Interaction: lock the value, where the session is valid and the value within the slice.
        (uint96 slice, uint16 feeBps) = escrow.lock(session, value, share);
        if (slice == 0) return abi.encodeWithSelector(Errors.Sessions_SessionInvalid.selector, sessionId);
        if (value > slice) return abi.encodeWithSelector(Errors.Claims_OverSlice.selector, value, slice);

        // Effect: keep the claim's hash, count its bond.
        Claim memory claim;
        (claim.supplier, claim.session) = (batch.supplier, session);
        (claim.rootDigest, claim.sum, claim.count) = (input.rootDigest, input.sum, input.count);
        (claim.value, claim.bond, claim.price, claim.feeBps) = (uint96(value), input.bond, price, feeBps);
        claim.tau = Threshold.tau(slice, price, batch.rules.targetLeaves);
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

    /// @dev A member's price and its part of the cap; zero for all others and where the session did not open.
    function _priceOf(
        Batch memory batch,
        ClaimInput calldata input,
        SessionKey memory session,
        bytes32 sessionId
    )
        private
        view
        returns (uint64 price, Share memory share)
    {
        if (!batch.rules.isOpen || batch.rules.seed == 0) return (0, share);
        Seat memory seat = Seat({
            session: session,
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
}
