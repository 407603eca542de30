// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Opening, OrderTerms } from "../types/AuctionTypes.sol";
import { RosterEntry } from "../types/Types.sol";
import { Errors } from "./Errors.sol";
import { SortedSumTree } from "./SortedSumTree.sol";

/// @title Procurement
/// @notice The VCG procurement of a round's demand, verified with a few leaves of its asks.
/// @dev Mirrors `pricing/clearing_proof.py`. With `C(u)` the cost of the first u units by price, each beyond the end
/// at the reserve, a supplier of x of its q units at c is paid `C(demand + q) - C(demand) - (q - x) c`
/// (`pricing/vcg_procurement.py`).
library Procurement {
    /// @notice The accepted asks together, and what is asked of them.
    /// @param root The root of their tree.
    /// @param reserve The most a unit may cost.
    struct Book {
        bytes32 root;
        uint64 demand;
        uint64 reserve;
        uint32 asks;
        uint64 supply;
        uint128 cost;
    }

    /// @notice An ask and what stands before it.
    struct Ask {
        address supplier;
        uint64 price;
        uint32 quantity;
        SortedSumTree.Place place;
    }

    /// @notice An ask where its opening says it stands, or reverts where that does not lead to the root.
    function locate(
        Book memory book,
        address supplier,
        OrderTerms memory terms,
        Opening calldata opening
    )
        internal
        pure
        returns (Ask memory)
    {
        uint256 total = SortedSumTree.pack(book.asks, book.supply, book.cost);
        uint256 sums = SortedSumTree.pack(1, terms.quantity, uint128(terms.price) * terms.quantity);
        bytes32 key = SortedSumTree.askKey(terms.price, supplier);
        return Ask(supplier, terms.price, terms.quantity, SortedSumTree.place(book.root, total, key, sums, opening));
    }

    /// @notice The roster of the cheapest asks that meet the demand, or reverts with what is wrong.
    /// @param covering The asks that cover the demand's last unit (first), and each seller's capacity beyond it.
    /// @param selling Every ask that sells, strictly ascending by supplier.
    /// @param coverOf By seller, the place among the covering asks of the one that covers unit `demand + quantity`;
    /// unused beyond the supply.
    function verify(
        Book memory book,
        Ask[] memory covering,
        Ask[] memory selling,
        uint32[] memory coverOf
    )
        internal
        pure
        returns (RosterEntry[] memory entries)
    {
        uint256 sellers = _sellers(book, covering);
        if (selling.length != sellers) revert Errors.Clearing_WrongSaleCount(selling.length, sellers);
        if (sellers == 0) revert Errors.Clearing_NothingSold();
        entries = new RosterEntry[](sellers);

        uint256 atDemand = _costAt(book, covering, 0, book.demand);
        address before = address(0);
        for (uint256 i = 0; i < sellers; ++i) {
            Ask memory ask = selling[i];
            if (ask.supplier <= before) revert Errors.Clearing_SaleOutOfOrder(i);
            before = ask.supplier;
            uint256 displaced = _costAt(book, covering, coverOf[i], uint256(book.demand) + ask.quantity);
            entries[i] = _entry(book, ask, displaced, atDemand);
        }
    }

    /// @dev The roster's line of a seller, its price rounded down.
    function _entry(
        Book memory book,
        Ask memory ask,
        uint256 displaced,
        uint256 atDemand
    )
        private
        pure
        returns (RosterEntry memory)
    {
        if (ask.place.unitsBefore >= book.demand) revert Errors.Clearing_NotSold(ask.supplier);
        uint256 left = book.demand - ask.place.unitsBefore;
        uint256 units = ask.quantity < left ? ask.quantity : left;
        uint256 saved = atDemand + (ask.quantity - units) * ask.price;
        uint256 unitPrice = displaced < saved ? 0 : (displaced - saved) / units;

        // Check: at least the ask, at most the reserve. Payments of a tree in order are; so no tree makes a deficit.
        if (unitPrice < ask.price || unitPrice > book.reserve) revert Errors.Clearing_PriceOutOfRange(unitPrice);
        return RosterEntry(ask.supplier, uint64(unitPrice), uint32(units));
    }

    /// @dev How many asks sell: all up to the one that covers the demand's last unit.
    function _sellers(Book memory book, Ask[] memory covering) private pure returns (uint256) {
        if (book.demand == 0) return 0;
        if (book.demand >= book.supply) return book.asks;
        return uint256(_covering(covering, 0, book.demand).place.position) + 1;
    }

    /// @dev What the first `units` units cost.
    function _costAt(
        Book memory book,
        Ask[] memory covering,
        uint256 index,
        uint256 units
    )
        private
        pure
        returns (uint256)
    {
        if (units >= book.supply) return book.cost + (units - book.supply) * book.reserve;
        Ask memory ask = _covering(covering, index, units);
        return ask.place.costBefore + (units - ask.place.unitsBefore) * ask.price;
    }

    /// @dev The ask at `index`, which covers unit `unit`.
    function _covering(Ask[] memory covering, uint256 index, uint256 unit) private pure returns (Ask memory ask) {
        if (index >= covering.length) revert Errors.Clearing_NotCovered(unit);
        ask = covering[index];
        bool isCovered = ask.place.unitsBefore < unit && unit <= uint256(ask.place.unitsBefore) + ask.quantity;
        if (!isCovered) revert Errors.Clearing_NotCovered(unit);
    }
}
