// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Claims } from "../src/Claims.sol";
import { Escrow } from "../src/Escrow.sol";
import { Parameters } from "../src/Parameters.sol";
import { Registry } from "../src/Registry.sol";
import { Sessions } from "../src/Sessions.sol";
import { TestToken } from "../src/TestToken.sol";
import { Errors } from "../src/libraries/Errors.sol";
import {
    Claim,
    ClaimInput,
    ClockValues,
    ParameterValues,
    RosterEntry,
    Service,
    SessionKey,
    Share,
    Supplier
} from "../src/types/Types.sol";
import { Market } from "./utils/Market.sol";

/// @notice Who may do what, from when on, and how everything comes back.
contract RulesTest is Market {
    address internal application = address(0xA1);
    address internal owner = address(0x51);
    address internal supplier;

    function setUp() public {
        deployMarket();
        supplier = addSupplier(owner, 1000e6);
        list(owner, supplier, service);
        sessions.buildRoster(service);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       ESCROW
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev The delegation of session 1 starts in 3 and is set aside from 2 on, so 3 needs two caps.
    function test_Coverage_NeedsTheCapsOfTwoSessionsAtTheOpening() public {
        fund(application, 2 * CAP - 1);
        goTo(1, 0);
        delegate(application, service, CAP);
        goTo(3, 0);
        vm.assertFalse(sessions.isValid(sessionOf(application, 3)));
        fund(application, 1);
        vm.assertFalse(sessions.isValid(sessionOf(application, 3)));
        goTo(4, 0);
        vm.assertTrue(sessions.isValid(sessionOf(application, 4)));
        vm.assertFalse(sessions.isValid(sessionOf(application, 3)));
        vm.assertFalse(sessions.isValid(sessionOf(application, 5)));
    }

    /// @dev What is kept a bit a session is what the funds and caps at each opening say, however they change.
    function test_Coverage_IsWhatTheOpeningsSay(uint256 seed) public {
        delegate(application, service, 1);
        uint256[16] memory openings;
        uint256[16] memory sums;
        uint256 free = 0;
        for (uint256 number = 1; number < 16; ++number) {
            goTo(number, 0);
            (openings[number], sums[number]) = (free, sums[number] == 0 ? sums[number - 1] : sums[number]);
            if (number == 1) sums[1] = 1;
            checkCoverage(number, openings, sums);
            for (uint256 step = 0; step < 2; ++step) {
                seed = uint256(keccak256(abi.encode(seed)));
                if (seed % 4 == 0) {
                    fund(application, uint96(1 + seed / 4 % 100));
                    free += 1 + seed / 4 % 100;
                } else if (seed % 4 == 1 && free != 0) {
                    vm.prank(application);
                    escrow.requestWithdraw(uint96(1 + seed / 4 % free));
                    free -= 1 + seed / 4 % free;
                } else if (seed % 4 == 2 && number < 15) {
                    sums[number + 1] = 1 + seed / 4 % 60;
                    vm.prank(application);
                    escrow.delegate(gateway, service, uint96(sums[number + 1]), 0);
                }
            }
            checkCoverage(number, openings, sums);
        }
    }

    function checkCoverage(uint256 number, uint256[16] memory openings, uint256[16] memory sums) internal view {
        for (uint256 n = number - 1; n <= number; ++n) {
            if (n < 2) continue;
            bool isCovered = openings[n] >= sums[n] + sums[n - 1];
            (uint96 cap,) = escrow.coverageOf(sessionOf(application, uint64(n)));
            vm.assertEq(cap, isCovered ? sums[n] : 0);
        }
        (uint96 none,) = escrow.coverageOf(sessionOf(application, uint64(number + 1)));
        vm.assertEq(none, 0);
        if (number < 2) return;
        (none,) = escrow.coverageOf(sessionOf(application, uint64(number - 2)));
        vm.assertEq(none, 0);
    }

    function test_Coverage_CountsAllServices() public {
        bytes32 other = listService("other", address(0));
        fund(application, 3 * CAP);
        goTo(1, 0);
        delegate(application, service, CAP);
        delegate(application, other, CAP);
        goTo(3, 0);
        vm.assertFalse(sessions.isValid(sessionOf(application, 3)));
        (uint96 capSum, uint64 fromSession) = escrow.capSumOf(application);
        vm.assertEq(capSum, 2 * CAP);
        vm.assertEq(fromSession, 2);
    }

    function test_Coverage_PendingWithdrawalsDoNotCount() public {
        fund(application, 2 * CAP);
        delegate(application, service, CAP);
        goTo(2, 1);
        vm.prank(application);
        escrow.requestWithdraw(1);
        vm.assertTrue(sessions.isValid(sessionOf(application, 2)));
        goTo(3, 0);
        vm.assertFalse(sessions.isValid(sessionOf(application, 3)));
        vm.assertTrue(sessions.isValid(sessionOf(application, 2)));
    }

    function test_Withdraw_AfterTwoFullSessions() public {
        fund(application, 10);
        goTo(1, 5);
        vm.startPrank(application);
        vm.expectRevert(abi.encodeWithSelector(Errors.Escrow_FundsTooLow.selector, 10, 11));
        escrow.requestWithdraw(11);
        escrow.requestWithdraw(10);
        vm.stopPrank();
        goTo(3, SESSION_BLOCKS - 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.Escrow_StillPending.selector, 3, 4));
        vm.prank(application);
        escrow.finishWithdraw();
        goTo(4, 0);
        vm.prank(application);
        escrow.finishWithdraw();
        vm.assertEq(token.balanceOf(application), 10);
        vm.expectPartialRevert(Errors.Escrow_StillPending.selector);
        vm.prank(application);
        escrow.finishWithdraw();
    }

    /// @dev Session 1's members are drawn by the seed of 0, which is known before 0 ends: who delegated in 0 could
    /// look at them first.
    function test_Delegate_ANewOneStartsWhereNobodyKnowsTheMembers() public {
        goTo(0, SEED_OFFSET + 1);
        delegate(application, service, CAP);
        vm.assertEq(capAt(1), 0);
        vm.assertEq(capAt(2), CAP);
        // Changed at once, it still starts there; its cap is set aside from the session before.
        vm.prank(application);
        escrow.delegate(gateway, service, 2 * CAP, 0);
        vm.assertEq(capAt(1), 0);
        vm.assertEq(capAt(2), 2 * CAP);
        (uint96 capSum, uint64 fromSession) = escrow.capSumOf(application);
        vm.assertEq(capSum, 2 * CAP);
        vm.assertEq(fromSession, 1);
        goTo(1, 0);
        vm.prank(application);
        escrow.delegate(gateway, service, 3 * CAP, 0);
        vm.assertEq(capAt(2), 3 * CAP);
        // Revoked and made anew, it is new again.
        goTo(2, 0);
        vm.startPrank(application);
        escrow.delegate(gateway, service, 0, 0);
        vm.assertEq(capAt(3), 0);
        token.mint(application, 1e6);
        token.approve(address(escrow), 1e6);
        escrow.delegate(gateway, service, CAP, 0);
        vm.stopPrank();
        vm.assertEq(capAt(2), 3 * CAP);
        vm.assertEq(capAt(3), 0);
        vm.assertEq(capAt(4), CAP);
    }

    function capAt(uint256 number) internal view returns (uint96 cap) {
        (cap,) = escrow.delegationAt(application, gateway, service, number);
    }

    function test_Delegate_PaysTheFeeOnce() public {
        delegate(application, service, CAP);
        vm.assertEq(escrow.claimableOf(treasury), 1e6);
        vm.prank(application);
        escrow.delegate(gateway, service, 2 * CAP, 0);
        vm.prank(application);
        escrow.delegate(gateway, service, 0, 0);
        vm.assertEq(escrow.claimableOf(treasury), 1e6);
        (uint96 capSum,) = escrow.capSumOf(application);
        vm.assertEq(capSum, 0);
    }

    function test_Amounts_FitTheAccount() public {
        uint96 most = type(uint88).max;
        vm.expectRevert(abi.encodeWithSelector(Errors.Escrow_AmountTooHigh.selector, uint256(most) + 1, most));
        escrow.deposit(application, most + 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.Escrow_AmountTooHigh.selector, uint256(most) + 1, most));
        escrow.delegate(gateway, service, most + 1, 0);
    }

    /// @dev A token of larger supply than the test token's could fill an account.
    function test_Refund_AFullAccountCollectsTheRest(uint96 value, uint96 bond) public {
        value = uint96(bound(value, 1, type(uint88).max));
        bond = uint96(bound(bond, 1, type(uint88).max));
        uint256 supply = token.totalSupply();
        fund(application, uint96(type(uint88).max - supply));

        vm.prank(address(claims));
        escrow.refund(application, value, bond);

        uint256 held = escrow.accountOf(application).balance;
        uint256 claimable = escrow.claimableOf(application);
        vm.assertEq(held + claimable, type(uint88).max - supply + value + bond);
        if (claimable != 0) vm.assertEq(held, type(uint88).max);
    }

    function test_Delegate_OnlyToWhatExists() public {
        vm.expectPartialRevert(Errors.Escrow_GatewayUnknown.selector);
        escrow.delegate(address(1), service, CAP, 0);
        vm.expectPartialRevert(Errors.Escrow_ServiceUnknown.selector);
        escrow.delegate(gateway, 0, CAP, 0);
        vm.expectPartialRevert(Errors.Escrow_FeeTooHigh.selector);
        escrow.delegate(gateway, service, CAP, 3001);
    }

    function test_Inner_OnlyClaims() public {
        vm.expectPartialRevert(Errors.Escrow_NotAuthorized.selector);
        escrow.lock(sessionOf(application, 1), 1, Share(1, 1, 1));
        vm.expectPartialRevert(Errors.Escrow_NotAuthorized.selector);
        escrow.refund(application, 1, 1);
        address[4] memory payees;
        uint96[4] memory amounts;
        vm.expectPartialRevert(Errors.Escrow_NotAuthorized.selector);
        escrow.pay(payees, amounts);
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        registry.reserveBonds(supplier, 1, 1);
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        registry.releaseBond(supplier, service, 1);
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        registry.slashBond(supplier, 1);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                      REGISTRY
    //////////////////////////////////////////////////////////////////////////*/

    function test_Supplier_KeepsItsIdWhenEverythingElseChanges() public {
        address next = address(0x52);
        vm.prank(owner);
        registry.offerSupplier(supplier, next);
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        registry.acceptSupplier(supplier);
        vm.prank(next);
        registry.acceptSupplier(supplier);
        vm.startPrank(next);
        registry.setPayout(supplier, address(0x53));
        registry.setOperator(supplier, address(0x54));
        vm.stopPrank();
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        vm.prank(owner);
        registry.setPayout(supplier, owner);
        goTo(1, 0);
        vm.assertEq(registry.supplierOf(supplier).operator, address(0x54));
        vm.assertEq(registry.operatorAt(supplier, 0), address(0));
        vm.assertEq(registry.computeSupplierId(owner, ""), supplier);
    }

    function test_Operator_CannotTouchTheStake() public {
        vm.prank(owner);
        registry.setOperator(supplier, address(0x54));
        goTo(1, 0);
        vm.startPrank(address(0x54));
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        registry.requestUnstake(supplier, 1);
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        registry.setPayout(supplier, address(0x54));
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        registry.setBondCap(supplier, 1);
        registry.setListing(supplier, service, 7);
        vm.stopPrank();
    }

    /// @dev Asked for in epoch 0, it can be taken three sessions after epoch 2, whose asks auctions take now.
    function test_Unstake_WaitsForTheRostersThatHoldIt() public {
        vm.prank(owner);
        registry.requestUnstake(supplier, 1000e6);
        vm.assertEq(registry.candidatesOf(service).length, 0);
        uint64 last = 3 * EPOCH_SESSIONS;
        goTo(last, 0);
        vm.assertEq(registry.bondRoomOf(supplier, owner, last - 1).free, 1000e6);
        goTo(last + 1, 0);
        vm.assertEq(registry.bondRoomOf(supplier, owner, last).free, 0);
        goTo(last + 2, SESSION_BLOCKS - 1);
        vm.expectPartialRevert(Errors.Registry_StillUnstaking.selector);
        vm.prank(owner);
        registry.finishUnstake(supplier);
        goTo(last + 3, 0);
        vm.prank(owner);
        registry.finishUnstake(supplier);
        vm.assertEq(token.balanceOf(owner), 1000e6);
        vm.assertEq(token.balanceOf(address(registry)), 0);
        vm.assertEq(registry.supplierOf(supplier).stake, 0);
    }

    /// @dev A member that is leaving still claims what it served, and its stake answers for it.
    function test_Unstake_AMemberThatLeavesIsNoGhost() public {
        fund(application, 10 * CAP);
        delegate(application, service, CAP);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_StakeTooLow.selector, 1000e6, 1000e6 + 1));
        registry.requestUnstake(supplier, 1000e6 + 1);
        registry.requestUnstake(supplier, 1000e6);
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_StakeTooLow.selector, 0, 1));
        registry.requestUnstake(supplier, 1);
        vm.stopPrank();

        uint64 number = 3 * EPOCH_SESSIONS - 1;
        goTo(number + 1, 0);
        ClaimInput memory input = claimInput(sessionOf(application, number), supplier, 10e6, 1000e6);
        vm.assertEq(bytes32(submit(owner, supplier, number, input)), bytes32(0));
        goTo(number + 4, 0);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_StakeTooLow.selector, 0, 1000e6));
        registry.finishUnstake(supplier);

        // Its proof never came: the bond is lost, and nothing is left to take.
        Claim memory claim = claimFrom(supplier, number, input, CAP);
        sessions.writeSeed(number + 2);
        (, uint256 points) = claims.challengeOf(claim);
        settle(claim);
        vm.assertEq(registry.supplierOf(supplier).unstaking, points == 0 ? 1000e6 : 0);
    }

    function test_Roster_HoldsThoseWithTheMostStake() public {
        for (uint160 i = 1; i < 6; ++i) {
            list(address(i), addSupplier(address(i), uint96(100e6 * i)), service);
        }
        vm.assertEq(registry.listingsOf(service).length, 6);
        RosterEntry[] memory roster = registry.candidatesOf(service);
        vm.assertEq(roster.length, 4);
        vm.assertEq(uint256(roster[0].weight) + roster[1].weight + roster[2].weight + roster[3].weight, 10 + 5 + 4 + 3);
        // Equal stake does not displace.
        addStake(registry.computeSupplierId(address(2), ""), 100e6);
        vm.assertEq(keccak256(abi.encode(registry.candidatesOf(service))), keccak256(abi.encode(roster)));
    }

    /// @dev Fewer places leave the same suppliers in front, wherever they stand in the list.
    function test_Roster_ALoweredMaximumKeepsTheLargest() public {
        address large = addSupplier(address(1), 500e6);
        address small = addSupplier(address(2), 100e6);
        list(address(2), small, service);
        list(address(1), large, service);
        ParameterValues memory values = parameterValues();
        values.rosterMax = 2;
        vm.prank(admin);
        parameters.scheduleValues(3, values);
        goTo(2 * EPOCH_SESSIONS, 0);
        RosterEntry[] memory roster = registry.candidatesOf(service);
        vm.assertEq(roster.length, 2);
        vm.assertEq(roster[0].supplier, supplier);
        vm.assertEq(roster[1].supplier, large);
        // Who leaves makes room for who did not fit.
        vm.prank(owner);
        registry.requestUnstake(supplier, 1000e6);
        roster = registry.candidatesOf(service);
        vm.assertEq(roster.length, 2);
        vm.assertEq(roster[0].supplier, small);
        vm.assertEq(roster[1].supplier, large);
        // And a new one is listed, though the list is longer than a roster.
        list(address(3), addSupplier(address(3), 100e6), service);
        vm.assertEq(registry.listingsOf(service).length, 4);
    }

    /// @dev In the last block before the window closes, nobody is pushed out by who does not stay.
    function test_Roster_NobodyIsPushedOutByWhoDoesNotStay() public {
        for (uint160 i = 1; i < 4; ++i) {
            list(address(i), addSupplier(address(i), 100e6), service);
        }
        goTo(2, SESSION_BLOCKS - 1);
        RosterEntry[] memory before = registry.candidatesOf(service);
        vm.assertEq(before.length, 4);
        address pusher = addSupplier(address(9), 10_000e6);
        list(address(9), pusher, service);
        vm.prank(address(9));
        registry.removeListing(pusher, service);
        vm.assertEq(keccak256(abi.encode(registry.candidatesOf(service))), keccak256(abi.encode(before)));
    }

    function test_Listing_AFullListGivesWayToMoreStake() public {
        for (uint160 i = 1; i < 256; ++i) {
            list(address(0x1000 + i), addSupplier(address(0x1000 + i), uint96(100e6 + i)), service);
        }
        address late = addSupplier(address(0x999), 100e6 + 1);
        vm.prank(address(0x999));
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_ListFull.selector, service, 100e6 + 1));
        registry.setListing(late, service, PRICE);
        addStake(late, 1);
        list(address(0x999), late, service);
        vm.assertEq(registry.listingsOf(service).length, 256);
        address evicted = registry.computeSupplierId(address(0x1001), "");
        vm.prank(address(0x1001));
        vm.expectPartialRevert(Errors.Registry_NotListed.selector);
        registry.removeListing(evicted, service);
    }

    function test_Listing_NeedsStakeAndAPrice() public {
        address poor = addSupplier(address(9), 100e6 - 1);
        vm.startPrank(address(9));
        vm.expectPartialRevert(Errors.Registry_StakeTooLow.selector);
        registry.setListing(poor, service, PRICE);
        vm.expectPartialRevert(Errors.Registry_PriceZero.selector);
        registry.setListing(poor, service, 0);
        vm.stopPrank();
    }

    function test_Service_IsImmutableAndTheSources() public {
        vm.expectPartialRevert(Errors.Registry_ServiceExists.selector);
        this.listAgain(source, 500);
        vm.expectPartialRevert(Errors.Registry_SourceShareTooHigh.selector);
        this.listAgain(source, 4001);
        vm.expectPartialRevert(Errors.Registry_NotAuthorized.selector);
        this.listAgain(owner, 500);
    }

    function listAgain(address sender, uint16 bps) external {
        vm.prank(sender);
        registry.listService(Service(source, keccak256("spec"), 1, 2, 1, 4, bps, address(0), "demo"));
    }

    /*//////////////////////////////////////////////////////////////////////////
                                      SESSIONS
    //////////////////////////////////////////////////////////////////////////*/

    function test_Roster_WeighsStakeInCappedLots() public {
        addStake(supplier, 5000e6);
        list(address(1), addSupplier(address(1), 299e6), service);
        sessions.buildRoster(service);
        RosterEntry[] memory roster = sessions.rosterOf(service, 1);
        vm.assertEq(roster.length, 2);
        vm.assertEq(roster[0].weight, 10);
        vm.assertEq(roster[1].weight, 2);
    }

    function test_Roster_IsInheritedAndClosesBeforeItsSeed() public {
        vm.assertEq(sessions.rosterOf(service, 0).length, 0);
        vm.assertEq(sessions.rosterOf(service, 7).length, 1);
        goTo(1, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.Sessions_RosterWindowClosed.selector, 1));
        sessions.buildRoster(service);
        goTo(2, 0);
        vm.prank(owner);
        registry.removeListing(supplier, service);
        sessions.buildRoster(service);
        vm.assertEq(sessions.rosterOf(service, 1).length, 1);
        vm.assertEq(sessions.rosterOf(service, 2).length, 0);
    }

    function test_Roster_AMarketPublishesItsOwn() public {
        address market = address(0x3A);
        bytes32 auctioned = listService("auctioned", market);
        address other = addSupplier(address(9), 100e6);
        (address low, address high) = supplier < other ? (supplier, other) : (other, supplier);
        RosterEntry[] memory entries = new RosterEntry[](2);
        (entries[0], entries[1]) = (RosterEntry(low, 5, 70), RosterEntry(high, 6, 30));
        vm.expectPartialRevert(Errors.Sessions_NotMarket.selector);
        sessions.buildRoster(auctioned);
        vm.expectPartialRevert(Errors.Sessions_NotMarket.selector);
        sessions.publishRoster(auctioned, entries, false);
        vm.startPrank(market);
        sessions.publishRoster(auctioned, entries, false);
        vm.assertEq(sessions.rosterOf(auctioned, 1)[1].weight, 30);
        entries[1].supplier = low;
        vm.expectRevert(abi.encodeWithSelector(Errors.Sessions_RosterInvalid.selector, 1));
        sessions.publishRoster(auctioned, entries, false);
        entries[1] = RosterEntry(high, 0, 1);
        vm.expectPartialRevert(Errors.Sessions_RosterInvalid.selector);
        sessions.publishRoster(auctioned, entries, false);
        vm.stopPrank();
    }

    function test_Seed_OnceAndOnlyWhileKnown() public {
        goTo(1, SEED_OFFSET);
        vm.assertEq(sessions.seedOf(1), bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(Errors.Sessions_SeedUnavailable.selector, 1));
        sessions.writeSeed(1);
        goTo(1, SEED_OFFSET + 1);
        vm.assertEq(sessions.writeSeed(1), seedHash(1));
        uint256 seedBlock = sessions.seedBlockOf(0);
        vm.roll(seedBlock + 8191);
        vm.assertEq(sessions.seedOf(0), seedHash(0));
        vm.roll(seedBlock + 8192);
        vm.assertEq(sessions.seedOf(0), bytes32(0));
        vm.assertEq(sessions.seedOf(1), seedHash(1));
    }

    /// @dev Exactly `members` suppliers are members, and the contract agrees with a plain simulation.
    function test_Draw_HasExactlyTheMembers(uint64 number) public {
        number = 2 + number % 2;
        for (uint160 i = 1; i < 4; ++i) {
            list(address(i), addSupplier(address(i), uint96(100e6 * i)), service);
        }
        sessions.buildRoster(service);
        goTo(number, 0);
        SessionKey memory session = sessionOf(application, number);
        RosterEntry[] memory roster = sessions.rosterOf(service, 1);
        uint256 found = 0;
        for (uint256 i = 0; i < roster.length; ++i) {
            (uint32 index, uint8 draw, uint32[] memory earlier) = findDraw(session, roster[i].supplier);
            if (draw == 64) continue;
            ++found;
            vm.assertEq(sessions.verifyMember(session, roster[i].supplier, index, draw, earlier), PRICE);
            vm.expectPartialRevert(Errors.Sessions_NotMember.selector);
            sessions.verifyMember(session, roster[i].supplier, index, draw, new uint32[](65));
        }
        vm.assertEq(found, 2);
    }

    /// @dev A roster built again, and shorter, leaves entries behind it: no draw may be said to hit one of them.
    function test_Draw_EntriesLeftBehindTheRosterDoNotCount() public {
        address market = address(0x3A);
        bytes32 auctioned = listService("auctioned", market);
        address[] memory all = new address[](4);
        all[0] = supplier;
        all[1] = addSupplier(address(8), 100e6);
        all[2] = addSupplier(address(9), 100e6);
        all[3] = addSupplier(address(7), 100e6);
        for (uint256 i = 1; i < 4; ++i) {
            for (uint256 j = i; j != 0 && all[j] < all[j - 1]; --j) {
                (all[j], all[j - 1]) = (all[j - 1], all[j]);
            }
        }
        RosterEntry[] memory entries = new RosterEntry[](4);
        for (uint256 i = 0; i < 4; ++i) {
            entries[i] = RosterEntry(all[i], PRICE, i == 3 ? 97 : 1);
        }
        vm.startPrank(market);
        sessions.publishRoster(auctioned, entries, false);
        RosterEntry[] memory shorter = new RosterEntry[](2);
        (shorter[0], shorter[1]) = (RosterEntry(all[0], PRICE, 1), RosterEntry(all[1], PRICE, 99));
        sessions.publishRoster(auctioned, shorter, false);
        vm.stopPrank();
        goTo(2, 0);

        // Draw 0 truly hits entry 1, but entry 3, left behind, covers its point as well.
        SessionKey memory session = SessionKey(application, gateway, auctioned, 2);
        while (!drawsFromThree(session)) {
            session.application = address(uint160(session.application) + 1);
        }
        uint32[] memory earlier = new uint32[](0);
        vm.assertEq(sessions.verifyMember(session, all[1], 1, 0, earlier), PRICE);
        vm.expectPartialRevert(Errors.Sessions_NotMember.selector);
        sessions.verifyMember(session, all[3], 3, 0, earlier);
        earlier = new uint32[](2);
        (earlier[0], earlier[1]) = (1, 1);
        vm.assertEq(sessions.verifyMember(session, all[1], 1, 2, earlier), PRICE);
        (earlier[0], earlier[1]) = (3, 3);
        vm.expectPartialRevert(Errors.Sessions_NotMember.selector);
        sessions.verifyMember(session, all[1], 1, 2, earlier);
    }

    /// @dev Whether the first three points of a total weight of 100 are all at least 3.
    function drawsFromThree(SessionKey memory session) internal view returns (bool) {
        bytes32 seed = keccak256(abi.encode(sessions.seedOf(1), claims.sessionIdOf(session)));
        for (uint256 draw = 0; draw < 3; ++draw) {
            if (uint256(keccak256(abi.encode(seed, draw))) % 100 < 3) return false;
        }
        return true;
    }

    /*//////////////////////////////////////////////////////////////////////////
                                     PARAMETERS
    //////////////////////////////////////////////////////////////////////////*/

    function test_Pause_StopsNewSessionsOnly() public {
        fund(application, 10 * CAP);
        delegate(application, service, CAP);
        goTo(2, 3);
        vm.expectRevert();
        parameters.pause();
        vm.prank(pauser);
        parameters.pause();
        vm.assertTrue(sessions.isValid(sessionOf(application, 2)));
        goTo(3, 0);
        vm.assertFalse(sessions.isValid(sessionOf(application, 3)));
        vm.assertTrue(sessions.isValid(sessionOf(application, 2)));
        vm.prank(pauser);
        parameters.unpause();
        vm.assertFalse(sessions.isValid(sessionOf(application, 3)));
        goTo(4, 0);
        vm.assertTrue(sessions.isValid(sessionOf(application, 4)));
    }

    function test_Values_ChangeThreeEpochsAhead() public {
        ParameterValues memory values = parameterValues();
        values.members = 9;
        vm.expectRevert();
        parameters.scheduleValues(3, values);
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Errors.Parameters_EpochOutOfRange.selector, 2, 3, 67));
        parameters.scheduleValues(2, values);
        parameters.scheduleValues(3, values);
        vm.assertEq(parameters.valuesAt(2).members, 2);
        vm.assertEq(parameters.valuesAt(3).members, 9);
        values.members = 8;
        parameters.scheduleValues(3, values);
        vm.assertEq(parameters.valuesAt(1000).members, 8);
        parameters.scheduleValues(5, values);
        vm.expectRevert(abi.encodeWithSelector(Errors.Parameters_EpochOutOfRange.selector, 4, 5, 67));
        parameters.scheduleValues(4, values);
        vm.expectRevert(abi.encodeWithSelector(Errors.Parameters_EpochOutOfRange.selector, 68, 5, 67));
        parameters.scheduleValues(68, values);
        parameters.scheduleValues(67, values);
        vm.stopPrank();
        vm.assertEq(parameters.valuesAt(4).members, 8);
        vm.assertEq(parameters.valuesAt(1).members, 2);
    }

    function test_Values_StayWithinTheirLimits() public {
        ParameterValues memory values = parameterValues();
        (values.members, values.rosterMax, values.protocolBps) = (64, 128, 1000);
        (values.marginBps, values.bondRatioMax) = (600_000, 1);
        tryValues(values, true);
        (values.marginBps, values.bondRatioMax) = (10_000, 60);
        tryValues(values, true);
        values.bondRatioMax = 61;
        tryValues(values, false);
        (values.marginBps, values.bondRatioMax) = (type(uint32).max, type(uint16).max);
        tryValues(values, false);
        values = parameterValues();
        values.marginBps = 9999;
        tryValues(values, false);
        values = parameterValues();
        values.members = 65;
        tryValues(values, false);
        values = parameterValues();
        values.rosterMax = 129;
        tryValues(values, false);
        values = parameterValues();
        values.protocolBps = 1001;
        tryValues(values, false);
    }

    function tryValues(ParameterValues memory values, bool good) internal {
        if (!good) vm.expectPartialRevert(Errors.Parameters_ValuesInvalid.selector);
        vm.prank(admin);
        parameters.scheduleValues(10, values);
    }

    function test_Clock_FitsTheHistory() public {
        tryClock(ClockValues(GENESIS, 2047, 1, 2), true);
        tryClock(ClockValues(GENESIS, 2048, 1, 2), false);
        tryClock(ClockValues(GENESIS, 12, 0, 2), false);
        tryClock(ClockValues(GENESIS, 12, 6, 2), true);
        tryClock(ClockValues(GENESIS, 12, 7, 2), false);
        tryClock(ClockValues(GENESIS, 12, 11, 2), false);
        tryClock(ClockValues(GENESIS, 4, 2, 2), true);
        tryClock(ClockValues(GENESIS, 3, 1, 2), false);
        tryClock(ClockValues(GENESIS, 12, 12, 2), false);
        tryClock(ClockValues(GENESIS, 12, 2, 1), false);
        tryClock(ClockValues(GENESIS + 1, 12, 2, 2), false);
    }

    function tryClock(ClockValues memory values, bool good) internal {
        try new Parameters(values, parameterValues(), admin, pauser, treasury) {
            vm.assertTrue(good);
        } catch {
            vm.assertFalse(good);
        }
    }

    function test_TestToken_SupplyFitsTheEscrow() public {
        uint256 most = type(uint88).max;
        token.mint(owner, most - token.totalSupply());
        vm.expectRevert(abi.encodeWithSelector(Errors.TestToken_SupplyTooHigh.selector, most + 1, most));
        token.mint(owner, 1);
    }

    /// @dev Claims refuses whatever was built to work with other contracts, one at a time.
    function test_Wiring_EveryPartIsChecked() public {
        wire(0);
        for (uint256 fault = 1; fault <= 10; ++fault) {
            wire(fault);
        }
    }

    /// @dev Builds the four, one of them naming a stranger; none where `fault` is zero.
    function wire(uint256 fault) internal {
        Parameters stranger = new Parameters(clockValues(), parameterValues(), admin, pauser, treasury);
        TestToken coin = new TestToken();
        uint64 nonce = vm.getNonce(address(this));
        address escrowAt = vm.computeCreateAddress(address(this), nonce + 1);
        address claimsAt = vm.computeCreateAddress(address(this), nonce + 3);
        Registry own = new Registry(
            fault == 1 ? stranger : parameters,
            token,
            fault == 2 ? address(escrow) : escrowAt,
            fault == 3 ? address(claims) : claimsAt
        );
        Escrow ownEscrow = new Escrow(
            fault == 4 ? stranger : parameters,
            fault == 5 ? coin : token,
            fault == 6 ? registry : own,
            fault == 7 ? address(claims) : claimsAt
        );
        Sessions ownSessions = new Sessions(
            fault == 8 ? stranger : parameters, fault == 9 ? registry : own, fault == 10 ? escrow : ownEscrow
        );
        if (fault != 0) vm.expectPartialRevert(Errors.Claims_WiringInvalid.selector);
        new Claims(parameters, own, ownEscrow, ownSessions);
    }
}
