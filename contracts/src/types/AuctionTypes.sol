// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Which way an order trades.
enum Side {
    ASK,
    BID
}

/// @notice Where an order stands. A closed one has nothing left in the contract, and takes part no more.
enum OrderState {
    NONE,
    SEALED,
    OPEN,
    CLOSED
}

/// @notice Numbers of an auction contract that never change.
/// @param orderBond What every order puts down, and loses where it is not revealed, in token base units.
/// @param clearingBond What whoever submits a clearing puts down, and loses where it is defeated.
/// @param leafStake What demanding a leaf costs where it is shown: it goes to whoever shows it.
/// @param feeBps The least part of the posted price that reaches no supplier, in 1/10000.
/// @param clearerBps The part of a round's charges that goes to whoever cleared it, in 1/10000.
struct AuctionTerms {
    uint88 orderBond;
    uint88 clearingBond;
    uint88 leafStake;
    uint16 feeBps;
    uint16 clearerBps;
}

/// @notice Who trades in which round.
/// @param service What is traded.
/// @param epoch The epoch whose sessions the round fills.
/// @param trader The supplier of an ask, the application of a bid.
struct OrderKey {
    bytes32 service;
    uint64 epoch;
    Side side;
    address trader;
}

/// @notice What a sealed order says once it is revealed.
/// @param price The least a supplier takes, the most an application pays, for a unit; a unit is a million CU.
/// @param quantity Units, at least 1.
/// @param gateway The gateway an application goes through; zero for an ask.
struct OrderTerms {
    uint64 price;
    uint32 quantity;
    address gateway;
}

/// @notice An order as kept.
/// @param content The seal, then the packed terms.
/// @param payer Who put down the deposit, and gets it back.
/// @param deposit What is down; of a settled bid its charge, until what of it was paused is refunded.
struct Order {
    bytes32 content;
    address payer;
    uint88 deposit;
    OrderState state;
}

/// @notice The blocks a round's steps are bounded by; each is the first one of what follows it.
/// @param commitFrom Sealed orders are taken.
/// @param revealFrom They are opened.
/// @param revealEnd Whatever is sealed still is forfeited.
/// @param clearFrom The seed is known: clearings are taken.
/// @param clearEnd No more clearings.
/// @param demandEnd No more demands for leaves.
/// @param answerEnd No more answers to any of them; each has half a step from its own block.
/// @param publishFrom A clearing that nobody defeated may become the roster.
/// @param publishEnd The epoch's roster is fixed, cleared or inherited.
struct Windows {
    uint256 commitFrom;
    uint256 revealFrom;
    uint256 revealEnd;
    uint256 clearFrom;
    uint256 clearEnd;
    uint256 demandEnd;
    uint256 answerEnd;
    uint256 publishFrom;
    uint256 publishEnd;
}

/// @notice What a round comes to.
/// @param price The posted price of a unit: all an application pays.
/// @param supply Units revealed at asks that the reserve accepts.
/// @param demand Units revealed at bids of the posted price and more.
/// @param asks How many asks that is.
/// @param bids How many bids that is.
/// @param cost The sum of those asks' prices times quantities.
/// @param procured Units bought, once cleared.
/// @param isCleared Whether a clearing has become the roster.
/// @param paid What the procured units cost at the roster's prices.
/// @param submitter Whose clearing it was.
/// @param charges What settled bids were charged, and nobody was credited with yet.
/// @param bidsRoot The root of the bids in public order, once cleared.
struct Round {
    uint64 price;
    uint64 supply;
    uint64 demand;
    uint32 asks;
    uint32 bids;
    uint128 cost;
    uint64 procured;
    bool isCleared;
    uint96 paid;
    address submitter;
    uint96 charges;
    bytes32 bidsRoot;
}

/// @notice What names a clearing; its ID is the hash of the ABI encoding.
/// @param asksRoot The root of the accepted asks by price; zero where there are none.
/// @param bidsRoot The root of the accepted bids in public order; zero where there are none.
struct ClearingKey {
    bytes32 service;
    uint64 epoch;
    address submitter;
    bytes32 asksRoot;
    bytes32 bidsRoot;
}

/// @notice A clearing as kept.
/// @param entriesHash The hash of the roster it comes to; zero where there is no such clearing, or no more.
/// @param owed Leaves that were demanded and not shown yet.
/// @param isDefeated Whether it was.
struct Clearing {
    bytes32 entriesHash;
    uint32 owed;
    bool isDefeated;
}

/// @notice A leaf that was demanded of a clearing.
/// @param dueBlock From which on the clearing is defeated where the leaf was not shown.
/// @param shower Who showed it; zero while nobody has.
struct Demand {
    address demander;
    uint64 dueBlock;
    address shower;
}

/// @notice A node beside the way from a leaf to the root; `sums` as {SortedSumTree} packs them.
struct Sibling {
    bytes32 digest;
    uint256 sums;
}

/// @notice The way from a leaf up.
/// @param lefts Bit i says that sibling i, from the leaf up, stands on the left.
struct Opening {
    uint32 lefts;
    Sibling[] siblings;
}

/// @notice An ask that covers a unit the payments need the cost of.
struct Cover {
    address supplier;
    Opening opening;
}

/// @notice A supplier that sells.
/// @param cover The place among the covers of the ask that covers unit `demand + quantity`; unused beyond the supply.
struct Sale {
    address supplier;
    uint32 cover;
    Opening opening;
}
