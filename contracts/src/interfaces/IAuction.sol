// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {
    AuctionTerms,
    Clearing,
    ClearingKey,
    Cover,
    Opening,
    Order,
    OrderKey,
    OrderTerms,
    Round,
    Sale,
    Side,
    Windows
} from "../types/AuctionTypes.sol";
import { RosterEntry } from "../types/Types.sol";
import { IParameters } from "./IParameters.sol";
import { IRegistry } from "./IRegistry.sol";
import { ISessions } from "./ISessions.sol";

/// @title IAuction
/// @notice The market of services that name it: sealed asks and bids of an epoch become the roster it is served by.
///
/// A posted price is known before the orders are. Who bids at least that is in; the demand is procured by VCG with
/// the price, less a fee, as the reserve; what was procured goes to the bidders in a public random order.
///
/// Orders of epoch e are committed and revealed in e-2, but for its last session, whose seed makes the public order.
/// From then on clearings are taken, each with a bond. The contract verifies one with a few leaves of a sum tree of
/// the asks. What it cannot see from those is whether every revealed order is in the tree, and in order. Anyone may
/// demand a leaf, which the clearing has to show, or show two leaves that stand the wrong way round; either way its
/// bond is lost. The first clearing published that nobody defeated is the roster of e; without one, the roster is
/// inherited without allotments, so that nobody is served, and everybody has everything back.
interface IAuction {
    /*//////////////////////////////////////////////////////////////////////////
                                       EVENTS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Emitted when a service's market opens.
    event OpenMarket(bytes32 indexed service, uint64 price);

    /// @notice Emitted when the first order of a round is committed.
    event OpenRound(bytes32 indexed service, uint64 indexed epoch, uint64 price);

    /// @notice Emitted when a sealed order is taken.
    event Commit(
        bytes32 indexed service, uint64 indexed epoch, address indexed trader, Side side, bytes32 seal, uint88 deposit
    );

    /// @notice Emitted when a supplier with more stake takes the place of another in a full book.
    event Evict(bytes32 indexed service, uint64 indexed epoch, address indexed supplier);

    /// @notice Emitted when an order is opened; one that does not accept the posted price takes part no more.
    event Reveal(
        bytes32 indexed service, uint64 indexed epoch, address indexed trader, Side side, OrderTerms terms, bool isIn
    );

    /// @notice Emitted when an order that nobody revealed loses its bond.
    event Forfeit(bytes32 indexed service, uint64 indexed epoch, address indexed trader, Side side, uint88 bond);

    /// @notice Emitted when a clearing is taken.
    event SubmitClearing(bytes32 indexed clearingId, ClearingKey clearing, RosterEntry[] entries);

    /// @notice Emitted when a clearing is asked for the leaf of an order.
    event DemandLeaf(bytes32 indexed clearingId, Side side, address indexed trader, address indexed demander);

    /// @notice Emitted when the leaf is shown.
    event ShowLeaf(bytes32 indexed clearingId, Side side, address indexed trader, Opening opening);

    /// @notice Emitted when a clearing is defeated; half its bond goes to who did it.
    event DefeatClearing(bytes32 indexed clearingId, address indexed winner);

    /// @notice Emitted when a clearing becomes the roster.
    event Clear(bytes32 indexed service, uint64 indexed epoch, bytes32 clearingId, uint64 procured, uint96 paid);

    /// @notice Emitted when a bid is settled.
    /// @param units What it got.
    /// @param charge What it paid at once; the rest of the posted price is paid by its sessions' claims.
    /// @param capMax The most of its delegation's cap that counts in each session of the epoch.
    event SettleBid(
        bytes32 indexed service,
        uint64 indexed epoch,
        address indexed application,
        uint32 units,
        uint96 charge,
        uint96 capMax
    );

    /// @notice Emitted when a settled bid has what it was charged for paused sessions back.
    event RefundPaused(bytes32 indexed service, uint64 indexed epoch, address indexed application, uint96 amount);

    /// @notice Emitted when a round's charges are credited: to who cleared it, and to the treasury.
    event PayCharges(
        bytes32 indexed service, uint64 indexed epoch, address indexed submitter, uint96 reward, uint96 rest
    );

    /// @notice Emitted when a payee's balance is paid out.
    event Collect(address indexed payee, uint96 amount);

    /*//////////////////////////////////////////////////////////////////////////
                               STATE-CHANGING FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Opens the market of a service at a price, once. Requirement: the caller is its source.
    function openMarket(bytes32 service, uint64 price) external;

    /// @notice Takes a sealed order, one a trader and round, and its deposit out of the caller's tokens.
    /// @dev Emits a {Commit} event. Requirements: the window is open, nothing paused; the deposit is at least the
    /// order bond, and that of a bid at least the posted price times its quantity. A supplier's owner or operator
    /// commits for it; it has the least stake and, in a full book, more than some other. An application commits
    /// for itself.
    /// @param seal {sealOf} the terms and a salt.
    function commit(OrderKey calldata key, bytes32 seal, uint88 deposit) external;

    /// @notice Opens an order (anyone who knows its terms and salt may call).
    /// @dev Emits a {Reveal} event. An ask's deposit goes back at once, and so does that of a bid below the price.
    /// Requirement: the supplier's lasting stake, over all its asks for the epoch, is at least the bonds that the claims
    /// of three sessions need, were all its units sold at the reserve.
    function reveal(OrderKey calldata key, OrderTerms calldata terms, bytes32 salt) external;

    /// @notice Takes the bond of an order that was not revealed in time, and gives the rest back (anyone may call).
    /// @dev Emits a {Forfeit} event.
    function forfeit(OrderKey calldata key) external;

    /// @notice Proposes what a round clears to, with a bond (anyone may call, in their own name).
    /// @dev Emits a {SubmitClearing} event. Requirement: something is sold.
    /// @param covers The asks that cover the demand's last unit (first) and those each supplier's capacity beyond it.
    /// @param sales Every supplier that sells, strictly ascending.
    function submitClearing(
        ClearingKey calldata key,
        Cover[] calldata covers,
        Sale[] calldata sales
    )
        external
        returns (bytes32 clearingId);

    /// @notice Asks a clearing to show the leaf of an order that is in, which costs the stake if it does and stands.
    /// @dev Emits a {DemandLeaf} event.
    function demandLeaf(ClearingKey calldata clearing, Side side, address trader) external;

    /// @notice Shows a leaf that was demanded, for the demander's stake where the clearing stands (anyone may call).
    /// @dev Emits a {ShowLeaf} event. Requirement: half a step has not gone by since the demand.
    function showLeaf(ClearingKey calldata clearing, Side side, address trader, Opening calldata opening) external;

    /// @notice Ends a demand: defeats the clearing where the leaf was not shown in time, for the demander. The stake goes
    /// back where the clearing is defeated, whatever by; else, once its bond is free, to whoever showed the leaf.
    /// @dev Emits a {DefeatClearing} event where this defeats the clearing.
    function endDemand(ClearingKey calldata clearing, Side side, address trader) external;

    /// @notice Defeats a clearing by two leaves that stand the wrong way round, or one that stands in two places.
    /// @dev Emits a {DefeatClearing} event. Requirement: by its key `first` comes before `second`, or is the same, and
    /// by its opening it stands behind it.
    function proveDisorder(
        ClearingKey calldata clearing,
        Side side,
        address first,
        Opening calldata firstOpening,
        address second,
        Opening calldata secondOpening
    )
        external;

    /// @notice Makes a clearing that nobody defeated the roster of its epoch (anyone may call).
    /// @dev Emits a {Clear} event. Requirements: no leaf is owed; nothing is paused.
    function publish(ClearingKey calldata clearing, RosterEntry[] calldata entries) external;

    /// @notice Gives the bond of a clearing back that was neither defeated nor published, once the round is over.
    function releaseBond(ClearingKey calldata clearing) external;

    /// @notice Settles a bid once the round is over, and lets it use what it got (anyone may call).
    /// @dev Emits a {SettleBid} event.
    /// @param opening Its leaf among the bids; unused where all of the demand was procured, or nothing was cleared.
    function settleBid(bytes32 service, uint64 epoch, address application, Opening calldata opening) external;

    /// @notice Closes the caller's bid without its leaf, charged for all it asked for and allotted nothing: the way
    /// out where a clearing was published that does not hold the bid, and nobody demanded its leaf in time.
    /// @dev Emits a {SettleBid} event.
    function waiveBid(bytes32 service, uint64 epoch) external;

    /// @notice Refunds what of a settled bid's charge is for sessions that a pause kept shut, once the epoch is over.
    /// @dev Emits a {RefundPaused} event.
    function refundPaused(bytes32 service, uint64 epoch, address application) external;

    /// @notice Credits a round's charges so far to who cleared it and the treasury, once the epoch is over.
    /// @dev Emits a {PayCharges} event.
    function payCharges(bytes32 service, uint64 epoch) external;

    /// @notice Pays out what `payee` has coming (anyone may call).
    /// @dev Emits a {Collect} event.
    function collectFor(address payee) external;

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Where rosters are published.
    function sessions() external view returns (ISessions);

    /// @notice The numbers of the market.
    function parameters() external view returns (IParameters);

    /// @notice Who may trade.
    function registry() external view returns (IRegistry);

    /// @notice What is paid in.
    function token() external view returns (IERC20);

    /// @notice The numbers of this contract.
    function terms() external view returns (AuctionTerms memory);

    /// @notice What `payee` can collect.
    function claimableOf(address payee) external view returns (uint96);

    /// @notice The blocks that bound the steps of a round. Requirement: the epoch is 2 or later.
    function windowsOf(uint64 epoch) external view returns (Windows memory);

    /// @notice A round as far as it has come; its price is what it will be, or is, as soon as that is known.
    function roundOf(bytes32 service, uint64 epoch) external view returns (Round memory);

    /// @notice The suppliers whose asks are in the book of a round, revealed or not.
    function suppliersOf(bytes32 service, uint64 epoch) external view returns (address[] memory);

    /// @notice An order as kept.
    function orderOf(OrderKey calldata key) external view returns (Order memory);

    /// @notice A clearing as kept.
    function clearingOf(ClearingKey calldata clearing) external view returns (Clearing memory);

    /// @notice The seed of a round's public order; zero while it cannot be known.
    function drawSeedOf(bytes32 service, uint64 epoch) external view returns (bytes32);

    /// @notice What an order is committed as: the hash of chain, contract, order, terms and salt.
    function sealOf(OrderKey calldata key, OrderTerms calldata terms, bytes32 salt) external view returns (bytes32);
}
