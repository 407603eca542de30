// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IAuction } from "../interfaces/IAuction.sol";
import { Errors } from "../libraries/Errors.sol";
import { Clearing, ClearingKey, Cover, Opening, Round, Sale, Side, Windows } from "../types/AuctionTypes.sol";
import { RosterEntry } from "../types/Types.sol";
import { Leaves } from "./Leaves.sol";

/// @title Clearings
/// @notice The part of {Auction} that takes clearings, lets anyone defeat those that are wrong, and publishes one.
abstract contract Clearings is Leaves {
    mapping(bytes32 clearingId => Clearing clearing) private _clearings;
    mapping(bytes32 demandId => address demander) private _demanders;

    /// @inheritdoc IAuction
    function submitClearing(
        ClearingKey calldata key,
        Cover[] calldata covers,
        Sale[] calldata sales
    )
        external
        override
        nonReentrant
        returns (bytes32 clearingId)
    {
        // Check: the window is open, the sender has not submitted the same before.
        Windows memory windows = windowsOf(key.epoch);
        _requireWindow(windows.clearFrom, windows.clearEnd);
        if (msg.sender != key.submitter) revert Errors.Auction_NotAuthorized(msg.sender);
        clearingId = _clearingId(key);
        Clearing storage clearing = _clearings[clearingId];
        if (clearing.entriesHash != 0) revert Errors.Auction_ClearingExists(clearingId);

        // Check: the leaves make a roster.
        RosterEntry[] memory entries = _entriesOf(key, covers, sales);

        // Effect: the clearing can be defeated, or published.
        clearing.entriesHash = keccak256(abi.encode(entries));
        emit SubmitClearing(clearingId, key, entries);

        // Interaction: keep the seed of the public order, take the bond.
        sessions.writeSeed(_firstOf(key.epoch - 1) - 1);
        _take(CLEARING_BOND);
    }

    /// @inheritdoc IAuction
    function demandLeaf(ClearingKey calldata key, Side side, address trader) external override nonReentrant {
        // Check: the order is in, the clearing stands, the leaf was not demanded before.
        _requireWindow(0, windowsOf(key.epoch).demandEnd);
        (bytes32 clearingId, Clearing storage clearing) = _standing(key);
        bytes32 demandId = _demandId(clearingId, side, trader);
        if (_demanders[demandId] != address(0)) revert Errors.Auction_DemandExists(trader);
        _openTerms(key, side, trader);

        // Effect: the leaf is owed.
        _demanders[demandId] = msg.sender;
        clearing.owed += 1;
        emit DemandLeaf(clearingId, side, trader, msg.sender);

        // Interaction: take the stake.
        _take(LEAF_STAKE);
    }

    /// @inheritdoc IAuction
    function showLeaf(ClearingKey calldata key, Side side, address trader, Opening calldata opening) external override {
        // Check: the leaf is owed, and this is it.
        _requireWindow(0, windowsOf(key.epoch).answerEnd);
        (bytes32 clearingId, Clearing storage clearing) = _standing(key);
        _takeDemand(clearing, _demandId(clearingId, side, trader), trader);
        _place(key, side, trader, opening);

        // Effect: the stake is earned.
        _credit(msg.sender, LEAF_STAKE);
        emit ShowLeaf(clearingId, side, trader, opening);
    }

    /// @inheritdoc IAuction
    function enforceLeaf(ClearingKey calldata key, Side side, address trader) external override {
        bytes32 clearingId = _clearingId(key);
        Clearing storage clearing = _clearings[clearingId];
        if (!clearing.isDefeated) _requireWindow(windowsOf(key.epoch).answerEnd, type(uint256).max);

        // Effect: the stake goes back, and the first unanswered demand has the reward.
        address demander = _takeDemand(clearing, _demandId(clearingId, side, trader), trader);
        _credit(demander, LEAF_STAKE);
        if (!clearing.isDefeated) _defeat(clearingId, clearing, demander);
    }

    /// @inheritdoc IAuction
    function proveDisorder(
        ClearingKey calldata key,
        Side side,
        address first,
        Opening calldata firstOpening,
        address second,
        Opening calldata secondOpening
    )
        external
        override
    {
        (bytes32 clearingId, Clearing storage clearing) = _standing(key);
        (bytes32 firstKey, uint32 firstPosition) = _place(key, side, first, firstOpening);
        (bytes32 secondKey, uint32 secondPosition) = _place(key, side, second, secondOpening);
        bool isDisorder = firstKey <= secondKey && firstPosition > secondPosition;
        if (!isDisorder) revert Errors.Auction_InOrder(firstPosition, secondPosition);
        _defeat(clearingId, clearing, msg.sender);
    }

    /// @inheritdoc IAuction
    function publish(ClearingKey calldata key, RosterEntry[] calldata entries) external override {
        // Check: the clearing stands, owes nothing, and comes to these entries.
        Windows memory windows = windowsOf(key.epoch);
        _requireWindow(windows.publishFrom, windows.publishEnd);
        _requireUnpaused();
        Round storage round = _rounds[_roundId(key.service, key.epoch)];
        if (round.isCleared) revert Errors.Auction_RoundCleared(key.service, key.epoch);
        (bytes32 clearingId, Clearing storage clearing) = _standing(key);
        if (clearing.owed != 0) revert Errors.Auction_LeavesOwed(clearing.owed);
        if (clearing.entriesHash != keccak256(abi.encode(entries))) {
            revert Errors.Auction_EntriesMismatch(clearingId);
        }

        // Effect: the round is cleared, the bond goes back.
        (uint64 procured, uint128 paid) = (0, 0);
        for (uint256 i = 0; i < entries.length; ++i) {
            procured += entries[i].weight;
            paid += uint128(entries[i].unitPrice) * entries[i].weight;
        }
        (round.procured, round.paid) = (procured, paid);
        (round.isCleared, round.bidsRoot) = (true, key.bidsRoot);
        _close(clearing, key.submitter);
        emit Clear(key.service, key.epoch, clearingId, procured, paid);

        // Interaction: only who has an allotment is served by this roster.
        sessions.publishRoster(key.service, entries, true);
    }

    /// @inheritdoc IAuction
    function releaseBond(ClearingKey calldata key) external override {
        if (!_isOver(_rounds[_roundId(key.service, key.epoch)], key.epoch)) {
            revert Errors.Auction_RoundRunning(key.service, key.epoch);
        }
        (, Clearing storage clearing) = _standing(key);
        if (clearing.owed != 0) revert Errors.Auction_LeavesOwed(clearing.owed);
        _close(clearing, key.submitter);
    }

    /// @inheritdoc IAuction
    function clearingOf(ClearingKey calldata key) external view override returns (Clearing memory) {
        return _clearings[_clearingId(key)];
    }

    /*//////////////////////////////////////////////////////////////////////////
                                  INNER FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev A clearing that was submitted and is neither defeated nor closed.
    function _standing(ClearingKey calldata key) private view returns (bytes32 clearingId, Clearing storage clearing) {
        clearingId = _clearingId(key);
        clearing = _clearings[clearingId];
        if (clearing.entriesHash == 0 || clearing.isDefeated) revert Errors.Auction_ClearingUnknown(clearingId);
    }

    function _close(Clearing storage clearing, address submitter) private {
        delete clearing.entriesHash;
        _credit(submitter, CLEARING_BOND);
    }

    /// @dev Half the bond to the winner, so that defeating one's own clearing in time costs the other half.
    function _defeat(bytes32 clearingId, Clearing storage clearing, address winner) private {
        clearing.isDefeated = true;
        uint88 reward = CLEARING_BOND / 2;
        _credit(winner, reward);
        _credit(parameters.treasury(), CLEARING_BOND - reward);
        emit DefeatClearing(clearingId, winner);
    }

    /// @dev The leaf is owed no more, whichever way that ended.
    function _takeDemand(
        Clearing storage clearing,
        bytes32 demandId,
        address trader
    )
        private
        returns (address demander)
    {
        demander = _demanders[demandId];
        if (demander == address(0)) revert Errors.Auction_DemandUnknown(trader);
        delete _demanders[demandId];
        clearing.owed -= 1;
    }

    function _clearingId(ClearingKey memory key) private pure returns (bytes32) {
        return keccak256(abi.encode(key));
    }

    function _demandId(bytes32 clearingId, Side side, address trader) private pure returns (bytes32) {
        return keccak256(abi.encode(clearingId, side, trader));
    }
}
