// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IAuction } from "../src/interfaces/IAuction.sol";
import { Errors } from "../src/libraries/Errors.sol";
import {
    AuctionTerms,
    ClearingKey,
    Cover,
    Opening,
    OrderKey,
    OrderState,
    OrderTerms,
    Round,
    Sale,
    Sibling,
    Side,
    Windows
} from "../src/types/AuctionTypes.sol";
import { ClaimInput, ParameterValues, RosterEntry, SessionKey } from "../src/types/Types.sol";
import { AuctionMarket } from "./utils/AuctionMarket.sol";
import { Lot, Trees } from "./utils/Trees.sol";

/// @notice A round from its orders to its roster, and what stands in the way of each lie.
contract AuctionTest is AuctionMarket {
    uint64 internal constant EPOCH = 2;

    address[3] internal owners = [address(0x51), address(0x52), address(0x53)];
    address[3] internal suppliers;
    address internal ann = address(0xA1);
    address internal bob = address(0xB0);
    address internal watcher = address(0x3A7C);
    Windows internal windows;

    /// @dev The round that most tests trade in: 12 units at 400, 600, 700; 7 wanted by Ann and Bob.
    Lot[] internal asks;
    Lot[] internal bids;

    function setUp() public {
        deployAuction();
        windows = auction.windowsOf(EPOCH);
        uint64[3] memory prices = [uint64(600), 400, 700];
        for (uint256 i = 0; i < 3; ++i) {
            suppliers[i] = addSupplier(owners[i], uint96(1000e6 + i));
            asks.push(Lot(suppliers[i], prices[i], 4));
        }
        bids.push(Lot(ann, 1000, 5));
        bids.push(Lot(bob, 1500, 2));
    }

    function commitAll() internal {
        for (uint256 i = 0; i < 3; ++i) {
            commitAsk(EPOCH, owners[i], suppliers[i], asks[i].price, asks[i].quantity);
        }
        for (uint256 i = 0; i < bids.length; ++i) {
            commitBid(EPOCH, bids[i].trader, bids[i].price, bids[i].quantity);
        }
    }

    function revealAll() internal {
        rollTo(windows.revealFrom);
        for (uint256 i = 0; i < 3; ++i) {
            reveal(EPOCH, Side.ASK, asks[i]);
        }
        for (uint256 i = 0; i < bids.length; ++i) {
            reveal(EPOCH, Side.BID, bids[i]);
        }
    }

    function trade() internal {
        commitAll();
        revealAll();
        rollTo(windows.clearFrom);
    }

    function inOrder() internal view returns (Lot[] memory askLine, Lot[] memory bidLine) {
        (askLine, bidLine) = (asks, bids);
        Trees.sortAsks(askLine);
        Trees.sortBids(bidLine, auction.drawSeedOf(traded, EPOCH));
    }

    function goodPlan() internal view returns (Plan memory) {
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        return planOf(EPOCH, askLine, bidLine);
    }

    function clear() internal returns (Plan memory plan) {
        plan = goodPlan();
        submitPlan(plan);
        rollTo(windows.publishFrom);
        auction.publish(plan.key, plan.entries);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                      A ROUND
    //////////////////////////////////////////////////////////////////////////*/

    function test_Round_BecomesTheRosterOfItsEpoch() public {
        trade();
        Plan memory plan = clear();
        RosterEntry[] memory roster = sessions.rosterOf(traded, EPOCH);
        vm.assertEq(roster.length, 2);
        vm.assertEq(plan.entries.length, 2);
        // 7 units: four at 400, three at 600. Without the first, 1 more at 600 and 3 at 700; without the second, 3 at
        // 700: (600 + 2100) / 4 and 2100 / 3, rounded down.
        for (uint256 i = 0; i < 2; ++i) {
            bool isCheapest = roster[i].supplier == suppliers[1];
            vm.assertEq(roster[i].unitPrice, isCheapest ? 675 : 700);
            vm.assertEq(plan.entries[i].weight, isCheapest ? 4 : 3);
            vm.assertEq(roster[i].weight, isCheapest ? 4 * 675 : 3 * 700);
        }
        Round memory round = auction.roundOf(traded, EPOCH);
        vm.assertEq(round.procured, 7);
        vm.assertEq(round.paid, 4 * 675 + 3 * 700);
        vm.assertEq(auction.claimableOf(submitter), CLEARING_BOND);
    }

    function test_Round_ABidderPaysThePriceInTwoParts() public {
        trade();
        clear();
        auction.settleBid(traded, EPOCH, ann, noOpening());
        // Claims for 5 of the 7 units come to 5 * 4800 / 7 = 3428, the rest of 5000 is paid at once.
        vm.assertEq(auction.claimableOf(ann), ORDER_BOND - 1572);
        vm.assertEq(auction.roundOf(traded, EPOCH).charges, 1572);
        SessionKey memory session = SessionKey(ann, gateway, traded, EPOCH * EPOCH_SESSIONS);
        vm.assertEq(sessions.allotmentOf(session), 3428 / EPOCH_SESSIONS);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_OrderUnknown.selector, ann));
        auction.settleBid(traded, EPOCH, ann, noOpening());
        uint256 before = token.balanceOf(ann);
        auction.collectFor(ann);
        vm.assertEq(token.balanceOf(ann) - before, ORDER_BOND - 1572);
        vm.expectPartialRevert(Errors.Auction_AmountZero.selector);
        auction.collectFor(ann);
    }

    /// @dev Once the epoch is over: a tenth is for who cleared it, the rest for the treasury.
    function test_Round_ChargesPayWhoClearedIt() public {
        trade();
        clear();
        auction.settleBid(traded, EPOCH, ann, noOpening());
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_EpochRunning.selector, EPOCH));
        auction.payCharges(traded, EPOCH);
        goTo((EPOCH + 1) * EPOCH_SESSIONS, 0);
        auction.payCharges(traded, EPOCH);
        vm.assertEq(auction.claimableOf(submitter), CLEARING_BOND + 157);
        vm.assertEq(auction.claimableOf(treasury), 1572 - 157);
        vm.expectPartialRevert(Errors.Auction_AmountZero.selector);
        auction.payCharges(traded, EPOCH);
        vm.expectPartialRevert(Errors.Auction_AmountZero.selector);
        auction.refundPaused(traded, EPOCH, ann);
        // One that is settled late pays too: 2 units at 1000, of which 2 * 4800 / 7 = 1371 is for claims.
        auction.settleBid(traded, EPOCH, bob, noOpening());
        auction.payCharges(traded, EPOCH);
        vm.assertEq(auction.claimableOf(treasury), 1572 - 157 + 629 - 62);
    }

    function test_Round_TooLittleGoesRoundByPublicOrder() public {
        bids[0].quantity = 10;
        bids[1].quantity = 8;
        trade();
        Plan memory plan = clear();
        vm.assertEq(auction.roundOf(traded, EPOCH).procured, 12);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(plan.entries[i].unitPrice, RESERVE);
        }
        (, Lot[] memory line) = inOrder();
        Opening memory first = bidOpening(EPOCH, line, 0);
        vm.expectPartialRevert(Errors.Tree_RootMismatch.selector);
        auction.settleBid(traded, EPOCH, line[1].trader, first);
        auction.settleBid(traded, EPOCH, line[0].trader, first);
        auction.settleBid(traded, EPOCH, line[1].trader, bidOpening(EPOCH, line, 1));
        uint256 firstCap = sessions.allotmentOf(SessionKey(line[0].trader, gateway, traded, 4));
        uint256 secondCap = sessions.allotmentOf(SessionKey(line[1].trader, gateway, traded, 4));
        vm.assertEq(firstCap, uint256(line[0].quantity) * RESERVE / 2);
        vm.assertEq(secondCap, (12 - uint256(line[0].quantity)) * RESERVE / 2);
    }

    /// @dev Roster, payments and fills of any book are those of the definition; nothing is left in the contract.
    function test_Round_OfAnyBook(uint256 seed) public {
        for (uint256 i = 0; i < 3; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            asks[i].price = uint64(bound(seed >> 8, 1, RESERVE + 20));
            asks[i].quantity = uint32(bound(seed >> 80, 1, 6));
        }
        for (uint256 i = 0; i < 2; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            bids[i].price = uint64(bound(seed >> 8, FIRST_PRICE - 2, FIRST_PRICE + 2));
            bids[i].quantity = uint32(bound(seed >> 80, 1, 12));
        }
        trade();
        keepIn();
        Round memory round = auction.roundOf(traded, EPOCH);
        vm.assume(round.demand != 0 && round.supply != 0);
        clear();
        round = auction.roundOf(traded, EPOCH);
        vm.assertEq(round.procured, round.demand < round.supply ? round.demand : round.supply);

        (, Lot[] memory line) = inOrder();
        uint256 left = round.procured;
        for (uint256 i = 0; i < line.length; ++i) {
            uint256 units = line[i].quantity < left ? line[i].quantity : left;
            left -= units;
            uint256 claims = units == 0 ? 0 : units * round.paid / round.procured;
            auction.settleBid(traded, EPOCH, line[i].trader, bidOpening(EPOCH, line, i));
            SessionKey memory session = SessionKey(line[i].trader, gateway, traded, 4);
            vm.assertEq(sessions.allotmentOf(session), claims / EPOCH_SESSIONS);
            vm.assertGe(units * round.price - claims, units * (round.price - RESERVE));
        }
        vm.assertEq(left, 0);
        checkPayments(round);
        goTo((EPOCH + 1) * EPOCH_SESSIONS, 0);
        if (auction.roundOf(traded, EPOCH).charges != 0) auction.payCharges(traded, EPOCH);
        emptyOut();
        vm.assertEq(token.balanceOf(address(auction)), 0);
    }

    /// @dev Whoever sells is among the cheapest, and is paid what its units would have cost without it, per unit and
    /// rounded down: counted unit by unit, in no order.
    function checkPayments(Round memory round) internal view {
        RosterEntry[] memory roster = sessions.rosterOf(traded, EPOCH);
        uint256 total = cheapest(round.demand, address(0));
        uint256 spent = uint256(round.demand - round.procured) * RESERVE;
        uint256 paid = 0;
        uint256 procured = 0;
        for (uint256 i = 0; i < roster.length; ++i) {
            Lot memory ask = askOf(roster[i].supplier);
            uint256 units = roster[i].weight / roster[i].unitPrice;
            uint256 saved = cheapest(round.demand, ask.trader) + units * ask.price - total;
            vm.assertEq(roster[i].unitPrice, saved / units);
            vm.assertGe(roster[i].unitPrice, ask.price);
            vm.assertLe(roster[i].unitPrice, RESERVE);
            vm.assertLe(units, ask.quantity);
            spent += units * ask.price;
            procured += units;
            paid += units * roster[i].unitPrice;
        }
        vm.assertEq(spent, total);
        vm.assertEq(procured, round.procured);
        vm.assertEq(paid, round.paid);
    }

    /// @dev What `demand` units cost at least without one supplier, each that nobody has at the reserve.
    function cheapest(uint256 demand, address without) internal view returns (uint256 cost) {
        uint256[] memory left = new uint256[](asks.length);
        for (uint256 i = 0; i < asks.length; ++i) {
            left[i] = asks[i].trader == without ? 0 : asks[i].quantity;
        }
        for (; demand != 0; --demand) {
            uint256 best = asks.length;
            for (uint256 i = 0; i < asks.length; ++i) {
                if (left[i] != 0 && (best == asks.length || asks[i].price < asks[best].price)) best = i;
            }
            cost += best == asks.length ? RESERVE : asks[best].price;
            if (best != asks.length) --left[best];
        }
    }

    function askOf(address supplier) internal view returns (Lot memory) {
        uint256 place = 0;
        while (asks[place].trader != supplier) {
            ++place;
        }
        return asks[place];
    }

    /// @dev The orders that take part stay in the lines.
    function keepIn() internal {
        for (uint256 i = asks.length; i > 0; --i) {
            if (auction.orderOf(orderKey(EPOCH, Side.ASK, asks[i - 1].trader)).state == OrderState.OPEN) continue;
            asks[i - 1] = asks[asks.length - 1];
            asks.pop();
        }
        for (uint256 i = bids.length; i > 0; --i) {
            if (auction.orderOf(orderKey(EPOCH, Side.BID, bids[i - 1].trader)).state == OrderState.OPEN) continue;
            bids[i - 1] = bids[bids.length - 1];
            bids.pop();
        }
    }

    function emptyOut() internal {
        address[7] memory payees = [owners[0], owners[1], owners[2], ann, bob, submitter, treasury];
        for (uint256 i = 0; i < 7; ++i) {
            if (auction.claimableOf(payees[i]) != 0) auction.collectFor(payees[i]);
        }
        if (auction.claimableOf(watcher) != 0) auction.collectFor(watcher);
    }

    /// @dev Nobody can put an empty roster in the place of a working one.
    function test_Round_OfNobodyIsNotCleared() public {
        rollTo(windows.clearFrom);
        Plan memory plan = planOf(EPOCH, new Lot[](0), new Lot[](0));
        pay(submitter, CLEARING_BOND);
        vm.expectPartialRevert(Errors.Clearing_NothingSold.selector);
        vm.prank(submitter);
        auction.submitClearing(plan.key, plan.covers, plan.sales);
    }

    function test_Round_ThatNeverClearsInheritsAndGivesEverythingBack() public {
        trade();
        Plan memory plan = clear();
        uint64 next = EPOCH + 1;
        windows = auction.windowsOf(next);
        rollTo(windows.commitFrom);
        commitBid(next, ann, 2000, 5);
        rollTo(windows.revealFrom);
        reveal(next, Side.BID, Lot(ann, 2000, 5));
        rollTo(windows.publishEnd - 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_RoundRunning.selector, traded, next));
        auction.settleBid(traded, next, ann, noOpening());
        rollTo(windows.publishEnd);
        auction.settleBid(traded, next, ann, noOpening());
        vm.assertEq(auction.claimableOf(ann), ORDER_BOND);
        vm.assertEq(sessions.rosterOf(traded, next).length, plan.entries.length);
        // The roster is inherited, its allotments are not.
        auction.settleBid(traded, EPOCH, ann, noOpening());
        vm.assertEq(sessions.allotmentOf(SessionKey(ann, gateway, traded, next * EPOCH_SESSIONS)), 0);
    }

    /// @dev 12 offered, 7 wanted at 1000: a step of 1000 * 1 % / 2 * 5 / 12 = 2.08, rounded down, two rounds on: then it
    /// is known whether the round was cleared.
    function test_Price_FollowsTheDemandThatWasCleared() public {
        trade();
        clear();
        vm.assertEq(auction.roundOf(traded, EPOCH).price, FIRST_PRICE);
        vm.assertEq(auction.roundOf(traded, EPOCH + 1).price, FIRST_PRICE);
        openNext();
        vm.assertEq(auction.roundOf(traded, EPOCH + 2).price, FIRST_PRICE - 2);
        vm.assertEq(auction.roundOf(keccak256("another"), EPOCH).price, 0);
    }

    function test_Price_OfARoundThatNobodyClearedStands() public {
        trade();
        openNext();
        vm.assertEq(auction.roundOf(traded, EPOCH + 2).price, FIRST_PRICE);
    }

    /// @dev A price at which nobody sells rises all the same.
    function test_Price_OfARoundThatCouldNotBeClearedMoves() public {
        commitBid(EPOCH, ann, 1000, 5);
        rollTo(windows.revealFrom);
        reveal(EPOCH, Side.BID, bids[0]);
        openNext();
        vm.assertEq(auction.roundOf(traded, EPOCH + 2).price, FIRST_PRICE + 2);
    }

    /// @dev The next round has an order, so that the one after it has this one's price.
    function openNext() internal {
        rollTo(auction.windowsOf(EPOCH + 1).commitFrom);
        commitBid(EPOCH + 1, ann, 1000, 1);
        rollTo(auction.windowsOf(EPOCH + 2).commitFrom);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       ORDERS
    //////////////////////////////////////////////////////////////////////////*/

    function test_Order_OneHiddenPaysAndBlocksNobody() public {
        commitAll();
        rollTo(windows.revealFrom);
        reveal(EPOCH, Side.ASK, asks[0]);
        reveal(EPOCH, Side.BID, bids[0]);
        OrderKey memory hidden = orderKey(EPOCH, Side.BID, bob);
        vm.expectPartialRevert(Errors.Auction_WindowClosed.selector);
        auction.forfeit(hidden);
        rollTo(windows.clearFrom);
        auction.forfeit(hidden);
        auction.forfeit(orderKey(EPOCH, Side.ASK, suppliers[1]));
        vm.assertEq(auction.claimableOf(treasury), 2 * ORDER_BOND);
        vm.assertEq(auction.claimableOf(bob), 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_OrderUnknown.selector, bob));
        auction.forfeit(hidden);
        vm.expectPartialRevert(Errors.Auction_WindowClosed.selector);
        reveal(EPOCH, Side.BID, bids[1]);

        asks.pop();
        asks.pop();
        bids.pop();
        Plan memory plan = clear();
        vm.assertEq(plan.entries.length, 1);
        vm.assertEq(sessions.rosterOf(traded, EPOCH).length, 1);
    }

    /// @dev Who hides a bid loses the bond, not all it put down.
    function test_Order_TheRestOfAHiddenDepositComesBack() public {
        pay(ann, 3 * ORDER_BOND);
        vm.prank(ann);
        auction.commit(orderKey(EPOCH, Side.BID, ann), keccak256("?"), 3 * ORDER_BOND);
        rollTo(windows.revealEnd);
        auction.forfeit(orderKey(EPOCH, Side.BID, ann));
        vm.assertEq(auction.claimableOf(ann), 2 * ORDER_BOND);
    }

    function test_Order_ASealIsItsTradersAlone() public {
        commitAll();
        bytes32 seal = auction.orderOf(orderKey(EPOCH, Side.BID, ann)).content;
        address copier = address(0xC0);
        pay(copier, ORDER_BOND);
        vm.prank(copier);
        auction.commit(orderKey(EPOCH, Side.BID, copier), seal, ORDER_BOND);
        rollTo(windows.revealFrom);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_SealMismatch.selector, copier));
        reveal(EPOCH, Side.BID, Lot(copier, bids[0].price, bids[0].quantity));
        OrderTerms memory other = termsOf(Side.BID, bids[0].price, bids[0].quantity);
        other.gateway = copier;
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_SealMismatch.selector, ann));
        auction.reveal(orderKey(EPOCH, Side.BID, ann), other, ORDER_SALT);
        reveal(EPOCH, Side.BID, bids[0]);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_OrderUnknown.selector, ann));
        reveal(EPOCH, Side.BID, bids[0]);
    }

    function test_Order_WhoMayCommit() public {
        commitAll();
        OrderKey memory key = orderKey(EPOCH, Side.BID, ann);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_OrderExists.selector, ann));
        vm.prank(ann);
        auction.commit(key, "", ORDER_BOND);
        key.trader = address(0xA2);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_NotAuthorized.selector, ann));
        vm.prank(ann);
        auction.commit(key, "", ORDER_BOND);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_DepositTooLow.selector, ORDER_BOND - 1, ORDER_BOND));
        auction.commit(key, "", ORDER_BOND - 1);
        key.service = service;
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_NotMarket.selector, service));
        auction.commit(key, "", ORDER_BOND);
        address another = addSupplier(address(0x54), 10e6);
        key = orderKey(EPOCH, Side.ASK, another);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_NotAuthorized.selector, ann));
        vm.prank(ann);
        auction.commit(key, "", ORDER_BOND);
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_StakeTooLow.selector, 10e6, 100e6));
        vm.prank(address(0x54));
        auction.commit(key, "", ORDER_BOND);
    }

    /// @dev Four seats: who has more stake takes the place of the least, who has its bond back.
    function test_Order_AFullBookIsTheMostStaked() public {
        commitAll();
        commitAsk(EPOCH, address(0x54), addSupplier(address(0x54), 900e6), 500, 1);
        address fifth = addSupplier(address(0x55), 900e6);
        OrderKey memory key = orderKey(EPOCH, Side.ASK, fifth);
        pay(address(0x55), ORDER_BOND);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_BookFull.selector, 900e6));
        vm.prank(address(0x55));
        auction.commit(key, "seal", ORDER_BOND);
        addStake(fifth, 1);
        vm.prank(address(0x55));
        auction.commit(key, "seal", ORDER_BOND);
        vm.assertEq(auction.claimableOf(address(0x54)), ORDER_BOND);
        vm.assertEq(auction.suppliersOf(traded, EPOCH).length, 4);
        vm.assertTrue(auction.orderOf(key).state == OrderState.SEALED);
    }

    function test_Order_OneThatDoesNotAcceptThePriceGoesHome() public {
        asks[0].price = RESERVE + 1;
        bids[0].price = FIRST_PRICE - 1;
        trade();
        vm.assertEq(auction.claimableOf(owners[0]), ORDER_BOND);
        vm.assertEq(auction.claimableOf(ann), ORDER_BOND);
        vm.assertEq(auction.claimableOf(bob), 0);
        Round memory round = auction.roundOf(traded, EPOCH);
        vm.assertEq(round.supply, 8);
        vm.assertEq(round.demand, 2);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_OrderUnknown.selector, ann));
        auction.settleBid(traded, EPOCH, ann, noOpening());
    }

    /// @dev A bid that its deposit does not cover is no demand.
    function test_Order_DemandIsBacked() public {
        pay(ann, ORDER_BOND);
        Lot memory large = Lot(ann, 5000, uint32(ORDER_BOND / FIRST_PRICE + 1));
        bytes32 seal =
            auction.sealOf(orderKey(EPOCH, Side.BID, ann), termsOf(Side.BID, 5000, large.quantity), ORDER_SALT);
        vm.prank(ann);
        auction.commit(orderKey(EPOCH, Side.BID, ann), seal, ORDER_BOND);
        rollTo(windows.revealFrom);
        reveal(EPOCH, Side.BID, large);
        vm.assertEq(auction.roundOf(traded, EPOCH).demand, 0);
        vm.assertEq(auction.claimableOf(ann), ORDER_BOND);
    }

    /// @dev Stake of 100 backs claims of 30 times as much; three of an epoch's two sessions are open at once.
    function test_Order_AnAskIsBackedByStake() public {
        address small = addSupplier(address(0x54), 100e6);
        uint32 most = uint32(uint256(100e6 + 1) * 30 * 2 / 3 / RESERVE);
        commitAsk(EPOCH, address(0x54), small, 1, most + 1);
        rollTo(windows.revealFrom);
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_StakeTooLow.selector, 100e6, 100e6 + 48));
        reveal(EPOCH, Side.ASK, Lot(small, 1, most + 1));
        // With more stake it is revealed still; without, its bond is lost.
        addStake(small, 48);
        reveal(EPOCH, Side.ASK, Lot(small, 1, most + 1));
        vm.assertEq(auction.roundOf(traded, EPOCH).supply, most + 1);
    }

    /// @dev One stake backs what a supplier asks in all services together.
    function test_Order_AStakeIsCountedOnce() public {
        bytes32 first = traded;
        bytes32 second = listService("another", address(auction));
        vm.prank(source);
        auction.openMarket(second, FIRST_PRICE);
        address small = addSupplier(address(0x54), 100e6);
        uint32 quantity = 1_500_000;
        commitAsk(EPOCH, address(0x54), small, 1, quantity);
        traded = second;
        commitAsk(EPOCH, address(0x54), small, 1, quantity);
        rollTo(windows.revealFrom);
        reveal(EPOCH, Side.ASK, Lot(small, 1, quantity));
        traded = first;
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_StakeTooLow.selector, 100e6, 148_500_000));
        reveal(EPOCH, Side.ASK, Lot(small, 1, quantity));
    }

    /// @dev What leaves after the commit backs no ask; what leaves after the reveal backs every claim of the epoch.
    function test_Order_StakeCannotLeaveBeforeTheEpochsClaims() public {
        commitAll();
        vm.prank(owners[0]);
        registry.requestUnstake(suppliers[0], 1000e6);
        rollTo(windows.revealFrom);
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_StakeTooLow.selector, 0, 100e6));
        reveal(EPOCH, Side.ASK, asks[0]);
        reveal(EPOCH, Side.ASK, asks[1]);
        vm.prank(owners[1]);
        registry.requestUnstake(suppliers[1], 1000e6 + 1);
        uint64 last = (EPOCH + 1) * EPOCH_SESSIONS - 1;
        goTo(last + 1, 0);
        vm.assertEq(registry.bondRoomOf(suppliers[1], owners[1], last).free, 1000e6 + 1);
        goTo(last + 3, SESSION_BLOCKS - 1);
        vm.expectPartialRevert(Errors.Registry_StillUnstaking.selector);
        vm.prank(owners[1]);
        registry.finishUnstake(suppliers[1]);
    }

    function test_Order_TermsInRange() public {
        uint32[2] memory quantities = [uint32(0), 2 ** 25];
        for (uint256 i = 0; i < 2; ++i) {
            commitAsk(EPOCH, owners[i], suppliers[i], 5, quantities[i]);
        }
        commitAsk(EPOCH, owners[2], suppliers[2], 0, 1);
        rollTo(windows.revealFrom);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.Auction_OrderInvalid.selector, 5, quantities[i]));
            reveal(EPOCH, Side.ASK, Lot(suppliers[i], 5, quantities[i]));
        }
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_OrderInvalid.selector, 0, 1));
        reveal(EPOCH, Side.ASK, Lot(suppliers[2], 0, 1));
    }

    function test_Market_OpensOnceByItsSource() public {
        bytes32 another = listService("another", address(auction));
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_NotAuthorized.selector, address(this)));
        auction.openMarket(another, 1);
        vm.startPrank(source);
        vm.expectPartialRevert(Errors.Auction_PriceZero.selector);
        auction.openMarket(another, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_MarketExists.selector, traded));
        auction.openMarket(traded, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_NotMarket.selector, service));
        auction.openMarket(service, 1);
        vm.stopPrank();
        vm.expectPartialRevert(Errors.Auction_TermsInvalid.selector);
        this.tryTerms(AuctionTerms(1, 1, 1, 0, 0));
        vm.expectPartialRevert(Errors.Auction_TermsInvalid.selector);
        this.tryTerms(AuctionTerms(1, 1, 1, 1, 10_001));
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_EpochOutOfRange.selector, 1));
        auction.windowsOf(1);
    }

    function tryTerms(AuctionTerms memory terms) external returns (IAuction) {
        return newAuction(terms);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                     CLEARINGS
    //////////////////////////////////////////////////////////////////////////*/

    function test_Clearing_EachStepHasItsBlocks() public {
        trade();
        Plan memory plan = goodPlan();
        rollTo(windows.clearEnd);
        pay(submitter, CLEARING_BOND);
        vm.expectPartialRevert(Errors.Auction_WindowClosed.selector);
        vm.prank(submitter);
        auction.submitClearing(plan.key, plan.covers, plan.sales);
        vm.expectPartialRevert(Errors.Auction_ClearingUnknown.selector);
        auction.demandLeaf(plan.key, Side.ASK, suppliers[0]);
        rollTo(windows.demandEnd);
        vm.expectPartialRevert(Errors.Auction_WindowClosed.selector);
        auction.demandLeaf(plan.key, Side.ASK, suppliers[0]);
        vm.expectPartialRevert(Errors.Auction_WindowClosed.selector);
        auction.publish(plan.key, plan.entries);
        rollTo(windows.publishEnd);
        vm.expectPartialRevert(Errors.Auction_WindowClosed.selector);
        auction.publish(plan.key, plan.entries);
    }

    function test_Clearing_IsItsSubmittersAlone() public {
        trade();
        Plan memory plan = goodPlan();
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_NotAuthorized.selector, watcher));
        vm.prank(watcher);
        auction.submitClearing(plan.key, plan.covers, plan.sales);
        submitPlan(plan);
        pay(submitter, CLEARING_BOND);
        vm.expectPartialRevert(Errors.Auction_ClearingExists.selector);
        vm.prank(submitter);
        auction.submitClearing(plan.key, plan.covers, plan.sales);
        // Another may stand for the same clearing; the one that is not published is released.
        Plan memory same = plan;
        same.key.submitter = watcher;
        submitPlan(same);
        vm.expectPartialRevert(Errors.Auction_RoundRunning.selector);
        auction.releaseBond(same.key);
        rollTo(windows.publishFrom);
        RosterEntry[] memory wrong = new RosterEntry[](1);
        wrong[0] = plan.entries[0];
        vm.expectPartialRevert(Errors.Auction_EntriesMismatch.selector);
        auction.publish(same.key, wrong);
        auction.publish(same.key, plan.entries);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_RoundCleared.selector, traded, EPOCH));
        auction.publish(same.key, plan.entries);
        ClearingKey memory left = same.key;
        left.submitter = submitter;
        auction.releaseBond(left);
        vm.assertEq(auction.claimableOf(submitter), CLEARING_BOND);
        vm.expectPartialRevert(Errors.Auction_ClearingUnknown.selector);
        auction.releaseBond(left);
    }

    function test_Clearing_OfTooFewSalesIsRefused() public {
        trade();
        Plan memory plan = goodPlan();
        Sale[] memory fewer = new Sale[](1);
        fewer[0] = plan.sales[0];
        pay(submitter, CLEARING_BOND);
        vm.expectRevert(abi.encodeWithSelector(Errors.Clearing_WrongSaleCount.selector, 1, 2));
        vm.prank(submitter);
        auction.submitClearing(plan.key, plan.covers, fewer);
        vm.expectRevert(abi.encodeWithSelector(Errors.Clearing_NotCovered.selector, 7));
        vm.prank(submitter);
        auction.submitClearing(plan.key, new Cover[](0), fewer);
    }

    /// @dev The cheapest ask left out, an invented one of the same numbers in its place, last in line.
    function incomplete() internal view returns (Lot[] memory askLine, Lot[] memory bidLine) {
        (askLine, bidLine) = inOrder();
        Lot memory invented = Lot(address(0xFA), askLine[0].price, askLine[0].quantity);
        (askLine[0], askLine[1], askLine[2]) = (askLine[1], askLine[2], invented);
    }

    function test_Omission_IsDefeatedByALeafThatCannotBeShown() public {
        (bids[0].quantity, bids[1].quantity) = (2, 1);
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = incomplete();
        Plan memory plan = planOf(EPOCH, askLine, bidLine);
        submitPlan(plan);
        address omitted = suppliers[1];
        pay(watcher, LEAF_STAKE);
        vm.prank(watcher);
        auction.demandLeaf(plan.key, Side.ASK, omitted);
        vm.expectPartialRevert(Errors.Tree_RootMismatch.selector);
        auction.showLeaf(plan.key, Side.ASK, omitted, askOpening(askLine, 2));
        vm.expectPartialRevert(Errors.Auction_WindowClosed.selector);
        auction.endDemand(plan.key, Side.ASK, omitted);
        rollTo(windows.publishFrom);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_LeavesOwed.selector, 1));
        auction.publish(plan.key, plan.entries);
        auction.endDemand(plan.key, Side.ASK, omitted);
        vm.assertEq(auction.claimableOf(watcher), LEAF_STAKE + CLEARING_BOND / 2);
        vm.assertEq(auction.claimableOf(treasury), CLEARING_BOND - CLEARING_BOND / 2);
        vm.expectPartialRevert(Errors.Auction_ClearingUnknown.selector);
        auction.publish(plan.key, plan.entries);
        rollTo(windows.publishEnd);
        vm.expectPartialRevert(Errors.Auction_ClearingUnknown.selector);
        auction.releaseBond(plan.key);
    }

    /// @dev A bid left out, an invented one of its size in its place.
    function test_Omission_OfABidIsDefeatedToo() public {
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        address omitted = bidLine[0].trader;
        bidLine[0].trader = address(0xFA);
        Trees.sortBids(bidLine, auction.drawSeedOf(traded, EPOCH));
        Plan memory plan = planOf(EPOCH, askLine, bidLine);
        submitPlan(plan);
        pay(watcher, LEAF_STAKE);
        vm.prank(watcher);
        auction.demandLeaf(plan.key, Side.BID, omitted);
        for (uint256 i = 0; i < bidLine.length; ++i) {
            Opening memory other = bidOpening(EPOCH, bidLine, i);
            vm.expectPartialRevert(Errors.Tree_RootMismatch.selector);
            auction.showLeaf(plan.key, Side.BID, omitted, other);
        }
        rollTo(windows.publishFrom);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_LeavesOwed.selector, 1));
        auction.publish(plan.key, plan.entries);
        auction.endDemand(plan.key, Side.BID, omitted);
        vm.assertTrue(auction.clearingOf(plan.key).isDefeated);
        vm.assertEq(auction.claimableOf(watcher), LEAF_STAKE + CLEARING_BOND / 2);
        rollTo(windows.publishEnd);
        auction.settleBid(traded, EPOCH, omitted, noOpening());
        vm.assertEq(auction.claimableOf(omitted), ORDER_BOND);
    }

    /// @dev A line that is one bid short is no better.
    function test_Omission_OfABidIsNotHiddenByAShorterLine() public {
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        Lot[] memory shorter = new Lot[](1);
        shorter[0] = bidLine[1];
        Plan memory plan = planOf(EPOCH, askLine, shorter);
        submitPlan(plan);
        pay(watcher, LEAF_STAKE);
        vm.prank(watcher);
        auction.demandLeaf(plan.key, Side.BID, bidLine[0].trader);
        rollTo(windows.answerEnd);
        auction.endDemand(plan.key, Side.BID, bidLine[0].trader);
        vm.assertTrue(auction.clearingOf(plan.key).isDefeated);
    }

    /// @dev A bad clearing that came first keeps no good one out.
    function test_Omission_DoesNotKeepTheRightOneOut() public {
        (bids[0].quantity, bids[1].quantity) = (2, 1);
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = incomplete();
        Plan memory bad = planOf(EPOCH, askLine, bidLine);
        submitPlan(bad);
        pay(watcher, LEAF_STAKE);
        vm.prank(watcher);
        auction.demandLeaf(bad.key, Side.ASK, suppliers[1]);
        Plan memory good = goodPlan();
        submitPlan(good);
        rollTo(windows.publishFrom);
        auction.publish(good.key, good.entries);
        vm.assertEq(sessions.rosterOf(traded, EPOCH)[0].supplier, suppliers[1]);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_LeavesOwed.selector, 1));
        auction.releaseBond(bad.key);
        auction.endDemand(bad.key, Side.ASK, suppliers[1]);
        vm.assertEq(auction.claimableOf(submitter), CLEARING_BOND);
    }

    function test_Demand_ThatIsAnsweredPaysTheAnswer() public {
        trade();
        Plan memory plan = goodPlan();
        submitPlan(plan);
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        pay(watcher, 2 * LEAF_STAKE);
        vm.startPrank(watcher);
        auction.demandLeaf(plan.key, Side.ASK, askLine[2].trader);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_DemandExists.selector, askLine[2].trader));
        auction.demandLeaf(plan.key, Side.ASK, askLine[2].trader);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_OrderUnknown.selector, watcher));
        auction.demandLeaf(plan.key, Side.ASK, watcher);
        auction.demandLeaf(plan.key, Side.BID, bidLine[1].trader);
        vm.stopPrank();
        vm.assertEq(auction.clearingOf(plan.key).owed, 2);
        vm.startPrank(bob);
        auction.showLeaf(plan.key, Side.ASK, askLine[2].trader, askOpening(askLine, 2));
        auction.showLeaf(plan.key, Side.BID, bidLine[1].trader, bidOpening(EPOCH, bidLine, 1));
        vm.expectPartialRevert(Errors.Auction_DemandUnknown.selector);
        auction.showLeaf(plan.key, Side.ASK, askLine[2].trader, askOpening(askLine, 2));
        vm.stopPrank();
        // The stakes wait for the end of the clearing.
        vm.assertEq(auction.claimableOf(bob), 0);
        rollTo(windows.publishFrom);
        vm.expectPartialRevert(Errors.Auction_ClearingStands.selector);
        auction.endDemand(plan.key, Side.ASK, askLine[2].trader);
        auction.publish(plan.key, plan.entries);
        auction.endDemand(plan.key, Side.ASK, askLine[2].trader);
        auction.endDemand(plan.key, Side.BID, bidLine[1].trader);
        vm.assertEq(auction.claimableOf(bob), 2 * LEAF_STAKE);
        vm.expectPartialRevert(Errors.Auction_DemandUnknown.selector);
        auction.endDemand(plan.key, Side.ASK, askLine[2].trader);
    }

    /// @dev Looking for the fault costs nothing where there is one: what was shown on the way comes back too.
    function test_Demand_ThatWasShownIsRefundedAfterADefeat() public {
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        (bidLine[0], bidLine[1]) = (bidLine[1], bidLine[0]);
        Plan memory plan = planOf(EPOCH, askLine, bidLine);
        submitPlan(plan);
        pay(watcher, 2 * LEAF_STAKE);
        vm.startPrank(watcher);
        auction.demandLeaf(plan.key, Side.BID, bidLine[0].trader);
        auction.demandLeaf(plan.key, Side.BID, bidLine[1].trader);
        vm.stopPrank();
        Opening memory first = bidOpening(EPOCH, bidLine, 0);
        Opening memory second = bidOpening(EPOCH, bidLine, 1);
        auction.showLeaf(plan.key, Side.BID, bidLine[0].trader, first);
        auction.showLeaf(plan.key, Side.BID, bidLine[1].trader, second);
        vm.prank(watcher);
        auction.proveDisorder(plan.key, Side.BID, bidLine[1].trader, second, bidLine[0].trader, first);
        auction.endDemand(plan.key, Side.BID, bidLine[0].trader);
        auction.endDemand(plan.key, Side.BID, bidLine[1].trader);
        vm.assertEq(auction.claimableOf(watcher), 2 * LEAF_STAKE + CLEARING_BOND / 2);
        vm.assertEq(auction.claimableOf(address(this)), 0);
    }

    /// @dev An answer is due within half a step of its demand, so that a second look is possible before demands end.
    function test_Demand_IsAnsweredInTimeForTheNext() public {
        trade();
        Plan memory plan = goodPlan();
        submitPlan(plan);
        (Lot[] memory askLine,) = inOrder();
        uint256 half = (windows.answerEnd - windows.demandEnd) / 2;
        pay(watcher, 2 * LEAF_STAKE);
        vm.startPrank(watcher);
        auction.demandLeaf(plan.key, Side.ASK, askLine[0].trader);
        auction.demandLeaf(plan.key, Side.ASK, askLine[1].trader);
        vm.stopPrank();
        rollTo(block.number + half);
        vm.assertLt(block.number, windows.demandEnd);
        auction.showLeaf(plan.key, Side.ASK, askLine[0].trader, askOpening(askLine, 0));
        rollTo(block.number + 1);
        Opening memory late = askOpening(askLine, 1);
        vm.expectPartialRevert(Errors.Auction_WindowClosed.selector);
        auction.showLeaf(plan.key, Side.ASK, askLine[1].trader, late);
        auction.endDemand(plan.key, Side.ASK, askLine[1].trader);
        vm.assertTrue(auction.clearingOf(plan.key).isDefeated);
    }

    /// @dev The right line in another tree has another root, and is defeated: who knows the orders knows the root.
    function test_Tree_HasOneShape() public {
        trade();
        (Lot[] memory line, Lot[] memory bidLine) = inOrder();
        Plan memory plan = planOf(EPOCH, line, bidLine);
        (bytes32[] memory keys, uint256[] memory sums) = Trees.askLeaves(line);
        (bytes32[] memory lastKeys, uint256[] memory lastSums) = (new bytes32[](2), new uint256[](2));
        (lastKeys[0], lastKeys[1], lastSums[0], lastSums[1]) = (keys[1], keys[2], sums[1], sums[2]);
        bytes32 pair = Trees.root(lastKeys, lastSums);
        bytes32 leaf = keccak256(abi.encodePacked(bytes1(0x00), keys[0], sums[0]));
        uint256 pairSums = sums[1] + sums[2];
        plan.key.asksRoot = keccak256(abi.encodePacked(bytes1(0x01), leaf, sums[0], pair, pairSums));
        Opening memory opening = Opening(0, new Sibling[](1));
        opening.siblings[0] = Sibling(pair, pairSums);
        for (uint256 i = 0; i < plan.covers.length; ++i) {
            (plan.covers[i].supplier, plan.covers[i].opening) = (line[0].trader, opening);
        }
        pay(submitter, CLEARING_BOND);
        vm.expectRevert(abi.encodeWithSelector(Errors.Tree_ShapeMismatch.selector, 0));
        vm.prank(submitter);
        auction.submitClearing(plan.key, plan.covers, plan.sales);
    }

    /// @dev Every demander has its stake back, one the reward.
    function test_Demand_OneOfManyDefeats() public {
        trade();
        Plan memory plan = goodPlan();
        submitPlan(plan);
        pay(watcher, 2 * LEAF_STAKE);
        vm.startPrank(watcher);
        auction.demandLeaf(plan.key, Side.ASK, suppliers[0]);
        auction.demandLeaf(plan.key, Side.ASK, suppliers[1]);
        vm.stopPrank();
        rollTo(windows.answerEnd);
        auction.endDemand(plan.key, Side.ASK, suppliers[0]);
        auction.endDemand(plan.key, Side.ASK, suppliers[1]);
        vm.assertEq(auction.claimableOf(watcher), 2 * LEAF_STAKE + CLEARING_BOND / 2);
        vm.expectPartialRevert(Errors.Auction_DemandUnknown.selector);
        auction.endDemand(plan.key, Side.ASK, suppliers[1]);
    }

    function test_Disorder_IsDefeatedByTwoLeaves() public {
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        (askLine[0], askLine[1]) = (askLine[1], askLine[0]);
        // Both sell either way, but the dear one would be paid as if it were the cheap one.
        Plan memory plan = planOf(EPOCH, askLine, bidLine);
        plan.entries = new RosterEntry[](0);
        submitPlan(plan);
        vm.startPrank(watcher);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_InOrder.selector, 0, 2));
        auction.proveDisorder(
            plan.key, Side.ASK, askLine[0].trader, askOpening(askLine, 0), askLine[2].trader, askOpening(askLine, 2)
        );
        auction.proveDisorder(
            plan.key, Side.ASK, askLine[1].trader, askOpening(askLine, 1), askLine[0].trader, askOpening(askLine, 0)
        );
        vm.stopPrank();
        vm.assertEq(auction.claimableOf(watcher), CLEARING_BOND / 2);
        vm.assertTrue(auction.clearingOf(plan.key).isDefeated);
    }

    function test_Disorder_OfBidsIsDefeatedToo() public {
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        (bidLine[0], bidLine[1]) = (bidLine[1], bidLine[0]);
        Plan memory plan = planOf(EPOCH, askLine, bidLine);
        submitPlan(plan);
        auction.proveDisorder(
            plan.key,
            Side.BID,
            bidLine[1].trader,
            bidOpening(EPOCH, bidLine, 1),
            bidLine[0].trader,
            bidOpening(EPOCH, bidLine, 0)
        );
        vm.assertTrue(auction.clearingOf(plan.key).isDefeated);
    }

    /// @dev One order in two places, another left out for it: a double fill.
    function test_Disorder_OneOrderStandsOnce() public {
        bids[1].quantity = bids[0].quantity;
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        bidLine[1] = bidLine[0];
        Plan memory plan = planOf(EPOCH, askLine, bidLine);
        submitPlan(plan);
        address twice = bidLine[0].trader;
        Opening memory first = bidOpening(EPOCH, bidLine, 0);
        Opening memory second = bidOpening(EPOCH, bidLine, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_InOrder.selector, 0, 0));
        auction.proveDisorder(plan.key, Side.BID, twice, first, twice, first);
        auction.proveDisorder(plan.key, Side.BID, twice, second, twice, first);
        vm.assertTrue(auction.clearingOf(plan.key).isDefeated);
    }

    /// @dev Nobody watched, and a bid is in no published tree: it is charged in full and the rest comes back.
    function test_Waive_IsTheWayOutOfATreeThatDoesNotHoldTheBid() public {
        bids[0].quantity = 10;
        bids[1].quantity = 10;
        trade();
        (Lot[] memory askLine, Lot[] memory bidLine) = inOrder();
        bidLine[1] = bidLine[0];
        Plan memory plan = planOf(EPOCH, askLine, bidLine);
        submitPlan(plan);
        address left = bidLine[0].trader == ann ? bob : ann;
        vm.expectPartialRevert(Errors.Auction_RoundRunning.selector);
        vm.prank(left);
        auction.waiveBid(traded, EPOCH);
        rollTo(windows.publishFrom);
        auction.publish(plan.key, plan.entries);
        vm.startPrank(left);
        auction.waiveBid(traded, EPOCH);
        vm.expectPartialRevert(Errors.Auction_OrderUnknown.selector);
        auction.waiveBid(traded, EPOCH);
        vm.stopPrank();
        vm.assertEq(auction.claimableOf(left), ORDER_BOND - 10 * (FIRST_PRICE - RESERVE));
        vm.assertEq(sessions.allotmentOf(SessionKey(left, gateway, traded, 4)), 0);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                  PAUSE, SESSIONS
    //////////////////////////////////////////////////////////////////////////*/

    function test_Pause_BindsNobodyAndTrapsNothing() public {
        commitAll();
        vm.prank(pauser);
        parameters.pause();
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_Paused.selector, 1));
        auction.commit(orderKey(EPOCH, Side.BID, address(this)), "", ORDER_BOND);
        revealAll();
        rollTo(windows.clearFrom);
        Plan memory plan = goodPlan();
        submitPlan(plan);
        rollTo(windows.publishFrom);
        vm.expectPartialRevert(Errors.Auction_Paused.selector);
        auction.publish(plan.key, plan.entries);
        rollTo(windows.publishEnd);
        auction.settleBid(traded, EPOCH, ann, noOpening());
        auction.settleBid(traded, EPOCH, bob, noOpening());
        auction.releaseBond(plan.key);
        emptyOut();
        vm.assertEq(token.balanceOf(address(auction)), 0);
        vm.assertEq(sessions.rosterOf(traded, EPOCH).length, 0);
    }

    /// @dev A pause after the round is published: who was charged has back what was for the sessions that did not open.
    function test_Pause_AfterPublishingIsNotPaidFor() public {
        trade();
        clear();
        auction.settleBid(traded, EPOCH, ann, noOpening());
        auction.settleBid(traded, EPOCH, bob, noOpening());
        goTo(EPOCH * EPOCH_SESSIONS, 0);
        vm.prank(pauser);
        parameters.pause();
        vm.expectRevert(abi.encodeWithSelector(Errors.Auction_EpochRunning.selector, EPOCH));
        auction.refundPaused(traded, EPOCH, ann);
        goTo((EPOCH + 1) * EPOCH_SESSIONS, 0);
        // One of two sessions was paused: half of 1572 and of 629, rounded down, and the rest of both.
        auction.refundPaused(traded, EPOCH, ann);
        auction.payCharges(traded, EPOCH);
        auction.refundPaused(traded, EPOCH, bob);
        vm.assertEq(auction.claimableOf(ann), ORDER_BOND - 1572 + 786);
        vm.assertEq(auction.claimableOf(bob), ORDER_BOND - 629 + 314);
        vm.assertEq(auction.claimableOf(treasury) + auction.claimableOf(submitter), CLEARING_BOND + 1572 + 629 - 1100);
        vm.expectPartialRevert(Errors.Auction_AmountZero.selector);
        auction.refundPaused(traded, EPOCH, ann);
        vm.expectPartialRevert(Errors.Auction_OrderUnknown.selector);
        auction.refundPaused(traded, EPOCH, watcher);
        emptyOut();
        vm.assertEq(token.balanceOf(address(auction)), 0);
    }

    /// @dev A lower maximum cannot land between the orders of an epoch and its roster.
    function test_Values_AreFixedBeforeTheOrders() public {
        ParameterValues memory values = parameterValues();
        values.rosterMax = 1;
        goTo((EPOCH - 2) * EPOCH_SESSIONS, 0);
        vm.expectPartialRevert(Errors.Parameters_EpochOutOfRange.selector);
        vm.prank(admin);
        parameters.scheduleValues(EPOCH, values);
        vm.prank(admin);
        parameters.scheduleValues(EPOCH + 1, values);
    }

    /// @dev Sessions of an allotted roster are valid with an allotment, and claims of others are refused.
    function test_Sessions_ServeWhoWasAllotted() public {
        // Both want 2 units; each has 1390 of claims, 695 a session.
        bids[0].quantity = 2;
        trade();
        clear();
        service = traded;
        fund(ann, 10_000);
        fund(bob, 10_000);
        auction.settleBid(traded, EPOCH, ann, noOpening());
        uint96 capMax = sessions.allotmentOf(sessionOf(ann, 4));
        vm.assertGe(capMax, 2);
        delegate(ann, traded, capMax);
        delegate(bob, traded, capMax);
        goTo(4, SEED_OFFSET + 1);
        vm.assertTrue(sessions.isValid(sessionOf(ann, 4)));
        vm.assertFalse(sessions.isValid(sessionOf(bob, 4)));
        sessions.writeSeed(3);
        goTo(5, 0);
        vm.assertEq(bytes32(claimOf(ann, 4)), bytes32(0));
        vm.assertEq(bytes32(claimOf(bob, 4)), bytes32(Errors.Sessions_SessionInvalid.selector));
        auction.settleBid(traded, EPOCH, bob, noOpening());
        vm.assertEq(bytes32(claimOf(bob, 4)), bytes32(0));
    }

    /// @dev The refusal of a claim of one unit's cost by the first seller, always a member of two out of one or two.
    function claimOf(address application, uint64 number) internal returns (bytes4) {
        SessionKey memory session = sessionOf(application, number);
        RosterEntry[] memory roster = sessions.rosterOf(traded, EPOCH);
        address seller = roster[0].supplier;
        address owner = seller == suppliers[0] ? owners[0] : seller == suppliers[1] ? owners[1] : owners[2];
        ClaimInput memory input = claimInput(session, seller, 10_000, 1e6);
        (input.rosterIndex, input.draw, input.earlier) = (0, 0, new uint32[](0));
        return submit(owner, seller, number, input);
    }

    function test_Allot_OnlyTheMarket() public {
        vm.expectRevert(abi.encodeWithSelector(Errors.Sessions_NotMarket.selector, traded, address(this)));
        sessions.allot(traded, EPOCH, ann, gateway, 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.Sessions_NotMarket.selector, service, address(this)));
        sessions.allot(service, EPOCH, ann, gateway, 1);
        vm.assertEq(sessions.allotmentOf(sessionOf(ann, 4)), type(uint96).max);
    }
}
