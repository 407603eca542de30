// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { AccessControl } from "@openzeppelin/contracts/access/AccessControl.sol";
import { Checkpoints } from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import { IParameters } from "./interfaces/IParameters.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Errors } from "./libraries/Errors.sol";
import { ClockValues, ParameterValues } from "./types/Types.sol";

/// @title Parameters
/// @notice See the documentation in {IParameters}.
contract Parameters is IParameters, AccessControl, Clocked {
    using Checkpoints for Checkpoints.Trace160;

    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    /// @dev EIP-2935 serves this many blocks; a claim's windows must fit, with a session to spare.
    uint256 private constant HISTORY_BLOCKS = 8191;
    uint256 private constant WINDOW_SESSIONS = 4;

    /// @dev With the most of the source (4000) and of the gateway (3000), the shares stay below the value.
    uint256 private constant PROTOCOL_BPS_MAX = 1000;

    struct Version {
        ParameterValues values;
        uint64 fromEpoch;
    }

    Version[] private _versions;
    Checkpoints.Trace160 private _pauses;
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
        _versions.push(Version(initial, 0));
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
        // Check: no epoch changes that is running or whose rosters may be built.
        Version storage last = _versions[_versions.length - 1];
        uint256 earliest = _currentEpoch() + 2;
        if (last.fromEpoch > earliest) earliest = last.fromEpoch;
        if (fromEpoch < earliest) revert Errors.Parameters_EpochTooEarly(fromEpoch, earliest);
        _requireValues(values);

        // Effect: replace what was scheduled for the same epoch, or add to it.
        if (last.fromEpoch == fromEpoch) last.values = values;
        else _versions.push(Version(values, fromEpoch));
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
        // From the newest back: what is asked for is one of the last few.
        uint256 index = _versions.length - 1;
        while (_versions[index].fromEpoch > epoch) --index;
        return _versions[index].values;
    }

    /// @inheritdoc IParameters
    function isPausedAt(uint256 number) external view override returns (bool) {
        return _pauses.upperLookupRecent(uint96(number)) != 0;
    }

    function _setPaused(bool paused) private {
        uint64 next = _currentSession() + 1;
        _pauses.push(next, paused ? 1 : 0);
        emit SetPaused(next, paused);
    }

    function _requireClock(ClockValues memory values) private view {
        bool valid = values.genesisBlock <= block.number && values.sessionBlocks >= 2 && values.seedOffset >= 1
            && values.seedOffset < values.sessionBlocks && values.epochSessions >= 2
            && WINDOW_SESSIONS * values.sessionBlocks <= HISTORY_BLOCKS;
        if (!valid) revert Errors.Parameters_ClockInvalid();
    }

    function _requireValues(ParameterValues memory values) private pure {
        bool valid = values.members >= 1 && values.targetLeaves >= 1 && values.marginBps >= 10_000
            && values.bondRatioMax >= 1 && values.protocolBps <= PROTOCOL_BPS_MAX && values.lotStake >= 1
            && values.lotsMax >= 1 && values.rosterMax >= 1;
        if (!valid) revert Errors.Parameters_ValuesInvalid();
    }
}
