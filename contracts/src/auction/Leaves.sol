// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Errors } from "../libraries/Errors.sol";
import { PostedPrice } from "../libraries/PostedPrice.sol";
import { Procurement } from "../libraries/Procurement.sol";
import { SortedSumTree } from "../libraries/SortedSumTree.sol";
import {
    ClearingKey,
    Cover,
    Opening,
    Order,
    OrderKey,
    OrderState,
    OrderTerms,
    Round,
    Sale,
    Side
} from "../types/AuctionTypes.sol";
import { RosterEntry } from "../types/Types.sol";
import { ClearingVerifier } from "./ClearingVerifier.sol";
import { Orders } from "./Orders.sol";

/// @title Leaves
/// @notice The part of {Auction} that makes the leaves of a clearing's trees out of the revealed orders, and opens
/// them: nothing that was not revealed opens.
abstract contract Leaves is Orders {
    ClearingVerifier private immutable VERIFIER = new ClearingVerifier();

    /// @dev The roster that the leaves of a clearing prove, or reverts.
    function _entriesOf(
        ClearingKey calldata key,
        Cover[] calldata covers,
        Sale[] calldata sales
    )
        internal
        view
        returns (RosterEntry[] memory)
    {
        OrderTerms[] memory coverTerms = new OrderTerms[](covers.length);
        for (uint256 i = 0; i < covers.length; ++i) {
            coverTerms[i] = _openTerms(key, Side.ASK, covers[i].supplier);
        }
        OrderTerms[] memory saleTerms = new OrderTerms[](sales.length);
        for (uint256 i = 0; i < sales.length; ++i) {
            saleTerms[i] = _openTerms(key, Side.ASK, sales[i].supplier);
        }
        return VERIFIER.verifyClearing(_book(key), covers, coverTerms, sales, saleTerms);
    }

    /// @dev What is verified against: the orders as revealed, never what a submitter says of them.
    function _book(ClearingKey memory key) private view returns (Procurement.Book memory) {
        Round storage round = _rounds[_roundId(key.service, key.epoch)];
        return Procurement.Book({
            root: key.asksRoot,
            demand: round.demand,
            reserve: PostedPrice.reserve(round.price, FEE_BPS),
            asks: round.asks,
            supply: round.supply,
            cost: round.cost
        });
    }

    /// @dev Where an order's leaf stands in a clearing's tree, and the key that says where it should.
    function _place(
        ClearingKey calldata key,
        Side side,
        address trader,
        Opening calldata opening
    )
        internal
        view
        returns (bytes32 leafKey, uint32 position)
    {
        OrderTerms memory found = _openTerms(key, side, trader);
        Round storage round = _rounds[_roundId(key.service, key.epoch)];
        bool isAsk = side == Side.ASK;
        leafKey = isAsk
            ? SortedSumTree.askKey(found.price, trader)
            : SortedSumTree.bidKey(drawSeedOf(key.service, key.epoch), trader);
        uint256 sums = SortedSumTree.pack(1, found.quantity, isAsk ? uint128(found.price) * found.quantity : 0);
        uint256 total = isAsk
            ? SortedSumTree.pack(round.asks, round.supply, round.cost)
            : SortedSumTree.pack(round.bids, round.demand, 0);
        position = SortedSumTree.place(isAsk ? key.asksRoot : key.bidsRoot, total, leafKey, sums, opening).position;
    }

    /// @dev The terms of an order that is in, or reverts.
    function _openTerms(ClearingKey calldata key, Side side, address trader) internal view returns (OrderTerms memory) {
        Order storage order = _orders[_orderId(OrderKey(key.service, key.epoch, side, trader))];
        if (order.state != OrderState.OPEN) revert Errors.Auction_OrderUnknown(trader);
        return _unpack(order.content);
    }
}
