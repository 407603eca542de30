// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IParameters } from "../interfaces/IParameters.sol";
import { IRegistry } from "../interfaces/IRegistry.sol";
import { ISessions } from "../interfaces/ISessions.sol";
import { Clocked } from "../libraries/Clocked.sol";
import { Draw } from "../libraries/Draw.sol";
import { Errors } from "../libraries/Errors.sol";
import { History } from "../libraries/History.sol";
import { RosterEntry, Seat, SessionKey, Share } from "../types/Types.sol";

/// @title Rosters
/// @notice The part of {Sessions} that keeps who can be drawn, at what price, and for whom.
///
/// Where asks are posted, K members are drawn by weight without replacement, and each has a K-th of the cap. An
/// allotted roster was paid for in advance, unit by unit, so a member's part of the cap is what its units cost out of
/// all: outright where there are no more than K suppliers, else by draws with replacement, a K-th for each that hits
/// it, which comes to the same on average.
abstract contract Rosters is ISessions, Clocked {
    using History for History.Trace;

    IParameters public immutable override parameters;
    IRegistry public immutable override registry;

    struct Head {
        uint32 count;
        uint32 totalWeight;
        uint64 builtEpoch;
        bool isAllotted;
    }

    /// @dev By epoch: count, then total weight, then the epoch, then whether it is allotted, each above the one before.
    mapping(bytes32 service => History.Trace heads) private _heads;
    mapping(bytes32 service => mapping(uint256 epoch => mapping(uint256 index => uint256 entry))) private _rosters;
    mapping(bytes32 allotmentId => uint96 capMax) private _allotments;

    modifier onlyMarket(bytes32 service) {
        (,, address market) = registry.sharesOf(service);
        if (market == address(0) || msg.sender != market) revert Errors.Sessions_NotMarket(service, msg.sender);
        _;
    }

    constructor(IParameters parameters_, IRegistry registry_) {
        parameters = parameters_;
        registry = registry_;
    }

    /// @inheritdoc ISessions
    function buildRoster(bytes32 service) external override {
        (address source,, address market) = registry.sharesOf(service);
        if (source == address(0)) revert Errors.Registry_ServiceUnknown(service);
        if (market != address(0)) revert Errors.Sessions_NotMarket(service, msg.sender);
        _setRoster(service, registry.candidatesOf(service), false);
    }

    /// @inheritdoc ISessions
    function publishRoster(
        bytes32 service,
        RosterEntry[] calldata entries,
        bool isAllotted
    )
        external
        override
        onlyMarket(service)
    {
        uint256 most = parameters.valuesAt(_currentEpoch() + 1).rosterMax;
        if (entries.length > most) revert Errors.Sessions_RosterInvalid(most);
        address before = address(0);
        for (uint256 i = 0; i < entries.length; ++i) {
            RosterEntry calldata entry = entries[i];
            bool isValidEntry = entry.supplier > before && entry.unitPrice != 0 && entry.weight != 0
                && registry.isSupplier(entry.supplier);
            if (!isValidEntry) revert Errors.Sessions_RosterInvalid(i);
            before = entry.supplier;
        }
        _setRoster(service, isAllotted ? Draw.weighByCost(entries) : entries, isAllotted);
    }

    /// @inheritdoc ISessions
    function allot(
        bytes32 service,
        uint64 epoch,
        address application,
        address gateway,
        uint96 capMax
    )
        external
        override
        onlyMarket(service)
    {
        _allotments[_allotmentId(service, epoch, application, gateway)] = capMax;
        emit Allot(service, epoch, application, gateway, capMax);
    }

    /// @inheritdoc ISessions
    function rosterOf(bytes32 service, uint256 epoch) external view override returns (RosterEntry[] memory entries) {
        Head memory head = _headOf(service, epoch);
        entries = new RosterEntry[](head.count);
        uint32 before = 0;
        for (uint256 i = 0; i < head.count; ++i) {
            (address supplier, uint64 unitPrice, uint32 cumulative) = Draw.unpack(_rosters[service][head.builtEpoch][i]);
            entries[i] = RosterEntry(supplier, unitPrice, cumulative - before);
            before = cumulative;
        }
    }

    /// @inheritdoc ISessions
    function rosterHeadOf(
        bytes32 service,
        uint256 epoch
    )
        external
        view
        override
        returns (uint32 count, uint32 totalWeight, uint64 builtEpoch)
    {
        Head memory head = _headOf(service, epoch);
        return (head.count, head.totalWeight, head.builtEpoch);
    }

    /// @inheritdoc ISessions
    function allotmentOf(SessionKey calldata session) external view override returns (uint96) {
        return _capMaxOf(_headOf(session.service, _epochOf(session.number)), session);
    }

    /// @inheritdoc ISessions
    function priceOf(
        Seat memory seat,
        uint32[] calldata earlier
    )
        public
        view
        override
        returns (uint64 unitPrice, Share memory share)
    {
        // The head stays packed: on the way of every claim.
        uint160 head = _heads[seat.session.service].valueAt(_epochOf(seat.session.number));
        mapping(uint256 => uint256) storage roster = _rosters[seat.session.service][uint64(head >> 64)];
        Draw.Urn memory urn = Draw.Urn(uint32(head), uint32(head >> 32), seat.members);
        if (head >> 128 == 0) {
            if (!Draw.isMember(roster, urn, seat.drawSeed, seat.rosterIndex, seat.draw, earlier)) return (0, share);
            share = Share(type(uint96).max, 1, seat.members);
        } else {
            if (seat.draw != 0 || earlier.length != 0) return (0, share);
            (share.parts, share.whole) = Draw.partsOf(roster, urn, seat.drawSeed, seat.rosterIndex);
            if (share.parts == 0) return (0, share);
            share.capMax = _allotmentIn(seat.session);
        }
        address found;
        (found, unitPrice,) = Draw.unpack(roster[seat.rosterIndex]);
        if (found != seat.supplier) unitPrice = 0;
    }

    /*//////////////////////////////////////////////////////////////////////////
                                  INNER FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    function _headOf(bytes32 service, uint256 epoch) internal view returns (Head memory) {
        uint160 packed = _heads[service].valueAt(epoch);
        return Head(uint32(packed), uint32(packed >> 32), uint64(packed >> 64), packed >> 128 != 0);
    }

    /// @dev The most of the delegation's cap that counts in the session.
    function _capMaxOf(Head memory head, SessionKey memory session) internal view returns (uint96) {
        return head.isAllotted ? _allotmentIn(session) : type(uint96).max;
    }

    /// @dev What was allotted for the session's own epoch: an inherited roster has no allotments of before.
    function _allotmentIn(SessionKey memory session) private view returns (uint96) {
        uint256 epoch = _epochOf(session.number);
        return _allotments[_allotmentId(session.service, uint64(epoch), session.application, session.gateway)];
    }

    function _allotmentId(
        bytes32 service,
        uint64 epoch,
        address application,
        address gateway
    )
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(service, epoch, application, gateway));
    }

    function _setRoster(bytes32 service, RosterEntry[] memory entries, bool isAllotted) private {
        // Check: the seed of the running session draws the members of the next one.
        uint64 current = _currentSession();
        if (_isLastOfEpoch(current)) revert Errors.Sessions_RosterWindowClosed(current);

        // Effect: entries with their cumulative weights, one slot each.
        uint256 epoch = _epochOf(current) + 1;
        uint32 total = 0;
        mapping(uint256 => uint256) storage roster = _rosters[service][epoch];
        for (uint256 i = 0; i < entries.length; ++i) {
            total += entries[i].weight;
            roster[i] = Draw.pack(entries[i].supplier, entries[i].unitPrice, total);
        }
        // Effect: nothing is left of a longer roster built before; a stale entry could pass for a drawn one.
        for (uint256 i = entries.length; roster[i] != 0; ++i) {
            delete roster[i];
        }
        uint32 count = uint32(entries.length);
        uint160 flag = isAllotted ? 1 : 0;
        _heads[service].push(epoch, flag << 128 | uint160(epoch) << 64 | uint160(total) << 32 | count);
        emit SetRoster(service, epoch, count, total);
    }
}
