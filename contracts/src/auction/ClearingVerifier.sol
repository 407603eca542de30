// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Procurement } from "../libraries/Procurement.sol";
import { Cover, OrderTerms, Sale } from "../types/AuctionTypes.sol";
import { RosterEntry } from "../types/Types.sol";

/// @title ClearingVerifier
/// @notice Says what the leaves of a clearing come to. It keeps nothing: {Auction} deploys one for itself, so that both
/// fit what EIP-170 allows a contract.
contract ClearingVerifier {
    /// @notice The roster that the leaves prove, or reverts with what is wrong.
    /// @param book The accepted asks together, as revealed.
    /// @param coverTerms What each covering ask says, as revealed.
    /// @param saleTerms What each selling ask says, as revealed.
    function verifyClearing(
        Procurement.Book memory book,
        Cover[] calldata covers,
        OrderTerms[] memory coverTerms,
        Sale[] calldata sales,
        OrderTerms[] memory saleTerms
    )
        external
        pure
        returns (RosterEntry[] memory)
    {
        Procurement.Ask[] memory covering = new Procurement.Ask[](covers.length);
        for (uint256 i = 0; i < covers.length; ++i) {
            covering[i] = Procurement.locate(book, covers[i].supplier, coverTerms[i], covers[i].opening);
        }
        Procurement.Ask[] memory selling = new Procurement.Ask[](sales.length);
        uint32[] memory coverOf = new uint32[](sales.length);
        for (uint256 i = 0; i < sales.length; ++i) {
            selling[i] = Procurement.locate(book, sales[i].supplier, saleTerms[i], sales[i].opening);
            coverOf[i] = sales[i].cover;
        }
        return Procurement.verify(book, covering, selling, coverOf);
    }
}
