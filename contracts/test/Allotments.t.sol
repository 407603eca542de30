// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Errors } from "../src/libraries/Errors.sol";
import { ClaimInput, ParameterValues, RosterEntry, SessionKey, SessionTerms } from "../src/types/Types.sol";
import { Market } from "./utils/Market.sol";

/// @notice What a supplier may claim of allotted sessions is what its units cost out of all, whoever else sells.
contract AllotmentsTest is Market {
    uint256 internal constant MEMBERS = 5;
    uint256 internal constant MOST = 9;
    uint96 internal constant ALLOTTED = 1_000_003;
    uint64 internal constant EPOCH = 1;
    uint64 internal constant FIRST = EPOCH * EPOCH_SESSIONS;

    address internal ann = address(0xA1);
    RosterEntry[] internal sold;
    mapping(address supplier => address owner) internal ownerOf;
    address[] internal line;

    /// @dev The market of the service is this test. The cap is twice what is allotted: the rest does not count.
    function setUp() public {
        deployMarket();
        service = listService("allotted", address(this));
        for (uint160 i = 0; i < MOST; ++i) {
            address supplier = addSupplier(address(0x500 + i), 1000e6);
            ownerOf[supplier] = address(0x500 + i);
            line.push(supplier);
        }
        for (uint256 i = 1; i < MOST; ++i) {
            for (uint256 j = i; j > 0 && line[j] < line[j - 1]; --j) {
                (line[j], line[j - 1]) = (line[j - 1], line[j]);
            }
        }
        fund(ann, 100 * ALLOTTED);
        delegate(ann, service, 2 * ALLOTTED);
    }

    function parameterValues() internal pure override returns (ParameterValues memory values) {
        values = super.parameterValues();
        (values.members, values.rosterMax) = (uint8(MEMBERS), 16);
    }

    /// @dev `count` suppliers sell units at prices, both drawn.
    function publish(uint256 count, uint256 seed) internal returns (uint256 paid) {
        for (uint256 i = 0; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            sold.push(RosterEntry(line[i], uint64(bound(seed, 1, 2000)), uint32(bound(seed >> 64, 1, 500))));
            paid += uint256(sold[i].unitPrice) * sold[i].weight;
        }
        sessions.publishRoster(service, sold, true);
        sessions.allot(service, EPOCH, ann, gateway, ALLOTTED);
        goTo(FIRST, SEED_OFFSET + 1);
        sessions.writeSeed(FIRST - 1);
    }

    /// @dev Zero for who is no member.
    function sliceOf(uint256 index) internal view returns (uint96) {
        try sessions.termsOf(sessionOf(ann, FIRST), sold[index].supplier, uint32(index), 0, new uint32[](0)) returns (
            SessionTerms memory terms
        ) {
            vm.assertEq(terms.price, sold[index].unitPrice);
            return terms.slice;
        } catch {
            return 0;
        }
    }

    /// @dev With no more suppliers than members, each has exactly its part, and the buyer can use all it paid for.
    function test_Slice_IsWhatTheUnitsCost(uint256 seed) public {
        uint256 count = 1 + seed % MEMBERS;
        uint256 paid = publish(count, seed);
        for (uint256 i = 0; i < count; ++i) {
            vm.assertEq(sliceOf(i), uint256(ALLOTTED) * sold[i].unitPrice * sold[i].weight / paid);
        }
        claimAll();
    }

    /// @dev With more, a K-th for each of K draws: together all of the cap still.
    function test_Slice_IsAPartForEachHit(uint256 seed) public {
        uint256 count = MEMBERS + 1 + seed % (MOST - MEMBERS);
        publish(count, seed);
        uint256 parts = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint256 hits = (uint256(sliceOf(i)) * MEMBERS + MEMBERS - 1) / ALLOTTED;
            vm.assertEq(sliceOf(i), ALLOTTED * hits / MEMBERS);
            parts += hits;
        }
        vm.assertEq(parts, MEMBERS);
        claimAll();
    }

    /// @dev Each claims all of its slice, to the rounding of a unit's price, and not one unit more.
    function claimAll() internal {
        uint256 slices = 0;
        goTo(FIRST + 1, 0);
        uint96 before = escrow.accountOf(ann).balance;
        for (uint256 i = 0; i < sold.length; ++i) {
            uint96 slice = sliceOf(i);
            if (slice == 0) continue;
            slices += slice;
            uint64 most = uint64((uint256(slice) * 1e6 + 1e6 - 1) / sold[i].unitPrice);
            vm.assertEq(claim(i, most + 1e6), Errors.Claims_OverSlice.selector);
            vm.assertEq(claim(i, most), bytes4(0));
            vm.assertEq(claim(i, most), Errors.Claims_AlreadyClaimed.selector);
        }
        vm.assertEq(before - escrow.accountOf(ann).balance, slices);
        vm.assertGe(slices + sold.length, ALLOTTED);
        vm.assertLe(slices, ALLOTTED);
    }

    function claim(uint256 index, uint64 units) internal returns (bytes4) {
        ClaimInput memory input =
            ClaimInput(ann, gateway, service, keccak256("root"), units, 1, 10e6, uint32(index), 0, new uint32[](0));
        return submit(ownerOf[sold[index].supplier], sold[index].supplier, FIRST, input);
    }

    /// @dev A seller of one unit among dear ones is not rounded away.
    function test_Slice_OfTheSmallestIsNotRoundedAway() public {
        sold.push(RosterEntry(line[0], 1, 1));
        sold.push(RosterEntry(line[1], type(uint64).max, 2 ** 25 - 1));
        sessions.publishRoster(service, sold, true);
        RosterEntry[] memory roster = sessions.rosterOf(service, EPOCH);
        vm.assertEq(roster[0].weight, 1);
        vm.assertGe(roster[1].weight, 2 ** 31 - 2);
    }

    /// @dev There is one way to name a member of an allotted roster.
    function test_Member_HasNoDraw() public {
        publish(2, 7);
        SessionKey memory session = sessionOf(ann, FIRST);
        sessions.verifyMember(session, sold[0].supplier, 0, 0, new uint32[](0));
        vm.expectPartialRevert(Errors.Sessions_NotMember.selector);
        sessions.verifyMember(session, sold[0].supplier, 0, 1, new uint32[](0));
        vm.expectPartialRevert(Errors.Sessions_NotMember.selector);
        sessions.verifyMember(session, sold[0].supplier, 0, 0, new uint32[](1));
        vm.expectPartialRevert(Errors.Sessions_NotMember.selector);
        sessions.verifyMember(session, sold[0].supplier, 1, 0, new uint32[](0));
        vm.expectPartialRevert(Errors.Sessions_NotMember.selector);
        sessions.verifyMember(session, sold[0].supplier, 2, 0, new uint32[](0));
    }

    /// @dev What was paid for one epoch is not for the next: its roster is inherited, its allotments are not.
    function test_Allotment_EndsWithItsEpoch() public {
        publish(2, 3);
        goTo(FIRST + EPOCH_SESSIONS - 1, 0);
        vm.assertTrue(sessions.isValid(sessionOf(ann, FIRST + EPOCH_SESSIONS - 1)));
        uint64 next = FIRST + EPOCH_SESSIONS;
        goTo(next, 0);
        vm.assertEq(sessions.rosterOf(service, EPOCH + 1).length, 2);
        vm.assertEq(sessions.allotmentOf(sessionOf(ann, next)), 0);
        vm.assertFalse(sessions.isValid(sessionOf(ann, next)));
        sessions.writeSeed(next - 1);
        goTo(next + 1, 0);
        ClaimInput memory input =
            ClaimInput(ann, gateway, service, keccak256("root"), 1e6, 1, 10e6, 0, 0, new uint32[](0));
        address supplier = sold[0].supplier;
        vm.assertEq(submit(ownerOf[supplier], supplier, next, input), Errors.Sessions_SessionInvalid.selector);
    }

    /// @dev A cap may be set ahead of its allotment; what exceeds it does not count, and harms nothing.
    function test_Allotment_BoundsTheCap() public {
        publish(1, 3);
        vm.assertTrue(sessions.isValid(sessionOf(ann, FIRST)));
        vm.assertEq(sliceOf(0), ALLOTTED);
        vm.prank(ann);
        escrow.delegate(gateway, service, ALLOTTED / 2, 200);
        sold.pop();
        goTo(FIRST + 1, SEED_OFFSET + 1);
        sessions.writeSeed(FIRST);
        (uint96 half) = sessions.termsOf(sessionOf(ann, FIRST + 1), line[0], 0, 0, new uint32[](0)).slice;
        vm.assertEq(half, ALLOTTED / 2);
    }
}
