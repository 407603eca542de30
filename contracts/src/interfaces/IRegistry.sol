// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import { BondRoom, Listing, RosterEntry, Service, Supplier } from "../types/Types.sol";
import { IParameters } from "./IParameters.sol";

/// @title IRegistry
/// @notice Services, gateways, suppliers, their stakes and the bonds reserved out of them, and the posted asks.
interface IRegistry {
    /*//////////////////////////////////////////////////////////////////////////
                                       EVENTS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Emitted when a source lists a service.
    event ListService(bytes32 indexed service, address indexed source, Service value);

    /// @notice Emitted when a gateway's signing key is set, for sessions from `fromSession` on.
    event SetGatewayKey(address indexed gateway, address signingKey, uint256 fromSession);

    /// @notice Emitted when a gateway's address on the network changes.
    event SetGatewayUrl(address indexed gateway, string url);

    /// @notice Emitted when a supplier comes into being.
    event RegisterSupplier(address indexed supplier, address indexed owner);

    /// @notice Emitted when an owner offers a supplier to another owner.
    event OfferSupplier(address indexed supplier, address indexed newOwner);

    /// @notice Emitted when a supplier changes hands.
    event AcceptSupplier(address indexed supplier, address indexed newOwner);

    /// @notice Emitted when a supplier's operator is set, for sessions from `fromSession` on.
    event SetOperator(address indexed supplier, address operator, uint256 fromSession);

    /// @notice Emitted when a supplier's receiver of payments changes.
    event SetPayout(address indexed supplier, address payout);

    /// @notice Emitted when a supplier's address on the network changes.
    event SetUrl(address indexed supplier, string url);

    /// @notice Emitted when an owner bounds the bond its operator may put at risk for a session.
    event SetBondCap(address indexed supplier, uint96 bondCapPerSession);

    /// @notice Emitted when stake is added.
    event Stake(address indexed supplier, address indexed from, uint96 amount);

    /// @notice Emitted when stake starts to leave; it can be taken from `fromSession` on.
    event RequestUnstake(address indexed supplier, uint96 amount, uint256 fromSession);

    /// @notice Emitted when stake has left.
    event FinishUnstake(address indexed supplier, address indexed to, uint96 amount);

    /// @notice Emitted when an ask is posted, changed or renewed.
    event SetListing(bytes32 indexed service, address indexed supplier, uint64 unitPrice);

    /// @notice Emitted when an ask is withdrawn, or gives way to a supplier with more stake in a full list.
    event RemoveListing(bytes32 indexed service, address indexed supplier);

    /// @notice Emitted when a bond is lost to the application claimed against.
    event SlashBond(address indexed supplier, uint96 amount);

    /*//////////////////////////////////////////////////////////////////////////
                               STATE-CHANGING FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Lists a service; nothing about it changes afterwards.
    /// @dev Emits a {ListService} event. Requirements: the caller is `value.source`; the service is new; the
    /// source's share is at most 4000.
    /// @return service The service's ID.
    function listService(Service calldata value) external returns (bytes32 service);

    /// @notice Registers the caller as a gateway that signs with `signingKey` from the next session on.
    /// @dev Emits {SetGatewayKey} and {SetGatewayUrl}.
    function registerGateway(address signingKey, string calldata url) external;

    /// @notice Lets the calling gateway sign with `newKey` from the next session on.
    /// @dev Emits a {SetGatewayKey} event.
    function rotateGatewayKey(address newKey) external;

    /// @notice Changes where the calling gateway is reached.
    /// @dev Emits a {SetGatewayUrl} event.
    function setGatewayUrl(string calldata url) external;

    /// @notice Makes a supplier owned by the caller, operated by `operator` from the next session on.
    /// @dev Emits {RegisterSupplier}, {SetOperator}, {SetPayout}, {SetUrl} and {SetBondCap}.
    /// @return supplier The first 20 bytes of `keccak256(abi.encode(owner, salt))`.
    function registerSupplier(
        bytes32 salt,
        address operator,
        address payout,
        string calldata url,
        uint96 bondCapPerSession
    )
        external
        returns (address supplier);

    /// @notice Offers the supplier to `newOwner`, who takes it with {acceptSupplier}; zero takes the offer back.
    function offerSupplier(address supplier, address newOwner) external;

    /// @notice Takes over a supplier offered to the caller.
    function acceptSupplier(address supplier) external;

    /// @notice Sets the operator key, from the next session on. Requirement: the caller is the owner.
    function setOperator(address supplier, address operator) external;

    /// @notice Sets who receives payments, from now on. Requirement: the caller is the owner.
    function setPayout(address supplier, address payout) external;

    /// @notice Sets where the supplier is reached. Requirement: the caller is the owner or the operator.
    function setUrl(address supplier, string calldata url) external;

    /// @notice Bounds the bond at risk for one session, from now on. Requirement: the caller is the owner.
    function setBondCap(address supplier, uint96 bondCapPerSession) external;

    /// @notice Adds stake out of the caller's tokens (anyone may add).
    function stake(address supplier, uint96 amount) external;

    /// @notice Takes `amount` out of the stake. It counts for no roster built and no ask revealed from now on, backs
    /// claims until the last roster that may hold the supplier ends (that of the epoch after the next, which auctions
    /// take asks for), and can be taken three sessions later.
    /// Asking again adds to it and starts the wait anew.
    /// @dev Requirement: the caller is the owner.
    function requestUnstake(address supplier, uint96 amount) external;

    /// @notice Pays out what {requestUnstake} set aside, to the owner.
    /// @dev Requirements: the caller is the owner; the wait is over; no open claim's bond needs it.
    function finishUnstake(address supplier) external;

    /// @notice Posts, changes or renews an ask; it counts from the next roster on.
    /// @dev Requirements: the caller is the owner or the operator; the price is at least 1; the stake that is not
    /// leaving is at least the least; in a list of 256, some listing has less stake, and gives way.
    /// @param unitPrice Token base units per million compute units.
    function setListing(address supplier, bytes32 service, uint64 unitPrice) external;

    /// @notice Withdraws an ask; the roster of the running epoch stays as it is.
    /// @dev Requirement: the caller is the owner or the operator.
    function removeListing(address supplier, bytes32 service) external;

    /// @notice Reserves the bonds of claims for session `number`, within what {bondRoomOf} says. Only Claims.
    function reserveBonds(address supplier, uint64 number, uint96 amount) external;

    /// @notice Frees the bond of a paid claim and marks the listing active. Only Claims.
    /// @return payout Who receives the supplier's share.
    /// @return source Who receives the source's share, which is `sourceBps`.
    function releaseBond(
        address supplier,
        bytes32 service,
        uint96 amount
    )
        external
        returns (address payout, address source, uint16 sourceBps);

    /// @notice Takes the bond of a void claim and sends it to the escrow. Only Claims.
    function slashBond(address supplier, uint96 amount) external;

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice The numbers of the market.
    function parameters() external view returns (IParameters);

    /// @notice What is staked.
    function token() external view returns (IERC20);

    /// @notice The only contract that may reserve, release or slash bonds.
    function claims() external view returns (address);

    /// @notice Where slashed bonds go.
    function escrow() external view returns (address);

    /// @notice A service, or reverts where there is none.
    function serviceOf(bytes32 service) external view returns (Service memory);

    /// @notice Who earns which share of a service, and who publishes its rosters.
    function sharesOf(bytes32 service) external view returns (address source, uint16 sourceBps, address market);

    /// @notice The key a gateway signs with in session `number`; zero where there is none.
    function gatewayKeyAt(address gateway, uint256 number) external view returns (address);

    /// @notice Whether a gateway is registered.
    function isGateway(address gateway) external view returns (bool);

    /// @notice Where a gateway is reached.
    function gatewayUrl(address gateway) external view returns (string memory);

    /// @notice A supplier's account, or reverts where there is none.
    function supplierOf(address supplier) external view returns (Supplier memory);

    /// @notice The stake of a supplier that is not on its way out; zero where there is no such supplier.
    function lastingStakeOf(address supplier) external view returns (uint96);

    /// @notice Whether a supplier is registered.
    function isSupplier(address supplier) external view returns (bool);

    /// @notice The operator of a supplier in session `number`; zero where there is none.
    function operatorAt(address supplier, uint256 number) external view returns (address);

    /// @notice The bonds that `operator` may still reserve for claims of session `number`.
    /// @dev Requirement: `operator` is the supplier's operator of the current session.
    function bondRoomOf(address supplier, address operator, uint64 number) external view returns (BondRoom memory);

    /// @notice The ID of a supplier made by `owner` with `salt`.
    function computeSupplierId(address owner, bytes32 salt) external pure returns (address);

    /// @notice The ID of a service.
    function computeServiceId(Service calldata value) external pure returns (bytes32);

    /// @notice All asks for a service, at most 256.
    function listingsOf(bytes32 service) external view returns (Listing[] memory);

    /// @notice What a roster built now would hold: of the asks that are not idle and have the least stake, those
    /// with the most, at most the parameter `rosterMax`.
    function candidatesOf(bytes32 service) external view returns (RosterEntry[] memory);
}
