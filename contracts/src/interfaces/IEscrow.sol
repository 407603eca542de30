// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import { Account, SessionKey, Share } from "../types/Types.sol";
import { IParameters } from "./IParameters.sol";
import { IRegistry } from "./IRegistry.sol";

/// @title IEscrow
/// @notice The applications' funds, their delegations, and what is owed to everyone who earned.
///
/// Session n of a delegation is covered iff at its opening the application's unlocked funds, less pending
/// withdrawals, are at least `capSum(n-1) + capSum(n)`: the caps of the two sessions that can still lock them.
/// A claim locks its value when it is made, so a covered claim within its slice is always paid in full.
/// An application's funds, and the sum of its caps, stay below 2^88.
interface IEscrow {
    /*//////////////////////////////////////////////////////////////////////////
                                       EVENTS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Emitted when an application's funds grow by a deposit.
    event Deposit(address indexed application, address indexed from, uint96 amount);

    /// @notice Emitted when funds are asked back; they can be taken from `fromSession` on.
    event RequestWithdraw(address indexed application, uint96 amount, uint256 fromSession);

    /// @notice Emitted when funds have left.
    event FinishWithdraw(address indexed application, uint96 amount);

    /// @notice Emitted when a delegation is made, changed or (cap 0) revoked, for sessions from `fromSession` on.
    event Delegate(
        address indexed application,
        address indexed gateway,
        bytes32 indexed service,
        uint96 cap,
        uint16 feeBps,
        uint256 fromSession
    );

    /// @notice Emitted when a void claim gives its value back, and when its bond is given.
    event Refund(address indexed application, uint256 amount);

    /// @notice Emitted when what was earned has been paid out.
    event Collect(address indexed payee, uint96 amount);

    /*//////////////////////////////////////////////////////////////////////////
                               STATE-CHANGING FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Adds the caller's tokens to an application's funds.
    function deposit(address application, uint96 amount) external;

    /// @notice Asks for `amount` of the caller's funds back; they stop covering sessions that open from now on
    /// and can be taken two full sessions later. Asking again adds to it and starts the wait anew.
    function requestWithdraw(uint96 amount) external;

    /// @notice Pays out what {requestWithdraw} set aside, to the caller.
    function finishWithdraw() external;

    /// @notice Lets a gateway spend up to `cap` a session on a service: a new delegation from the session after the
    /// next on, whose members nobody can know yet; changes from the next on, or with the new one where that is later.
    ///
    /// @dev Emits a {Delegate} event.
    ///
    /// Requirements:
    /// - The gateway must be registered and the service listed; `feeBps` must be at most 3000.
    /// - Where the delegation had no cap, the caller pays the delegation fee out of its own tokens (not out of
    ///   its escrow, which covers sessions already open). It is not refunded.
    ///
    /// @param cap Token base units per session; zero revokes.
    /// @param feeBps The gateway's share of what is claimed, in 1/10000.
    function delegate(address gateway, bytes32 service, uint96 cap, uint16 feeBps) external;

    /// @notice Pays the caller everything it has earned.
    function collect() external;

    /// @notice Pays `payee` everything it has earned (anyone may call).
    function collectFor(address payee) external;

    /// @notice Locks the value of a new claim, where the session is covered and the value within a member's slice.
    /// Only Claims.
    /// @param share The member's part of the session's cap.
    /// @return slice The most a member may claim, rounded down; zero where the session is not covered. Nothing is
    /// locked where it is below `value`.
    function lock(
        SessionKey calldata session,
        uint256 value,
        Share calldata share
    )
        external
        returns (uint96 slice, uint16 feeBps);

    /// @notice Gives the locked value of a settled claim to those who earned it. Only Claims.
    function pay(address[4] calldata payees, uint96[4] calldata amounts) external;

    /// @notice Gives the locked value of a void claim back, and its bond, already received. Only Claims.
    ///
    /// What the account has no room for becomes the application's to collect.
    function refund(address application, uint96 value, uint96 bond) external;

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice The numbers of the market.
    function parameters() external view returns (IParameters);

    /// @notice What is held in escrow.
    function token() external view returns (IERC20);

    /// @notice The gateways and services that can be delegated to.
    function registry() external view returns (IRegistry);

    /// @notice The only contract that may lock, pay or refund.
    function claims() external view returns (address);

    /// @notice An application's unlocked funds and its pending withdrawal.
    function accountOf(address application) external view returns (Account memory);

    /// @notice What `payee` can collect.
    function claimableOf(address payee) external view returns (uint96);

    /// @notice A delegation's cap and gateway fee in session `number`, as set so far.
    function delegationAt(
        address application,
        address gateway,
        bytes32 service,
        uint256 number
    )
        external
        view
        returns (uint96 cap, uint16 feeBps);

    /// @notice The sum of an application's caps from session `fromSession` on.
    function capSumOf(address application) external view returns (uint96 capSum, uint64 fromSession);

    /// @notice A session's cap and gateway fee, both zero where the session is not covered.
    /// @dev Known for the running session and the one before; zero for all others.
    function coverageOf(SessionKey calldata session) external view returns (uint96 cap, uint16 feeBps);
}
