// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Round } from "../types/AuctionTypes.sol";

/// @title PostedPrice
/// @notice How the posted price of a service follows its demand from round to round.
/// @dev Mirrors `pricing/epoch_auction.py` (`next_posted_price`, `reserve_at`).
library PostedPrice {
    uint256 private constant BPS = 10_000;

    /// @dev The largest step is an eighth of the price, as in EIP-1559.
    uint256 private constant STEP_DIVISOR = 8;

    /// @notice The most a supplier is paid for a unit: the posted price less the fee, rounded down.
    function reserve(uint64 price, uint16 feeBps) internal pure returns (uint64) {
        return uint64(uint256(price) * (BPS - feeBps) / BPS);
    }

    /// @notice The price after a round: a step towards balance, none where demand equals supply. The step is an
    /// eighth of the price times the relative imbalance, at least 1, and at most what leaves a supplier that buys
    /// its own volume a loss of half its fee, `fee / (2 * largest share)` of the price times the imbalance.
    function next(Round memory round, uint16 feeBps) internal pure returns (uint64) {
        (uint256 demand, uint256 supply, uint256 price) = (round.demand, round.supply, round.price);
        if (demand == supply) return round.price;
        uint256 larger = demand > supply ? demand : supply;
        uint256 imbalance = larger - (demand > supply ? supply : demand);
        uint256 step = price * imbalance / larger / STEP_DIVISOR;
        if (step == 0) step = 1;
        uint256 most = price * feeBps * imbalance / (2 * _largestShareBps(round) * larger);
        if (step > most) step = most;
        if (demand < supply) return price > step ? uint64(price - step) : 1;
        return price + step > type(uint64).max ? type(uint64).max : uint64(price + step);
    }

    /// @dev The largest ask's part of the supply, rounded up; all of it where there is none.
    function _largestShareBps(Round memory round) private pure returns (uint256) {
        if (round.supply == 0) return BPS;
        return (uint256(round.largestAsk) * BPS + round.supply - 1) / round.supply;
    }
}
