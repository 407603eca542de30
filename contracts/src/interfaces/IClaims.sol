// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Claim, ClaimInput, LeafProof, SessionKey } from "../types/Types.sol";
import { IEscrow } from "./IEscrow.sol";
import { IParameters } from "./IParameters.sol";
import { IRegistry } from "./IRegistry.sol";
import { ISessions } from "./ISessions.sol";

/// @title IClaims
/// @notice Turns claimed and, where challenged, proved sessions into payments.
///
/// Session n is served in n, claimed in n+1, challenged by the seed of n+2 and proved in the rest of n+2.
interface IClaims {
    /*//////////////////////////////////////////////////////////////////////////
                                       EVENTS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Emitted when a claim is accepted. The chain keeps its hash; send `claim` again to prove and settle.
    event ClaimSubmitted(bytes32 indexed claimId, address indexed supplier, Claim claim);

    /// @notice Emitted when a claim of a batch is refused, with the error that says why.
    event ClaimRefused(uint256 indexed index, bytes reason);

    /// @notice Emitted when a claim is paid; the shares add up to its value.
    event ClaimPaid(
        bytes32 indexed claimId, uint96 supplierShare, uint96 sourceShare, uint96 gatewayShare, uint96 protocolShare
    );

    /// @notice Emitted when a claim is void: its value and its bond go to the application.
    event ClaimVoided(bytes32 indexed claimId, uint96 bond);

    /// @notice Emitted when a claim of a settled batch is left as it is, with the reason.
    event SettleRefused(bytes32 indexed claimId, bytes reason);

    /*//////////////////////////////////////////////////////////////////////////
                               STATE-CHANGING FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Claims sessions of number `number`; each claim is accepted or refused by itself.
    /// @dev Emits {ClaimSubmitted} or {ClaimRefused} for each. A claim locks its value in the escrow and
    /// reserves its bond out of the supplier's stake. The claim of four sessions before for the same delegation must
    /// be settled. Requirements: the next session is running; the caller is the
    /// supplier's operator.
    function submitClaims(address supplier, uint64 number, ClaimInput[] calldata inputs) external;

    /// @notice Proves a claim and pays it (anyone may call). A proof that is not good reverts.
    /// @dev Emits a {ClaimPaid} event.
    /// @param salt What every receipt's `saltHash` is the hash of.
    /// @param leaves One opened leaf per challenge point, in the order of the points.
    function prove(Claim calldata claim, bytes32 salt, LeafProof[] calldata leaves) external;

    /// @notice Settles claims that need no proof, or none any more (anyone may call).
    /// @dev Emits {ClaimPaid}, {ClaimVoided} or {SettleRefused} for each.
    function settle(Claim[] calldata claims) external;

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice The numbers of the market.
    function parameters() external view returns (IParameters);

    /// @notice Where bonds are reserved.
    function registry() external view returns (IRegistry);

    /// @notice Where values are locked and paid.
    function escrow() external view returns (IEscrow);

    /// @notice What is drawn, and from which seed.
    function sessions() external view returns (ISessions);

    /// @notice Whether this very claim was accepted and is not settled.
    function isOpen(Claim calldata claim) external view returns (bool);

    /// @notice The challenge of a claim: its seed and the number of points to prove.
    /// @dev The seed is zero while it cannot be known and once it is lost.
    function challengeOf(Claim calldata claim) external view returns (bytes32 challengeSeed, uint256 points);

    /// @notice Reverts with the reason where {prove} would for the leaves, whatever the time.
    function checkLeaf(Claim calldata claim, bytes32 salt, uint64 point, LeafProof calldata leaf) external view;

    /// @notice The ID of a session.
    function sessionIdOf(SessionKey calldata session) external pure returns (bytes32);

    /// @notice The ID of a claim.
    function claimIdOf(address supplier, bytes32 sessionId) external pure returns (bytes32);

    /// @notice The EIP-712 domain separator of every message of the market.
    function domainSeparator() external view returns (bytes32);
}
