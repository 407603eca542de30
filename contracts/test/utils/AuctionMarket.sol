// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IAuction } from "../../src/interfaces/IAuction.sol";
import {
    AuctionTerms,
    ClearingKey,
    Cover,
    Opening,
    OrderKey,
    OrderTerms,
    Round,
    Sale,
    Side
} from "../../src/types/AuctionTypes.sol";
import { RosterEntry } from "../../src/types/Types.sol";
import { Market } from "./Market.sol";
import { Lot, Trees } from "./Trees.sol";

/// @notice A market with a service whose rosters come from the auction, and hands to trade in it.
abstract contract AuctionMarket is Market {
    uint64 internal constant FIRST_PRICE = 1000;
    uint88 internal constant ORDER_BOND = 1e6;
    uint88 internal constant CLEARING_BOND = 50e6 + 1;
    uint88 internal constant LEAF_STAKE = 2e6;
    uint16 internal constant FEE_BPS = 100;
    uint16 internal constant CLEARER_BPS = 1000;
    uint64 internal constant RESERVE = 990;
    bytes32 internal constant ORDER_SALT = keccak256("order");
    address internal submitter = address(0xC1EA);

    IAuction internal auction;
    bytes32 internal traded;

    /// @dev What a clearing is submitted and published with.
    struct Plan {
        ClearingKey key;
        Cover[] covers;
        Sale[] sales;
        RosterEntry[] entries;
    }

    function deployAuction() internal {
        deployMarket();
        auction = newAuction(AuctionTerms(ORDER_BOND, CLEARING_BOND, LEAF_STAKE, FEE_BPS, CLEARER_BPS));
        traded = listService("traded", address(auction));
        vm.prank(source);
        auction.openMarket(traded, FIRST_PRICE);
    }

    /// @dev From its artifact, so that it alone is compiled for size.
    function newAuction(AuctionTerms memory terms) internal returns (IAuction made) {
        bytes memory code = abi.encodePacked(vm.getCode("Auction.sol:Auction"), abi.encode(sessions, terms));
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
            if iszero(made) {
                returndatacopy(code, 0, returndatasize())
                revert(code, returndatasize())
            }
        }
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       TRADING
    //////////////////////////////////////////////////////////////////////////*/

    function pay(address payer, uint256 amount) internal {
        token.mint(payer, amount);
        vm.prank(payer);
        token.approve(address(auction), type(uint256).max);
    }

    function orderKey(uint64 epoch, Side side, address trader) internal view returns (OrderKey memory) {
        return OrderKey(traded, epoch, side, trader);
    }

    function termsOf(Side side, uint64 price, uint32 quantity) internal view returns (OrderTerms memory) {
        return OrderTerms(price, quantity, side == Side.BID ? gateway : address(0));
    }

    function commitAsk(uint64 epoch, address owner, address supplier, uint64 price, uint32 quantity) internal {
        pay(owner, ORDER_BOND);
        OrderKey memory key = orderKey(epoch, Side.ASK, supplier);
        bytes32 seal = auction.sealOf(key, termsOf(Side.ASK, price, quantity), ORDER_SALT);
        vm.prank(owner);
        auction.commit(key, seal, ORDER_BOND);
    }

    function commitBid(uint64 epoch, address application, uint64 price, uint32 quantity) internal {
        uint256 most = uint256(auction.roundOf(traded, epoch).price) * quantity;
        uint88 deposit = most < ORDER_BOND ? ORDER_BOND : uint88(most);
        pay(application, deposit);
        OrderKey memory key = orderKey(epoch, Side.BID, application);
        bytes32 seal = auction.sealOf(key, termsOf(Side.BID, price, quantity), ORDER_SALT);
        vm.prank(application);
        auction.commit(key, seal, deposit);
    }

    function reveal(uint64 epoch, Side side, Lot memory lot) internal {
        auction.reveal(orderKey(epoch, side, lot.trader), termsOf(side, lot.price, lot.quantity), ORDER_SALT);
    }

    /// @dev To a block, seeds on the way included.
    function rollTo(uint256 target) internal {
        goTo((target - GENESIS) / SESSION_BLOCKS, (target - GENESIS) % SESSION_BLOCKS);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                      CLEARING
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev The clearing of accepted orders as they stand in the lines given.
    function planOf(uint64 epoch, Lot[] memory asks, Lot[] memory bids) internal view returns (Plan memory plan) {
        (bytes32[] memory keys, uint256[] memory sums) = Trees.bidLeaves(bids, auction.drawSeedOf(traded, epoch));
        plan.key = ClearingKey(traded, epoch, submitter, 0, Trees.root(keys, sums));
        (keys, sums) = Trees.askLeaves(asks);
        plan.key.asksRoot = Trees.root(keys, sums);
        Round memory round = auction.roundOf(traded, epoch);
        if (round.demand == 0 || asks.length == 0) return plan;

        uint256 sellers = round.demand < round.supply ? placeOf(asks, round.demand) + 1 : asks.length;
        plan.covers = new Cover[](sellers + 1);
        plan.sales = new Sale[](sellers);
        plan.entries = new RosterEntry[](sellers);
        plan.covers[0] = coverOf(asks, round.demand < round.supply ? placeOf(asks, round.demand) : 0);
        uint256 before = 0;
        for (uint256 i = 0; i < sellers; ++i) {
            uint256 beyond = uint256(round.demand) + asks[i].quantity;
            plan.covers[i + 1] = coverOf(asks, beyond < round.supply ? placeOf(asks, beyond) : 0);
            plan.sales[i] = Sale(asks[i].trader, uint32(i + 1), Trees.open(keys, sums, i));
            plan.entries[i] = entryOf(asks, round, i, before);
            before += asks[i].quantity;
        }
        sortSales(plan);
    }

    function coverOf(Lot[] memory asks, uint256 place) internal pure returns (Cover memory) {
        (bytes32[] memory keys, uint256[] memory sums) = Trees.askLeaves(asks);
        return Cover(asks[place].trader, Trees.open(keys, sums, place));
    }

    /// @dev What a seller is paid by the definition of VCG, for a unit, rounded down.
    function entryOf(
        Lot[] memory asks,
        Round memory round,
        uint256 place,
        uint256 before
    )
        internal
        view
        returns (RosterEntry memory)
    {
        uint256 reserve = uint256(round.price) * (10_000 - auction.terms().feeBps) / 10_000;
        uint256 left = round.demand - before;
        uint256 units = asks[place].quantity < left ? asks[place].quantity : left;
        uint256 without = Trees.costWithout(asks, round.demand, reserve, place);
        uint256 others = Trees.costWithout(asks, round.demand, reserve, asks.length) - units * asks[place].price;
        return RosterEntry(asks[place].trader, uint64((without - others) / units), uint32(units));
    }

    /// @dev The first place at which the line reaches `unit`.
    function placeOf(Lot[] memory asks, uint256 unit) internal pure returns (uint256 place) {
        uint256 reached = asks[0].quantity;
        while (reached < unit) {
            reached += asks[++place].quantity;
        }
    }

    function sortSales(Plan memory plan) internal pure {
        for (uint256 i = 1; i < plan.sales.length; ++i) {
            for (uint256 j = i; j > 0 && plan.sales[j].supplier < plan.sales[j - 1].supplier; --j) {
                (plan.sales[j], plan.sales[j - 1]) = (plan.sales[j - 1], plan.sales[j]);
                (plan.entries[j], plan.entries[j - 1]) = (plan.entries[j - 1], plan.entries[j]);
            }
        }
    }

    function submitPlan(Plan memory plan) internal {
        pay(plan.key.submitter, CLEARING_BOND);
        vm.prank(plan.key.submitter);
        auction.submitClearing(plan.key, plan.covers, plan.sales);
    }

    function askOpening(Lot[] memory asks, uint256 place) internal pure returns (Opening memory) {
        (bytes32[] memory keys, uint256[] memory sums) = Trees.askLeaves(asks);
        return Trees.open(keys, sums, place);
    }

    function bidOpening(uint64 epoch, Lot[] memory bids, uint256 place) internal view returns (Opening memory) {
        (bytes32[] memory keys, uint256[] memory sums) = Trees.bidLeaves(bids, auction.drawSeedOf(traded, epoch));
        return Trees.open(keys, sums, place);
    }

    function noOpening() internal pure returns (Opening memory opening) { }
}
