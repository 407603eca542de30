// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Errors } from "../src/libraries/Errors.sol";
import { Claim, ClaimInput, LeafProof, SessionKey } from "../src/types/Types.sol";
import { Market } from "./utils/Market.sol";

/// @notice The life of a claim, and everything that must not be one.
contract ClaimsTest is Market {
    address internal application = address(0xA1);
    address internal owner = address(0x51);
    address internal supplier;
    address internal otherOwner = address(0x52);
    address internal other;
    SessionKey internal session;

    uint64 internal constant NUMBER = 3;
    uint64 internal constant UNITS = 10e6;
    uint96 internal constant BOND = 5e6;

    function setUp() public {
        deployMarket();
        supplier = addSupplier(owner, 1000e6);
        other = addSupplier(otherOwner, 1000e6);
        list(owner, supplier, service);
        fund(application, 10 * CAP);
        delegate(application, service, CAP);
        sessions.buildRoster(service);
        session = sessionOf(application, NUMBER);
        goTo(NUMBER + 1, 0);
    }

    /// @dev The claim made of an input, which must be accepted.
    function submitted(ClaimInput memory input) internal returns (Claim memory) {
        vm.assertEq(bytes32(submit(owner, supplier, NUMBER, input)), bytes32(0));
        return claimFrom(supplier, NUMBER, input, CAP);
    }

    function submitGood() internal returns (Claim memory claim) {
        ClaimInput memory input = claimInput(session, supplier, UNITS, BOND);
        claim = submitted(input);
        vm.assertTrue(isOpen(claim), "refused");
    }

    /*//////////////////////////////////////////////////////////////////////////
                                     SUBMITTING
    //////////////////////////////////////////////////////////////////////////*/

    function test_Submit_LocksTheValueAndReservesTheBond() public {
        submitGood();
        vm.assertEq(escrow.accountOf(application).balance, 10 * CAP - UNITS);
        vm.assertEq(registry.supplierOf(supplier).reserved, BOND);
    }

    function test_Submit_OnlyInTheSessionAfter() public {
        ClaimInput memory input = claimInput(session, supplier, UNITS, BOND);
        goTo(NUMBER, SESSION_BLOCKS - 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.Claims_WindowClosed.selector, NUMBER, NUMBER));
        this.submitOnce(owner, supplier, input);
        goTo(NUMBER + 2, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.Claims_WindowClosed.selector, NUMBER, NUMBER + 2));
        this.submitOnce(owner, supplier, input);
        goTo(NUMBER + 1, SESSION_BLOCKS - 1);
        submitGood();
    }

    function test_Submit_Once() public {
        submitGood();
        refused(claimInput(session, supplier, UNITS + 1, BOND), Errors.Claims_AlreadyClaimed.selector);
    }

    /// @dev A slot is used by every fourth session: what it holds is settled first, and what it held stays claimed.
    function test_Submit_OverASettledClaimOnly() public {
        Claim memory claim = submitGood();
        for (uint64 number = NUMBER + 1; number < NUMBER + 4; ++number) {
            goTo(number + 1, 0);
            submitAt(number, 0);
        }
        goTo(NUMBER + 5, 0);
        submitAt(NUMBER + 4, Errors.Claims_Unsettled.selector);
        vm.assertTrue(isOpen(claim));
        vm.assertEq(bytes32(settle(claim)), bytes32(0));
        submitAt(NUMBER + 4, 0);
        submitAt(NUMBER + 4, Errors.Claims_AlreadyClaimed.selector);
        vm.assertFalse(isOpen(claim));
        vm.assertEq(bytes32(settle(claim)), bytes32(Errors.Claims_ClaimUnknown.selector));
    }

    function submitAt(uint64 number, bytes4 refusal) internal {
        ClaimInput memory input = claimInput(sessionOf(application, number), supplier, UNITS, BOND);
        vm.assertEq(bytes32(submit(owner, supplier, number, input)), bytes32(refusal));
    }

    function test_Submit_WithinTheSlice() public {
        uint64 slice = uint64(CAP / 2);
        refused(claimInput(session, supplier, slice + 1, BOND), Errors.Claims_OverSlice.selector);
        submitted(claimInput(session, supplier, slice, BOND));
        vm.assertEq(escrow.accountOf(application).balance, 10 * CAP - slice);
    }

    function test_Submit_NumbersInRange() public {
        ClaimInput memory input = claimInput(session, supplier, UNITS, BOND);
        input.count = 0;
        refused(input, Errors.Claims_SumOutOfRange.selector);
        input.count = UNITS + 1;
        refused(input, Errors.Claims_SumOutOfRange.selector);
        (input.count, input.sum) = (1, 2 ** 63);
        refused(input, Errors.Claims_SumOutOfRange.selector);
        input.sum = 2 ** 63 - 1;
        refused(input, Errors.Claims_BondTooLow.selector);
    }

    function test_Submit_WithABondThatCovers() public {
        uint96 least = (UNITS + 29) / 30;
        refused(claimInput(session, supplier, UNITS, least - 1), Errors.Claims_BondTooLow.selector);
        refused(claimInput(session, supplier, UNITS, 1000e6 + 1), Errors.Registry_StakeTooLow.selector);
        submitted(claimInput(session, supplier, UNITS, least));
        vm.assertEq(registry.supplierOf(supplier).reserved, least);
    }

    function test_Submit_WithinTheOwnersBound() public {
        vm.prank(owner);
        registry.setBondCap(supplier, BOND - 1);
        refused(claimInput(session, supplier, UNITS, BOND), Errors.Registry_BondCapExceeded.selector);
        submitted(claimInput(session, supplier, UNITS, BOND - 1));
        vm.assertEq(registry.supplierOf(supplier).reserved, BOND - 1);
    }

    function test_Submit_OnlyByTheOperator() public {
        ClaimInput memory input = claimInput(session, supplier, UNITS, BOND);
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_NotAuthorized.selector, address(0xBAD)));
        this.submitOnce(address(0xBAD), supplier, input);
        vm.expectRevert(abi.encodeWithSelector(Errors.Registry_NotAuthorized.selector, owner));
        this.submitOnce(owner, other, input);
    }

    function test_Submit_OnlyByAMember() public {
        ClaimInput memory input = claimInput(session, supplier, UNITS, BOND);
        vm.assertEq(bytes32(submit(otherOwner, other, NUMBER, input)), bytes32(Errors.Sessions_NotMember.selector));
        input.rosterIndex = 1;
        refused(input, Errors.Sessions_NotMember.selector);
    }

    function test_Submit_OneBadClaimLeavesTheOthers() public {
        ClaimInput[] memory inputs = new ClaimInput[](3);
        inputs[0] = claimInput(session, supplier, UNITS, 0);
        inputs[1] = claimInput(session, supplier, UNITS, BOND);
        inputs[2] = inputs[1];
        vm.prank(owner);
        claims.submitClaims(supplier, NUMBER, inputs);
        vm.assertTrue(isOpen(claimFrom(supplier, NUMBER, inputs[1], CAP)));
        vm.assertEq(registry.supplierOf(supplier).reserved, BOND);
    }

    /// @dev Whoever offers too little gas gets nothing done, neither a claim nor a refusal.
    function test_Batch_IsNeverRefusedForWantOfGas(uint32 gas) public {
        ClaimInput[] memory inputs = new ClaimInput[](1);
        inputs[0] = claimInput(session, supplier, UNITS, BOND);
        Claim[] memory batch = new Claim[](1);
        batch[0] = claimFrom(supplier, NUMBER, inputs[0], CAP);
        vm.recordLogs();
        vm.prank(owner);
        try claims.submitClaims{ gas: gas % 200_000 }(supplier, NUMBER, inputs) {
            vm.assertTrue(isOpen(batch[0]));
        } catch {
            vm.assertFalse(isOpen(batch[0]));
            vm.prank(owner);
            claims.submitClaims(supplier, NUMBER, inputs);
        }
        goTo(NUMBER + 3, 0);
        try claims.settle{ gas: gas % 200_000 }(batch) {
            vm.assertFalse(isOpen(batch[0]));
        } catch {
            vm.assertTrue(isOpen(batch[0]));
        }
        vm.assertEq(bytes32(refusalIn(vm.getRecordedLogs())), bytes32(0));
    }

    /*//////////////////////////////////////////////////////////////////////////
                                 PROVING AND SETTLING
    //////////////////////////////////////////////////////////////////////////*/

    function test_Prove_PaysEveryone_WhoeverProves() public {
        Claim memory claim = submitGood();
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        LeafProof[] memory proof = goodProof(claim);
        vm.assertEq(proof.length, 4);
        vm.prank(address(0x57A));
        claims.prove(claim, SALT, proof);

        vm.assertEq(escrow.claimableOf(source), UNITS * 5 / 100);
        vm.assertEq(escrow.claimableOf(gateway), UNITS * 2 / 100);
        vm.assertEq(escrow.claimableOf(treasury), UNITS / 100 + 1e6);
        vm.assertEq(escrow.claimableOf(owner), UNITS * 92 / 100);
        vm.assertEq(registry.supplierOf(supplier).reserved, 0);
        escrow.collectFor(owner);
        vm.assertEq(token.balanceOf(owner), UNITS * 92 / 100);
    }

    function test_Prove_OnlyInItsWindow() public {
        Claim memory claim = submitGood();
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        LeafProof[] memory proof = goodProof(claim);
        // One block earlier the challenge cannot be known.
        goTo(NUMBER + 2, SEED_OFFSET);
        vm.expectPartialRevert(Errors.Claims_ProofWindowClosed.selector);
        claims.prove(claim, SALT, proof);
        goTo(NUMBER + 3, 0);
        vm.expectPartialRevert(Errors.Claims_ProofWindowClosed.selector);
        claims.prove(claim, SALT, proof);
        goTo(NUMBER + 2, SESSION_BLOCKS - 1);
        claims.prove(claim, SALT, proof);
    }

    function test_Prove_Once() public {
        Claim memory claim = submitGood();
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        LeafProof[] memory proof = goodProof(claim);
        claims.prove(claim, SALT, proof);
        vm.expectPartialRevert(Errors.Claims_ClaimUnknown.selector);
        claims.prove(claim, SALT, proof);
        vm.assertEq(bytes32(settle(claim)), bytes32(Errors.Claims_ClaimUnknown.selector));
    }

    function test_Prove_TheWrongClaimIsUnknown(uint8 field) public {
        Claim memory claim = submitGood();
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        LeafProof[] memory proof = goodProof(claim);
        field %= 8;
        if (field == 0) claim.value += 1;
        if (field == 1) claim.bond -= 1;
        if (field == 2) claim.tau -= 1;
        if (field == 3) claim.price += 1;
        if (field == 4) claim.feeBps += 1;
        if (field == 5) claim.sum -= 1;
        if (field == 6) claim.count += 1;
        if (field == 7) claim.rootDigest = 0;
        vm.expectPartialRevert(Errors.Claims_ClaimUnknown.selector);
        claims.prove(claim, SALT, proof);
    }

    function test_Prove_EveryBadLeafHasItsReason() public {
        Claim memory claim = submitGood();
        goTo(NUMBER + 2, SEED_OFFSET + 1);

        LeafProof[] memory leaves = new LeafProof[](3);
        vm.expectPartialRevert(Errors.Proof_WrongLeafCount.selector);
        claims.prove(claim, SALT, leaves);

        LeafProof memory leaf = goodLeaf(claim);
        leaf.units = 0;
        refusedLeaf(claim, leaf, Errors.Proof_UnitsOutOfRange.selector);
        leaf.units = 2 ** 63;
        refusedLeaf(claim, leaf, Errors.Proof_UnitsOutOfRange.selector);
        leaf.units = UNITS - 1;
        refusedLeaf(claim, leaf, Errors.Proof_RootMismatch.selector);

        leaf = goodLeaf(claim);
        leaf.siblings = new bytes(47);
        refusedLeaf(claim, leaf, Errors.Proof_MalformedSiblings.selector);
        leaf.siblings = new bytes(257 * 48);
        refusedLeaf(claim, leaf, Errors.Proof_MalformedSiblings.selector);
        leaf.siblings = new bytes(48);
        refusedLeaf(claim, leaf, Errors.Proof_RootMismatch.selector);
        leaf.siblings = abi.encodePacked(bytes32(0), type(uint64).max, uint64(1));
        refusedLeaf(claim, leaf, Errors.Proof_SumOverflow.selector);
        leaf.siblings = abi.encodePacked(bytes32(0), uint64(0), type(uint64).max);
        refusedLeaf(claim, leaf, Errors.Proof_SumOverflow.selector);

        leaf = goodLeaf(claim);
        leaf.batchPath = new bytes32[](17);
        refusedLeaf(claim, leaf, Errors.Proof_PathMismatch.selector);
        leaf.batchPath = new bytes32[](16);
        refusedLeaf(claim, leaf, Errors.Proof_BadBatchSignature.selector);
        leaf = goodLeaf(claim);
        leaf.batchSignature[64] = leaf.batchSignature[64] == bytes1(uint8(27)) ? bytes1(uint8(28)) : bytes1(uint8(27));
        refusedLeaf(claim, leaf, Errors.Proof_BadBatchSignature.selector);
        leaf.batchSignature = "";
        refusedLeaf(claim, leaf, Errors.Proof_BadBatchSignature.selector);

        leaf = goodLeaf(claim);
        vm.expectPartialRevert(Errors.Proof_RootMismatch.selector);
        claims.checkLeaf(claim, "another salt", 0, leaf);
        vm.expectPartialRevert(Errors.Proof_PointNotCovered.selector);
        claims.checkLeaf(claim, SALT, UNITS, leaf);
        claims.checkLeaf(claim, SALT, UNITS - 1, goodLeaf(claim));
        claims.checkLeaf(claim, SALT, 0, goodLeaf(claim));
        vm.assertTrue(isOpen(claim), "a bad proof changed something");
    }

    function test_Prove_RefusesTheHighHalfOfS() public {
        Claim memory claim = submitGood();
        LeafProof memory leaf = goodLeaf(claim);
        bytes32 root = receiptHash(session, supplier, UNITS, "secret");
        bytes memory signature = signBatch(root);
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        uint8 v = uint8(signature[64]) == 27 ? 28 : 27;
        leaf.batchSignature = abi.encodePacked(r, order - uint256(s), v);
        refusedLeaf(claim, leaf, Errors.Proof_BadBatchSignature.selector);
    }

    function test_Prove_AgainstTheKeyOfTheSession() public {
        vm.prank(gateway);
        registry.rotateGatewayKey(address(0xBEEF));
        Claim memory claim = submitGood();
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        claims.prove(claim, SALT, goodProof(claim));
    }

    function test_Settle_WaitsForTheProof_ThenVoids() public {
        Claim memory claim = submitGood();
        vm.assertEq(bytes32(settle(claim)), bytes32(Errors.Claims_ChallengeUnknown.selector));
        goTo(NUMBER + 2, SESSION_BLOCKS - 1);
        vm.assertEq(bytes32(settle(claim)), bytes32(Errors.Claims_ProofRequired.selector));
        goTo(NUMBER + 3, 0);
        settleAll(claim);

        vm.assertFalse(isOpen(claim));
        vm.assertEq(escrow.accountOf(application).balance, 10 * CAP + BOND);
        vm.assertEq(registry.supplierOf(supplier).stake, 1000e6 - BOND);
        vm.assertEq(registry.supplierOf(supplier).reserved, 0);
    }

    function test_Settle_PaysWithoutProofWhereNoneIsDrawn() public {
        // A bond so large that a point is drawn in one of a million cases.
        addStake(supplier, 2e13);
        ClaimInput memory input = claimInput(session, supplier, UNITS, 2e13);
        Claim memory claim = submitted(input);
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        (, uint256 points) = claims.challengeOf(claim);
        vm.assertEq(points, 0);
        settleAll(claim);
        vm.assertEq(escrow.claimableOf(owner), UNITS * 92 / 100);
    }

    function test_Settle_ASeedNobodyWroteVoids() public {
        addStake(supplier, 2e13);
        ClaimInput memory input = claimInput(session, supplier, UNITS, 2e13);
        Claim memory claim = submitted(input);
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        vm.roll(sessions.seedBlockOf(NUMBER + 2) + 8192);
        settleAll(claim);
        vm.assertFalse(isOpen(claim));
        vm.assertEq(escrow.claimableOf(owner), 0);
        vm.assertEq(escrow.accountOf(application).balance, 10 * CAP + 2e13);
    }

    function test_Settle_ASeedThatWasWrittenLasts() public {
        addStake(supplier, 2e13);
        ClaimInput memory input = claimInput(session, supplier, UNITS, 2e13);
        Claim memory claim = submitted(input);
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        sessions.writeSeed(NUMBER + 2);
        vm.roll(sessions.seedBlockOf(NUMBER + 2) + 100_000);
        settleAll(claim);
        vm.assertEq(escrow.claimableOf(owner), UNITS * 92 / 100);
    }

    /// @dev Every share rounds down but the supplier's, and together they are the value.
    function test_Pay_SharesAddUp(uint256 seed) public {
        uint64 units = uint64(bound(seed, 12_208, CAP / 2));
        ClaimInput memory input = claimInput(session, supplier, units, 500e6);
        Claim memory claim = submitted(input);
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        uint256 before = token.balanceOf(address(escrow));
        claims.prove(claim, SALT, goodProof(claim));
        uint256 paid = uint256(escrow.claimableOf(owner)) + escrow.claimableOf(source) + escrow.claimableOf(gateway)
            + escrow.claimableOf(treasury) - 1e6;
        vm.assertEq(paid, units);
        vm.assertEq(token.balanceOf(address(escrow)), before);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       HELPERS
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev For what reverts: cheat codes expect it of the next call.
    function submitOnce(address operator, address who, ClaimInput memory input) external {
        submit(operator, who, NUMBER, input);
    }

    function refused(ClaimInput memory input, bytes4 reason) internal {
        bytes32 before = keccak256(abi.encode(registry.supplierOf(supplier), escrow.accountOf(application)));
        vm.assertEq(bytes32(submit(owner, supplier, NUMBER, input)), bytes32(reason));
        vm.assertEq(keccak256(abi.encode(registry.supplierOf(supplier), escrow.accountOf(application))), before);
    }

    function refusedLeaf(Claim memory claim, LeafProof memory leaf, bytes4 reason) internal {
        vm.expectPartialRevert(reason);
        claims.checkLeaf(claim, SALT, 0, leaf);
    }

    function settleAll(Claim memory claim) internal {
        Claim[] memory batch = new Claim[](2);
        batch[0] = claim;
        batch[1] = claim;
        claims.settle(batch);
    }
}
