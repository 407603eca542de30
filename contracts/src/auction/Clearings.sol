// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IAuction } from "../interfaces/IAuction.sol";
import { Errors } from "../libraries/Errors.sol";
import { Clearing, ClearingKey, Cover, Demand, Opening, Round, Sale, Side, Windows } from "../types/AuctionTypes.sol";
import { RosterEntry } from "../types/Types.sol";
import { Leaves } from "./Leaves.sol";

/// @title Clearings
/// @notice The part of {Auction} that takes clearings, lets anyone defeat those that are wrong, and publishes one.
abstract contract Clearings is Leaves {
    mapping(bytes32 clearingId => Clearing clearing) private _clearings;
    mapping(bytes32 demandId => Demand demand) private _demands;

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
        Windows memory windows = windowsOf(key.epoch);
        _requireWindow(0, windows.demandEnd);
        (bytes32 clearingId, Clearing storage clearing) = _standing(key);
        Demand storage demand = _demands[_demandId(clearingId, side, trader)];
        if (demand.demander != address(0)) revert Errors.Auction_DemandExists(trader);
        _openTerms(key, side, trader);

        // Effect: the leaf is owed within half a step, so that what it shows can be asked about in the other half.
        uint256 span = (windows.answerEnd - windows.demandEnd) / 2;
        (demand.demander, demand.dueBlock) = (msg.sender, uint64(block.number + (span == 0 ? 2 : span + 1)));
        clearing.owed += 1;
        emit DemandLeaf(clearingId, side, trader, msg.sender);

        // Interaction: take the stake.
        _take(LEAF_STAKE);
    }

    /// @inheritdoc IAuction
    function showLeaf(ClearingKey calldata key, Side side, address trader, Opening calldata opening) external override {
        // Check: the leaf is owed, and this is it.
        (bytes32 clearingId, Clearing storage clearing) = _standing(key);
        Demand storage demand = _demands[_demandId(clearingId, side, trader)];
        if (demand.demander == address(0) || demand.shower != address(0)) {
            revert Errors.Auction_DemandUnknown(trader);
        }
        _requireWindow(0, demand.dueBlock);
        _place(key, side, trader, opening);

        // Effect: the leaf is owed no more; whose the stake is, the end of the clearing says.
        demand.shower = msg.sender;
        clearing.owed -= 1;
        emit ShowLeaf(clearingId, side, trader, opening);
    }

    /// @inheritdoc IAuction
    function endDemand(ClearingKey calldata key, Side side, address trader) external override {
        bytes32 clearingId = _clearingId(key);
        Clearing storage clearing = _clearings[clearingId];
        bytes32 demandId = _demandId(clearingId, side, trader);
        Demand memory demand = _demands[demandId];
        if (demand.demander == address(0)) revert Errors.Auction_DemandUnknown(trader);

        // Effect: a leaf that was not shown in time defeats the clearing, if nothing has.
        bool isShown = demand.shower != address(0);
        if (!isShown && !clearing.isDefeated) {
            _requireWindow(demand.dueBlock, type(uint256).max);
            _defeat(clearingId, clearing, demand.demander);
        }
        if (!clearing.isDefeated && clearing.entriesHash != 0) revert Errors.Auction_ClearingStands(clearingId);

        // Effect: demands of a defeated clearing cost nothing, those of another are their answers' pay.
        delete _demands[demandId];
        if (!isShown) clearing.owed -= 1;
        _credit(clearing.isDefeated ? demand.demander : demand.shower, LEAF_STAKE);
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
        (uint64 procured, uint96 paid) = (0, 0);
        for (uint256 i = 0; i < entries.length; ++i) {
            procured += entries[i].weight;
            paid += uint96(entries[i].unitPrice) * entries[i].weight;
        }
        (round.procured, round.paid) = (procured, paid);
        (round.isCleared, round.submitter, round.bidsRoot) = (true, key.submitter, key.bidsRoot);
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

    function _clearingId(ClearingKey memory key) private pure returns (bytes32) {
        return keccak256(abi.encode(key));
    }

    function _demandId(bytes32 clearingId, Side side, address trader) private pure returns (bytes32) {
        return keccak256(abi.encode(clearingId, side, trader));
    }
}
