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

    /// @notice The price moved by a round: a step towards balance, none where demand equals supply, nor where the round
    /// could have been cleared and was not. The step is an eighth of the price times the relative imbalance, at least
    /// 1, and at most `fee / 2` of the price times the imbalance: what moves the price costs whoever buys it no less
    /// than it gains in a round, were all of the supply its own.
    /// @dev The side that is longer counts up to twice the other, so that of a demand that counts at least half is
    /// filled, and charged.
    function next(Round memory round, uint64 price, uint16 feeBps) internal pure returns (uint64) {
        (uint256 demand, uint256 supply) = (round.demand, round.supply);
        bool isAbandoned = !round.isCleared && demand != 0 && supply != 0;
        if (demand == supply || isAbandoned) return price;
        uint256 larger = demand > supply ? demand : supply;
        uint256 imbalance = larger - (demand > supply ? supply : demand);
        if (2 * imbalance > larger) (imbalance, larger) = (1, 2);
        uint256 step = price * imbalance / larger / STEP_DIVISOR;
        if (step == 0) step = 1;
        uint256 most = uint256(price) * feeBps * imbalance / (2 * BPS * larger);
        if (step > most) step = most;
        if (demand < supply) return price > step ? uint64(price - step) : 1;
        return price + step > type(uint64).max ? type(uint64).max : uint64(price + step);
    }
}
