// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Errors
/// @notice Every custom error of the market, grouped by the contract that raises it.
/// @dev `contracts/errors.py` decodes them by selector. Those of a proof are the `ProofFault`s of Python.
library Errors {
    /*//////////////////////////////////////////////////////////////////////////
                                    PARAMETERS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Thrown when the clock's numbers do not fit together or to the history of block hashes.
    error Parameters_ClockInvalid();

    /// @notice Thrown when a value is out of its range.
    error Parameters_ValuesInvalid();

    /// @notice Thrown when values are scheduled too early, before others already scheduled, or too far ahead.
    error Parameters_EpochOutOfRange(uint256 fromEpoch, uint256 earliest, uint256 latest);

    /// @notice Thrown when the receiver of the protocol's shares is zero.
    error Parameters_TreasuryZero();

    /*//////////////////////////////////////////////////////////////////////////
                                     REGISTRY
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Thrown when the caller is not who the function is for.
    error Registry_NotAuthorized(address caller);

    /// @notice Thrown when a service is listed already.
    error Registry_ServiceExists(bytes32 service);

    /// @notice Thrown when there is no such service.
    error Registry_ServiceUnknown(bytes32 service);

    /// @notice Thrown when a source's share is above the most allowed.
    error Registry_SourceShareTooHigh(uint256 sourceBps, uint256 most);

    /// @notice Thrown when a gateway is registered already.
    error Registry_GatewayExists(address gateway);

    /// @notice Thrown when there is no such gateway.
    error Registry_GatewayUnknown(address gateway);

    /// @notice Thrown when a supplier with this owner and salt exists already.
    error Registry_SupplierExists(address supplier);

    /// @notice Thrown when there is no such supplier.
    error Registry_SupplierUnknown(address supplier);

    /// @notice Thrown when an address may not be zero.
    error Registry_AddressZero();

    /// @notice Thrown when an amount may not be zero.
    error Registry_AmountZero();

    /// @notice Thrown when more unreserved stake is asked for than there is.
    error Registry_StakeTooLow(uint256 free, uint256 asked);

    /// @notice Thrown when stake on its way out is taken too early, or there is none.
    error Registry_StillUnstaking(uint256 session, uint256 fromSession);

    /// @notice Thrown when a price is below 1.
    error Registry_PriceZero();

    /// @notice Thrown when a list is full of suppliers with no less stake.
    error Registry_ListFull(bytes32 service, uint256 leastStake);

    /// @notice Thrown when a supplier has no ask for the service.
    error Registry_NotListed(bytes32 service, address supplier);

    /// @notice Thrown when the bonds of a session would exceed the owner's bound.
    error Registry_BondCapExceeded(uint256 bonds, uint256 cap);

    /*//////////////////////////////////////////////////////////////////////////
                                      ESCROW
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Thrown when the caller is not Claims.
    error Escrow_NotAuthorized(address caller);

    /// @notice Thrown when an amount may not be zero.
    error Escrow_AmountZero();

    /// @notice Thrown when an application's funds or caps would be more than the escrow can count.
    error Escrow_AmountTooHigh(uint256 amount, uint256 most);

    /// @notice Thrown when more is asked for than there is.
    error Escrow_FundsTooLow(uint256 funds, uint256 asked);

    /// @notice Thrown when a withdrawal is taken too early, or there is none.
    error Escrow_StillPending(uint256 session, uint256 fromSession);

    /// @notice Thrown when a delegation names a gateway that is not registered.
    error Escrow_GatewayUnknown(address gateway);

    /// @notice Thrown when a delegation names a service that is not listed.
    error Escrow_ServiceUnknown(bytes32 service);

    /// @notice Thrown when a gateway's share is above the most allowed.
    error Escrow_FeeTooHigh(uint256 feeBps, uint256 most);

    /*//////////////////////////////////////////////////////////////////////////
                                     SESSIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Thrown when the chain has no EIP-2935 contract.
    error Sessions_HistoryMissing();

    /// @notice Thrown when a seed's block is not past, or forgotten.
    error Sessions_SeedUnavailable(uint256 number);

    /// @notice Thrown when a roster is set while the seed that draws from it may be known.
    error Sessions_RosterWindowClosed(uint256 session);

    /// @notice Thrown when a roster is set by one who may not set it.
    error Sessions_NotMarket(bytes32 service, address caller);

    /// @notice Thrown when a published roster is too long, unsorted, or holds an invalid entry.
    error Sessions_RosterInvalid(uint256 index);

    /// @notice Thrown when a session has not opened, is long over, opened paused, or is not covered.
    error Sessions_SessionInvalid(bytes32 sessionId);

    /// @notice Thrown when the draws do not make the supplier a member.
    error Sessions_NotMember(address supplier, uint256 draw);

    /*//////////////////////////////////////////////////////////////////////////
                                      CLAIMS
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Thrown when the contracts were not built to work with each other.
    error Claims_WiringInvalid();

    /// @notice Thrown when a session is claimed outside its window.
    error Claims_WindowClosed(uint256 number, uint256 current);

    /// @notice Thrown when a supplier has claimed the session before.
    error Claims_AlreadyClaimed(bytes32 claimId);

    /// @notice Thrown when the slot of a claim still holds the one of an earlier session.
    error Claims_Unsettled(uint256 number);

    /// @notice Thrown when a sum or count is zero, too large, or the count exceeds the sum.
    error Claims_SumOutOfRange(uint256 sum, uint256 count);

    /// @notice Thrown when a claim is worth nothing.
    error Claims_ValueZero();

    /// @notice Thrown when a claim is worth more than a member's slice.
    error Claims_OverSlice(uint256 value, uint256 slice);

    /// @notice Thrown when a bond is below the least for the claim's value.
    error Claims_BondTooLow(uint256 bond, uint256 least);

    /// @notice Thrown when there is no such open claim.
    error Claims_ClaimUnknown(bytes32 claimId);

    /// @notice Thrown when a proof comes before the challenge is known, or after the window.
    error Claims_ProofWindowClosed(uint256 number, uint256 current);

    /// @notice Thrown when a claim is settled before its challenge is known.
    error Claims_ChallengeUnknown(uint256 number);

    /// @notice Thrown when a claim is settled that must be, and still can be, proved.
    error Claims_ProofRequired(uint256 points);

    /*//////////////////////////////////////////////////////////////////////////
                                      PROOF
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Thrown when the number of opened leaves is not the number of challenge points.
    error Proof_WrongLeafCount(uint256 leaves, uint256 points);

    /// @notice Thrown when receipted units are zero or 2^63 and more.
    error Proof_UnitsOutOfRange(uint256 units);

    /// @notice Thrown when a relay is not payable under the session's threshold.
    error Proof_NotPayable(bytes32 receiptHash);

    /// @notice Thrown when siblings are not 48 bytes each, or more than 256.
    error Proof_MalformedSiblings(uint256 length);

    /// @notice Thrown when a sum or count on the way up does not fit 64 bits.
    error Proof_SumOverflow();

    /// @notice Thrown when the siblings do not lead to the claimed root.
    error Proof_RootMismatch(bytes32 digest, uint256 sum, uint256 count);

    /// @notice Thrown when the opened leaf does not cover the challenged point.
    error Proof_PointNotCovered(uint256 point, uint256 start, uint256 weight);

    /// @notice Thrown when a receipt's path to its batch is longer than 16.
    error Proof_PathMismatch(uint256 length);

    /// @notice Thrown when a batch is not signed by the gateway's key of the session.
    error Proof_BadBatchSignature(address signer);

    /*//////////////////////////////////////////////////////////////////////////
                                     AUCTION
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Thrown when the fee is zero or the whole price.
    error Auction_TermsInvalid();

    /// @notice Thrown when a service names another market, or its market is not open.
    error Auction_NotMarket(bytes32 service);

    /// @notice Thrown when the caller is not who the function is for.
    error Auction_NotAuthorized(address caller);

    /// @notice Thrown when a market is opened again.
    error Auction_MarketExists(bytes32 service);

    /// @notice Thrown when a market is opened at no price.
    error Auction_PriceZero();

    /// @notice Thrown when there is nothing to collect.
    error Auction_AmountZero();

    /// @notice Thrown when what depends on all sessions of an epoch is asked for before it is over.
    error Auction_EpochRunning(uint256 epoch);

    /// @notice Thrown when a round is asked for whose orders would be due before the clock began.
    error Auction_EpochOutOfRange(uint256 epoch);

    /// @notice Thrown when the next session opens paused.
    error Auction_Paused(uint256 session);

    /// @notice Thrown before block `from`, and from block `end` on.
    error Auction_WindowClosed(uint256 from, uint256 end);

    /// @notice Thrown when a trader has an order in the round.
    error Auction_OrderExists(address trader);

    /// @notice Thrown when there is no such order, or it does not stand where the call needs it.
    error Auction_OrderUnknown(address trader);

    /// @notice Thrown when less than the order bond is put down.
    error Auction_DepositTooLow(uint256 deposit, uint256 least);

    /// @notice Thrown when a book is full of suppliers with no less stake.
    error Auction_BookFull(uint256 leastStake);

    /// @notice Thrown when terms and salt are not those an order was sealed with.
    error Auction_SealMismatch(address trader);

    /// @notice Thrown when a price is zero, or a quantity zero or too large.
    error Auction_OrderInvalid(uint256 price, uint256 quantity);

    /// @notice Thrown when a round may still become a roster.
    error Auction_RoundRunning(bytes32 service, uint256 epoch);

    /// @notice Thrown when a round has become a roster.
    error Auction_RoundCleared(bytes32 service, uint256 epoch);

    /// @notice Thrown when a sender submits the same clearing again.
    error Auction_ClearingExists(bytes32 clearingId);

    /// @notice Thrown when there is no such clearing, or it is defeated or closed.
    error Auction_ClearingUnknown(bytes32 clearingId);

    /// @notice Thrown when a leaf is demanded twice.
    error Auction_DemandExists(address trader);

    /// @notice Thrown when a leaf was not demanded, or is shown already.
    error Auction_DemandUnknown(address trader);

    /// @notice Thrown when it is not decided yet who has the stake of a leaf that was shown.
    error Auction_ClearingStands(bytes32 clearingId);

    /// @notice Thrown when a clearing owes leaves that were demanded.
    error Auction_LeavesOwed(uint256 leaves);

    /// @notice Thrown when two leaves stand as their keys say.
    error Auction_InOrder(uint256 first, uint256 second);

    /// @notice Thrown when a clearing came to other entries.
    error Auction_EntriesMismatch(bytes32 clearingId);

    /// @notice Thrown when the number of sales is not that of the asks that meet the demand.
    error Clearing_WrongSaleCount(uint256 sales, uint256 sellers);

    /// @notice Thrown when sales are not strictly ascending by supplier.
    error Clearing_SaleOutOfOrder(uint256 index);

    /// @notice Thrown when a sale's ask stands behind the demand.
    error Clearing_NotSold(address supplier);

    /// @notice Thrown when no cover was given that covers the unit.
    error Clearing_NotCovered(uint256 unit);

    /// @notice Thrown when a clearing sells nothing.
    error Clearing_NothingSold();

    /// @notice Thrown when a payment is below the ask or above the reserve, as in no tree in order.
    error Clearing_PriceOutOfRange(uint256 unitPrice);

    /// @notice Thrown when an opening has more than 32 siblings.
    error Tree_TooDeep(uint256 depth);

    /// @notice Thrown when sums reach beyond their width, or a leaf beyond its root's.
    error Tree_SumsOutOfRange(uint256 sums);

    /// @notice Thrown when an opening does not lead to the root and its sums.
    error Tree_RootMismatch(bytes32 digest, uint256 sums);

    /// @notice Thrown when an opening turns otherwise than in the one tree of that many leaves.
    error Tree_ShapeMismatch(uint256 position);

    /*//////////////////////////////////////////////////////////////////////////
                                    TEST TOKEN
    //////////////////////////////////////////////////////////////////////////*/

    /// @notice Thrown when more test tokens are asked for than may be.
    error TestToken_SupplyTooHigh(uint256 supply, uint256 most);
}
