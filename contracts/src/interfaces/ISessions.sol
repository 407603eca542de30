// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ClockValues, RosterEntry, Seat, SessionKey, SessionRules, SessionTerms, Share } from "../types/Types.sol";
import { IEscrow } from "./IEscrow.sol";
import { IParameters } from "./IParameters.sol";
import { IRegistry } from "./IRegistry.sol";

/// @title ISessions
/// @notice The clock, one seed a session, the rosters, and who is drawn to serve.
///
/// What the seed assumes: that the value one owner has riding on one seed is below the cost of choosing one
/// block's hash; on a rollup, that the sequencer is trusted for it.
interface ISessions {
    /*//////////////////////////////////////////////////////////////////////////
                                       EVENTS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Emitted when a seed is written.
    event WriteSeed(uint256 indexed number, bytes32 seed);

    /// @notice Emitted when a roster is set for an epoch and those after it that get none of their own.
    event SetRoster(bytes32 indexed service, uint256 indexed epoch, uint32 count, uint32 totalWeight);

    /// @notice Emitted when a market bounds a delegation's cap in an epoch.
    event Allot(
        bytes32 indexed service, uint64 epoch, address indexed application, address indexed gateway, uint96 capMax
    );

    /*//////////////////////////////////////////////////////////////////////////
                               STATE-CHANGING FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Keeps the seed of session `number` for good (anyone may call; once kept it is only returned).
    /// @dev Emits a {WriteSeed} event. Reverts before its block is past and once its block is forgotten.
    function writeSeed(uint256 number) external returns (bytes32 seed);

    /// @notice Builds the next epoch's roster of a service with posted asks (anyone may call, and call again:
    /// the last roster built before the window closes counts).
    /// @dev Emits a {SetRoster} event. Requirements: the service has no market; the running session is not
    /// the last of its epoch, whose seed draws from the roster.
    function buildRoster(bytes32 service) external;

    /// @notice Sets the next epoch's roster of a service with a market.
    /// @param isAllotted Whether only delegations with an allotment are served by it; then a weight is units, and each
    /// member's part of a cap is what its units cost out of what all do.
    /// @dev Emits a {SetRoster} event. Requirements: as {buildRoster}, and the caller is the service's market;
    /// suppliers are registered and strictly ascending; prices and weights are at least 1.
    function publishRoster(bytes32 service, RosterEntry[] calldata entries, bool isAllotted) external;

    /// @notice Sets the most of a delegation's cap that counts in each session of `epoch`, if its roster is allotted.
    /// @dev Emits an {Allot} event. Requirement: the caller is the service's market.
    function allot(bytes32 service, uint64 epoch, address application, address gateway, uint96 capMax) external;

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice The numbers of the market.
    function parameters() external view returns (IParameters);

    /// @notice Who can be drawn.
    function registry() external view returns (IRegistry);

    /// @notice What covers sessions.
    function escrow() external view returns (IEscrow);

    /// @notice The clock.
    function clock() external view returns (ClockValues memory);

    /// @notice The running session.
    function currentSession() external view returns (uint256);

    /// @notice The running epoch.
    function currentEpoch() external view returns (uint256);

    /// @notice The first block of session `number`.
    function startOf(uint256 number) external view returns (uint256);

    /// @notice The block whose hash is the seed of session `number`.
    function seedBlockOf(uint256 number) external view returns (uint256);

    /// @notice The seed of session `number`, kept or not; zero while it cannot be known and once it is lost.
    function seedOf(uint256 number) external view returns (bytes32);

    /// @notice The roster in force in `epoch`, as set so far; of an allotted one the weights are by cost.
    function rosterOf(bytes32 service, uint256 epoch) external view returns (RosterEntry[] memory);

    /// @notice Size and total weight of the roster in force in `epoch`, and the epoch it was set for.
    function rosterHeadOf(
        bytes32 service,
        uint256 epoch
    )
        external
        view
        returns (uint32 count, uint32 totalWeight, uint64 builtEpoch);

    /// @notice What every claim of session `number` is held against.
    /// @dev The seed is zero while it cannot be known and once it is lost.
    function rulesOf(uint256 number) external view returns (SessionRules memory);

    /// @notice The most of the delegation's cap that counts in the session; no bound where the roster is not allotted.
    function allotmentOf(SessionKey calldata session) external view returns (uint96 capMax);

    /// @notice A member's price and its part of the cap; zero where the draws do not make the supplier a member.
    function priceOf(
        Seat calldata seat,
        uint32[] calldata earlier
    )
        external
        view
        returns (uint64 unitPrice, Share memory share);

    /// @notice Reverts with the reason unless `supplier` is a member of the session.
    /// @return unitPrice Its price.
    function verifyMember(
        SessionKey calldata session,
        address supplier,
        uint32 rosterIndex,
        uint8 draw,
        uint32[] calldata earlier
    )
        external
        view
        returns (uint64 unitPrice);

    /// @notice Whether the session may be served: it has opened, unpaused, with a roster and covered funds, and an
    /// allotment where the roster is allotted.
    /// @dev Known for the running session and the one before; false for all others.
    function isValid(SessionKey calldata session) external view returns (bool);

    /// @notice What the session is worth to the member; reverts with the reason where the session is not valid
    /// or the supplier not a member.
    function termsOf(
        SessionKey calldata session,
        address supplier,
        uint32 rosterIndex,
        uint8 draw,
        uint32[] calldata earlier
    )
        external
        view
        returns (SessionTerms memory);
}
