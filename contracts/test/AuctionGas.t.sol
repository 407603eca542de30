// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { OrderKey, Side, Windows } from "../src/types/AuctionTypes.sol";
import { ParameterValues } from "../src/types/Types.sol";
import { AuctionMarket } from "./utils/AuctionMarket.sol";
import { Lot, Trees } from "./utils/Trees.sol";

/// @notice What a round costs each of its traders, calldata included, each slot cold at first.
contract AuctionGasTest is AuctionMarket {
    uint64 internal constant EPOCH = 2;
    uint256 internal constant TRADERS = 50;

    Lot[] internal asks;
    Lot[] internal bids;
    Windows internal windows;

    /// @dev Fifty a side; the demand is about half of the supply. The last of each are what is measured.
    function setUp() public {
        deployAuction();
        windows = auction.windowsOf(EPOCH);
        for (uint160 i = 0; i < TRADERS; ++i) {
            address owner = address(0x5000 + i);
            asks.push(Lot(addSupplier(owner, 1000e6), uint64(400 + 11 * i), uint32(3 + i % 4)));
            bids.push(Lot(address(0xA000 + i), uint64(FIRST_PRICE + i), uint32(2 + i % 2)));
            if (i == TRADERS - 1) continue;
            commitAsk(EPOCH, owner, asks[i].trader, asks[i].price, asks[i].quantity);
            commitBid(EPOCH, bids[i].trader, bids[i].price, bids[i].quantity);
        }
    }

    function parameterValues() internal pure override returns (ParameterValues memory values) {
        values = super.parameterValues();
        values.rosterMax = 64;
    }

    /// forge-config: default.isolate = true
    function test_Gas_Round() public {
        OrderKey memory ask = orderKey(EPOCH, Side.ASK, asks[TRADERS - 1].trader);
        OrderKey memory bid = orderKey(EPOCH, Side.BID, bids[TRADERS - 1].trader);
        snap("commit, an ask", commitLast(ask, address(uint160(0x5000 + TRADERS - 1)), asks[TRADERS - 1]));
        snap("commit, a bid", commitLast(bid, bids[TRADERS - 1].trader, bids[TRADERS - 1]));

        rollTo(windows.revealFrom);
        for (uint256 i = 0; i < TRADERS - 1; ++i) {
            reveal(EPOCH, Side.ASK, asks[i]);
            reveal(EPOCH, Side.BID, bids[i]);
        }
        snap("reveal, an ask", revealLast(ask, asks[TRADERS - 1]));
        snap("reveal, a bid", revealLast(bid, bids[TRADERS - 1]));

        rollTo(windows.clearFrom);
        Lot[] memory askLine = asks;
        Lot[] memory bidLine = bids;
        Trees.sortAsks(askLine);
        Trees.sortBids(bidLine, auction.drawSeedOf(traded, EPOCH));
        Plan memory plan = planOf(EPOCH, askLine, bidLine);
        pay(submitter, CLEARING_BOND);
        uint256 used = measure(
            address(auction), submitter, abi.encodeCall(auction.submitClearing, (plan.key, plan.covers, plan.sales))
        );
        snap("clearing, each seller of 28", used / plan.sales.length);
        vm.assertEq(plan.sales.length, 28);
        pay(submitter, LEAF_STAKE);
        snap(
            "demand a leaf",
            measure(
                address(auction), submitter, abi.encodeCall(auction.demandLeaf, (plan.key, Side.ASK, askLine[7].trader))
            )
        );
        used = measure(
            address(auction),
            submitter,
            abi.encodeCall(auction.showLeaf, (plan.key, Side.ASK, askLine[7].trader, askOpening(askLine, 7)))
        );
        snap("show a leaf of 50", used);

        rollTo(windows.publishFrom);
        used = measure(address(auction), submitter, abi.encodeCall(auction.publish, (plan.key, plan.entries)));
        snap("publish, each seller of 28", used / plan.sales.length);
        used = measure(
            address(auction), submitter, abi.encodeCall(auction.settleBid, (traded, EPOCH, bid.trader, noOpening()))
        );
        snap("settle a bid", used);
    }

    function commitLast(OrderKey memory key, address payer, Lot memory lot) internal returns (uint256) {
        pay(payer, ORDER_BOND);
        bytes32 seal = auction.sealOf(key, termsOf(key.side, lot.price, lot.quantity), ORDER_SALT);
        return measure(address(auction), payer, abi.encodeCall(auction.commit, (key, seal, ORDER_BOND)));
    }

    function revealLast(OrderKey memory key, Lot memory lot) internal returns (uint256) {
        return measure(
            address(auction),
            submitter,
            abi.encodeCall(auction.reveal, (key, termsOf(key.side, lot.price, lot.quantity), ORDER_SALT))
        );
    }

    function snap(string memory name, uint256 used) internal {
        vm.snapshotValue("Auction", name, used);
    }
}
