// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";

import { IParameters } from "./interfaces/IParameters.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Errors } from "./libraries/Errors.sol";
import { History } from "./libraries/History.sol";
import { ClockValues, ParameterValues } from "./types/Types.sol";

/// @title Parameters
/// @notice See the documentation in {IParameters}.
contract Parameters is IParameters, AccessControl, Clocked {
    using History for History.Trace;

    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    /// @dev EIP-2935 serves this many blocks; a claim's windows must fit, with a session to spare.
    uint256 private constant HISTORY_BLOCKS = 8191;
    uint256 private constant WINDOW_SESSIONS = 4;
    uint256 private constant BPS = 10_000;

    /// @dev With the most of the source (4000) and of the gateway (3000), the shares stay below the value.
    uint256 private constant PROTOCOL_BPS_MAX = 1000;

    /// @dev As many draws as verify a member ({Draw}).
    uint256 private constant MEMBERS_MAX = 64;

    /// @dev Most listings whose roster is built within one transaction's gas.
    uint256 private constant ROSTER_MAX = 128;

    /// @dev Most points of a claim at its least bond, `marginBps * bondRatioMax / 10000`, so that their proof fits
    /// the 128 KiB that nodes take as one transaction.
    uint256 private constant POINTS_MAX = 60;

    /// @dev How far ahead values are scheduled: none may stand in the way of all later ones for good.
    uint256 private constant SCHEDULE_EPOCHS_MAX = 64;

    History.Trace private _pauses;
    /// @dev The place of the values in force, by epoch.
    History.Trace private _versions;
    mapping(uint256 version => ParameterValues values) private _values;
    address public override treasury;

    constructor(
        ClockValues memory clockValues,
        ParameterValues memory initial,
        address admin,
        address pauser,
        address treasury_
    )
        Clocked(clockValues)
    {
        _requireClock(clockValues);
        _requireValues(initial);
        if (treasury_ == address(0)) revert Errors.Parameters_TreasuryZero();
        _values[0] = initial;
        treasury = treasury_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(PAUSER_ROLE, pauser);
        emit ScheduleValues(0, initial);
        emit SetTreasury(treasury_);
    }

    /// @inheritdoc IParameters
    function scheduleValues(
        uint64 fromEpoch,
        ParameterValues calldata values
    )
        external
        override
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        // Check: no epoch changes that is running, whose rosters may be built, or for which auctions take orders.
        uint256 earliest = _currentEpoch() + 3;
        uint256 latest = earliest + SCHEDULE_EPOCHS_MAX;
        if (_versions.from > earliest) earliest = _versions.from;
        if (fromEpoch < earliest || fromEpoch > latest) {
            revert Errors.Parameters_EpochOutOfRange(fromEpoch, earliest, latest);
        }
        _requireValues(values);

        // Effect: replace what was scheduled for the same epoch, or add to it.
        uint160 version = _versions.latest;
        if (_versions.from != fromEpoch) _versions.push(fromEpoch, ++version);
        _values[version] = values;
        emit ScheduleValues(fromEpoch, values);
    }

    /// @inheritdoc IParameters
    function pause() external override onlyRole(PAUSER_ROLE) {
        _setPaused(true);
    }

    /// @inheritdoc IParameters
    function unpause() external override onlyRole(PAUSER_ROLE) {
        _setPaused(false);
    }

    /// @inheritdoc IParameters
    function setTreasury(address treasury_) external override onlyRole(DEFAULT_ADMIN_ROLE) {
        if (treasury_ == address(0)) revert Errors.Parameters_TreasuryZero();
        treasury = treasury_;
        emit SetTreasury(treasury_);
    }

    /// @inheritdoc IParameters
    function clock() external view override returns (ClockValues memory) {
        return _clock();
    }

    /// @inheritdoc IParameters
    function valuesAt(uint256 epoch) external view override returns (ParameterValues memory) {
        return _values[_versions.valueAt(epoch)];
    }

    /// @inheritdoc IParameters
    function claimValuesOf(uint256 number)
        external
        view
        override
        returns (bool isPaused, uint8 members, uint32 targetLeaves, uint16 bondRatioMax)
    {
        ParameterValues storage values = _values[_versions.valueAt(_epochOf(number))];
        return (isPausedAt(number), values.members, values.targetLeaves, values.bondRatioMax);
    }

    /// @inheritdoc IParameters
    function settleValuesOf(uint256 number) external view override returns (uint32 marginBps, uint16 protocolBps) {
        ParameterValues storage values = _values[_versions.valueAt(_epochOf(number))];
        return (values.marginBps, values.protocolBps);
    }

    /// @inheritdoc IParameters
    function isPausedAt(uint256 number) public view override returns (bool) {
        return _pauses.valueAt(number) != 0;
    }

    function _setPaused(bool paused) private {
        uint64 next = _currentSession() + 1;
        _pauses.push(next, paused ? 1 : 0);
        emit SetPaused(next, paused);
    }

    function _requireClock(ClockValues memory values) private view {
        // At least half a session is left to prove in.
        bool valid = values.genesisBlock <= block.number && values.sessionBlocks >= 4 && values.seedOffset >= 1
            && values.seedOffset <= values.sessionBlocks / 2 && values.epochSessions >= 2
            && values.sessionBlocks <= HISTORY_BLOCKS / WINDOW_SESSIONS;
        if (!valid) revert Errors.Parameters_ClockInvalid();
    }

    function _requireValues(ParameterValues memory values) private pure {
        bool valid = values.members >= 1 && values.members <= MEMBERS_MAX && values.targetLeaves >= 1
            && values.marginBps >= BPS && values.bondRatioMax >= 1
            && uint256(values.marginBps) * values.bondRatioMax <= POINTS_MAX * BPS
            && values.protocolBps <= PROTOCOL_BPS_MAX && values.lotStake >= 1 && values.lotsMax >= 1
            && values.rosterMax >= 1 && values.rosterMax <= ROSTER_MAX;
        if (!valid) revert Errors.Parameters_ValuesInvalid();
    }
}
