// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IParameters } from "../interfaces/IParameters.sol";
import { IRegistry } from "../interfaces/IRegistry.sol";
import { Errors } from "../libraries/Errors.sol";
import { Listing, ParameterValues, RosterEntry } from "../types/Types.sol";
import { Services } from "./Services.sol";
import { Stakes } from "./Stakes.sol";

/// @title Listings
/// @notice The part of {Registry} that keeps the posted asks, and says which of them make a roster.
///
/// More suppliers may post asks than a roster holds: who has the most stake when the roster is built is in it. So
/// nobody can push a supplier out without standing in its place.
abstract contract Listings is Services, Stakes {
    /// @dev Most asks for a service; above every `rosterMax`, so that whoever gives way here is in no roster.
    uint256 private constant LISTINGS_MAX = 256;

    /// @dev `position` is the place in the service's list, plus one; zero is not listed.
    struct Ask {
        uint64 unitPrice;
        uint64 lastActiveEpoch;
        uint32 position;
    }

    IParameters public immutable override parameters;

    mapping(bytes32 service => address[] suppliers) private _listed;
    mapping(bytes32 service => mapping(address supplier => Ask ask)) private _asks;

    constructor(IParameters parameters_) {
        parameters = parameters_;
    }

    /// @inheritdoc IRegistry
    function setListing(
        address supplier,
        bytes32 service,
        uint64 unitPrice
    )
        external
        override
        onlyOwnerOrOperator(supplier)
    {
        if (unitPrice == 0) revert Errors.Registry_PriceZero();
        if (_services[service].source == address(0)) revert Errors.Registry_ServiceUnknown(service);
        uint256 epoch = _currentEpoch();
        uint96 least = parameters.valuesAt(epoch).minStake;
        uint96 lasting = _lastingStakeOf(supplier);
        if (lasting < least) revert Errors.Registry_StakeTooLow(lasting, least);

        Ask storage ask = _asks[service][supplier];
        if (ask.position == 0) {
            if (_listed[service].length == LISTINGS_MAX) _evictLeast(service, lasting);
            _listed[service].push(supplier);
            ask.position = uint32(_listed[service].length);
        }
        ask.unitPrice = unitPrice;
        ask.lastActiveEpoch = uint64(epoch);
        emit SetListing(service, supplier, unitPrice);
    }

    /// @inheritdoc IRegistry
    function removeListing(address supplier, bytes32 service) external override onlyOwnerOrOperator(supplier) {
        if (_asks[service][supplier].position == 0) revert Errors.Registry_NotListed(service, supplier);
        _removeListing(service, supplier);
    }

    /// @inheritdoc IRegistry
    function releaseBond(
        address supplier,
        bytes32 service,
        uint96 amount
    )
        external
        override
        onlyClaims
        returns (address payout, address source, uint16 sourceBps)
    {
        SupplierState storage state = _suppliers[supplier];
        payout = state.payout;
        state.reserved -= amount;
        (source, sourceBps) = (_services[service].source, _services[service].sourceBps);

        Ask storage ask = _asks[service][supplier];
        uint64 epoch = uint64(_currentEpoch());
        if (ask.position != 0 && ask.lastActiveEpoch != epoch) ask.lastActiveEpoch = epoch;
    }

    /// @inheritdoc IRegistry
    function listingsOf(bytes32 service) external view override returns (Listing[] memory listings) {
        address[] storage listed = _listed[service];
        listings = new Listing[](listed.length);
        for (uint256 i = 0; i < listings.length; ++i) {
            Ask storage ask = _asks[service][listed[i]];
            listings[i] = Listing(listed[i], ask.unitPrice, ask.lastActiveEpoch);
        }
    }

    /// @inheritdoc IRegistry
    function candidatesOf(bytes32 service) external view override returns (RosterEntry[] memory entries) {
        uint256 epoch = _currentEpoch() + 1;
        ParameterValues memory values = parameters.valuesAt(epoch);
        address[] memory listed = _listed[service];
        entries = new RosterEntry[](listed.length < values.rosterMax ? listed.length : values.rosterMax);
        uint96[] memory stakes = new uint96[](entries.length);
        uint256 count = 0;
        for (uint256 i = 0; i < listed.length; ++i) {
            Ask storage ask = _asks[service][listed[i]];
            uint96 lasting = _lastingStakeOf(listed[i]);
            uint32 weight = _weightOf(lasting, values);
            bool isIdle = values.idleEpochs != 0 && epoch > uint256(ask.lastActiveEpoch) + values.idleEpochs;
            if (weight == 0 || isIdle) continue;
            uint256 place = count < entries.length ? count++ : _leastOf(stakes);
            if (lasting <= stakes[place]) continue;
            entries[place] = RosterEntry(listed[i], ask.unitPrice, weight);
            stakes[place] = lasting;
        }
        assembly ("memory-safe") {
            mstore(entries, count)
        }
    }

    /// @dev Whole lots of stake, rounded down and capped; zero below the least stake.
    function _weightOf(uint96 lasting, ParameterValues memory values) private pure returns (uint32) {
        if (lasting < values.minStake) return 0;
        uint96 lots = lasting / values.lotStake;
        return lots < values.lotsMax ? uint32(lots) : values.lotsMax;
    }

    /// @dev The place of the smallest stake, the first of equal ones.
    function _leastOf(uint96[] memory stakes) private pure returns (uint256 least) {
        for (uint256 i = 1; i < stakes.length; ++i) {
            if (stakes[i] < stakes[least]) least = i;
        }
    }

    /// @dev Makes room for a supplier with `ownStake` in a full list.
    function _evictLeast(bytes32 service, uint96 ownStake) private {
        address[] memory listed = _listed[service];
        uint96[] memory stakes = new uint96[](listed.length);
        for (uint256 i = 0; i < listed.length; ++i) {
            stakes[i] = _lastingStakeOf(listed[i]);
        }
        uint256 least = _leastOf(stakes);
        if (stakes[least] >= ownStake) revert Errors.Registry_ListFull(service, stakes[least]);
        _removeListing(service, listed[least]);
    }

    function _removeListing(bytes32 service, address supplier) private {
        address[] storage listed = _listed[service];
        uint32 position = _asks[service][supplier].position;
        address last = listed[listed.length - 1];
        listed[position - 1] = last;
        _asks[service][last].position = position;
        listed.pop();
        delete _asks[service][supplier];
        emit RemoveListing(service, supplier);
    }
}
