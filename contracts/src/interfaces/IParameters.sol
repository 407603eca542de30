// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ClockValues, ParameterValues } from "../types/Types.sol";

/// @title IParameters
/// @notice The numbers of the market by epoch, its clock, its treasury, and the pause of new sessions.
/// @dev The admin is a timelock. Nothing here can touch a claim made or a balance held.
interface IParameters {
    /*//////////////////////////////////////////////////////////////////////////
                                       EVENTS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Emitted when values are scheduled.
    event ScheduleValues(uint256 indexed fromEpoch, ParameterValues values);

    /// @notice Emitted when sessions from `fromSession` on are stopped, or opened again.
    event SetPaused(uint256 indexed fromSession, bool paused);

    /// @notice Emitted when the receiver of the protocol's shares changes.
    event SetTreasury(address indexed treasury);

    /*//////////////////////////////////////////////////////////////////////////
                               STATE-CHANGING FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Schedules values for an epoch and all later ones.
    ///
    /// @dev Emits a {ScheduleValues} event.
    ///
    /// Requirements:
    /// - The caller must be the admin (the timelock).
    /// - `fromEpoch` must be 2 to 66 epochs ahead, and not before what is already scheduled.
    function scheduleValues(uint64 fromEpoch, ParameterValues calldata values) external;

    /// @notice Makes every session from the next one on invalid, until {unpause}.
    /// @dev Emits a {SetPaused} event. Requirement: the caller must be a pauser.
    function pause() external;

    /// @notice Lets sessions open again from the next one on.
    /// @dev Emits a {SetPaused} event. Requirement: the caller must be a pauser.
    function unpause() external;

    /// @notice Changes who receives the protocol's shares of claims settled from now on.
    /// @dev Emits a {SetTreasury} event. Requirement: the caller must be the admin.
    function setTreasury(address treasury) external;

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice The clock every contract of the market was built with.
    function clock() external view returns (ClockValues memory);

    /// @notice The values in force in `epoch`, as scheduled so far.
    function valuesAt(uint256 epoch) external view returns (ParameterValues memory);

    /// @notice Those of the values of session `number` that a claim is held against, and whether it opened paused.
    function claimValuesOf(uint256 number)
        external
        view
        returns (bool isPaused, uint8 members, uint32 targetLeaves, uint16 bondRatioMax);

    /// @notice Those of the values of session `number` that a claim is challenged and paid by.
    function settleValuesOf(uint256 number) external view returns (uint32 marginBps, uint16 protocolBps);

    /// @notice Whether session `number` opens paused, as set so far.
    function isPausedAt(uint256 number) external view returns (bool);

    /// @notice Who receives the protocol's shares.
    function treasury() external view returns (address);
}
