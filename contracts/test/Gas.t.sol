// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Claim, ClaimInput, LeafProof, RosterEntry, SessionKey } from "../src/types/Types.sol";
import { Harness } from "./Harness.sol";
import { Market } from "./utils/Market.sol";

/// @notice What the two transactions of a supplier cost, calldata included, each slot cold at first.
contract GasTest is Market {
    address internal owner = address(0x51);
    address internal supplier;
    uint64 internal constant NUMBER = 3;
    uint64 internal constant UNITS = 40e6;
    uint256 internal constant CLAIMS = 20;
    Harness internal harness = new Harness();
    Claim[] internal _open;

    function setUp() public {
        deployMarket();
        supplier = addSupplier(owner, 10_000e6);
        list(owner, supplier, service);
        sessions.buildRoster(service);
        for (uint160 i = 1; i <= CLAIMS; ++i) {
            fund(address(0xA00 + i), 10 * CAP);
            delegate(address(0xA00 + i), service, CAP);
        }
        goTo(2, SEED_OFFSET + 1);
        sessions.writeSeed(2);
        // Accounts that have been used before, as they are after a market's first day.
        for (uint160 i = 1; i <= CLAIMS; ++i) {
            fund(address(0xA00 + i), 1);
        }
    }

    /// @dev Twenty claims against twenty applications: the first in their slots, and over those of four sessions ago.
    /// forge-config: default.isolate = true
    function test_Gas_ClaimsOfTwentyApplications() public {
        SessionKey[] memory keys = new SessionKey[](CLAIMS);
        for (uint160 i = 0; i < CLAIMS; ++i) {
            keys[i] = sessionOf(address(0xA01 + i), NUMBER);
        }
        goTo(NUMBER + 1, 0);
        vm.snapshotValue("Lode", "claim, each of 20, 20 applications, in a new slot", measureClaims(keys, CAP));
        useAgain(keys);
        vm.snapshotValue("Lode", "claim, each of 20, 20 applications", measureClaims(keys, 0));
    }

    /// @dev Twenty claims against one application, for twenty services.
    /// forge-config: default.isolate = true
    function test_Gas_ClaimsOfOneApplication() public {
        address application = address(0xA01);
        fund(application, 100 * CAP);
        goTo(2, SEED_OFFSET + 1);
        SessionKey[] memory keys = new SessionKey[](CLAIMS);
        for (uint256 i = 0; i < CLAIMS; ++i) {
            bytes32 listed = listService(string(abi.encodePacked("service", bytes1(uint8(65 + i)))), address(0));
            list(owner, supplier, listed);
            delegate(application, listed, CAP);
            sessions.buildRoster(listed);
            keys[i] = SessionKey(application, gateway, listed, 4);
        }
        goTo(4, SEED_OFFSET + 1);
        sessions.writeSeed(3);
        goTo(5, 0);
        vm.snapshotValue("Lode", "claim, each of 20, one application, in a new slot", measureClaims(keys, CAP));
        useAgain(keys);
        vm.snapshotValue("Lode", "claim, each of 20, one application", measureClaims(keys, 0));
    }

    /// @dev The same in allotted sessions: of a roster of one, whose slice is the allotment; and of more than there are
    /// members, nearly all of it the supplier's, so that both draws hit it.
    /// forge-config: default.isolate = true
    function test_Gas_AllottedClaims() public {
        measureAllotted("allotted claim", 1);
    }

    /// forge-config: default.isolate = true
    function test_Gas_AllottedClaimsOfMany() public {
        measureAllotted("allotted claim, drawn", 3);
    }

    function measureAllotted(string memory name, uint160 sellers) internal {
        service = listService("allotted", address(this));
        SessionKey[] memory keys = new SessionKey[](CLAIMS);
        for (uint160 i = 0; i < CLAIMS; ++i) {
            delegate(address(0xA01 + i), service, 2 * CAP);
            fund(address(0xA01 + i), 10 * CAP);
            keys[i] = sessionOf(address(0xA01 + i), 4);
        }
        address[] memory others = new address[](sellers - 1);
        for (uint160 i = 1; i < sellers; ++i) {
            others[i - 1] = addSupplier(address(0x60 + i), 100e6);
        }
        allot(others);
        goTo(4, SEED_OFFSET + 1);
        sessions.writeSeed(3);
        goTo(5, 0);
        string memory first = string(abi.encodePacked(name, ", each of 20, in a new slot"));
        vm.snapshotValue("Lode", first, measureClaims(keys, 2 * CAP));
        goTo(6, SEED_OFFSET + 1);
        sessions.writeSeed(6);
        allot(others);
        useAgain(keys);
        vm.snapshotValue("Lode", string(abi.encodePacked(name, ", each of 20")), measureClaims(keys, 0));
    }

    /// @dev The next epoch's roster and allotments; the supplier's entry stands where its ID says.
    function allot(address[] memory others) internal {
        RosterEntry[] memory entries = new RosterEntry[](others.length + 1);
        for (uint256 i = 0; i < entries.length; ++i) {
            bool isOwn = i == others.length;
            entries[i] = RosterEntry(isOwn ? supplier : others[i], PRICE, isOwn ? 2000 : 1);
            for (uint256 j = i; j > 0 && entries[j].supplier < entries[j - 1].supplier; --j) {
                (entries[j], entries[j - 1]) = (entries[j - 1], entries[j]);
            }
        }
        sessions.publishRoster(service, entries, true);
        for (uint160 i = 0; i < CLAIMS; ++i) {
            sessions.allot(service, uint64(sessions.currentEpoch() + 1), address(0xA01 + i), gateway, CAP);
        }
    }

    /// @dev Gas a claim; those that are to be settled are kept, as claims of sessions of `cap`.
    function measureClaims(SessionKey[] memory keys, uint96 cap) internal returns (uint256) {
        ClaimInput[] memory inputs = new ClaimInput[](keys.length);
        for (uint256 i = 0; i < keys.length; ++i) {
            inputs[i] = claimInput(keys[i], supplier, 10e6, 5e6);
            if (cap != 0) _open.push(claimFrom(supplier, keys[i].number, inputs[i], cap));
        }
        uint256 used =
            measure(address(claims), owner, abi.encodeCall(claims.submitClaims, (supplier, keys[0].number, inputs)));
        vm.assertEq(registry.supplierOf(supplier).reserved, keys.length * 5e6, "refused");
        return used / keys.length;
    }

    /// @dev Settles the claims and goes on to where their slots are used again.
    function useAgain(SessionKey[] memory keys) internal {
        uint64 number = keys[0].number;
        goTo(number + 3, 0);
        claims.settle(_open);
        goTo(number + 4, 0);
        sessions.writeSeed(number + 3);
        goTo(number + 5, 0);
        for (uint256 i = 0; i < keys.length; ++i) {
            keys[i].number = number + 4;
        }
    }

    /// @dev Three points of a trie of 2^20 leaves: 22 siblings a leaf, ten hashes on the way to its batch.
    /// forge-config: default.isolate = true
    function test_Gas_ProofOfThreePoints() public {
        goTo(NUMBER + 1, 0);
        Claim memory first = submitLarge(address(0xA01));
        Claim memory second = submitLarge(address(0xA02));
        goTo(NUMBER + 2, SEED_OFFSET + 1);
        sessions.writeSeed(NUMBER + 2);

        uint256 used =
            measure(address(claims), address(0x57A), abi.encodeCall(claims.prove, (first, SALT, threeLeaves(first))));
        vm.snapshotValue("Lode", "proof, 3 points of 2^20 leaves, payees paid the first time", used);
        used =
            measure(address(claims), address(0x57A), abi.encodeCall(claims.prove, (second, SALT, threeLeaves(second))));
        vm.snapshotValue("Lode", "proof, 3 points of 2^20 leaves", used);
        vm.assertFalse(isOpen(first) || isOpen(second));
        vm.assertLe(used, 300_000);
    }

    function submitLarge(address application) internal returns (Claim memory claim) {
        SessionKey memory session = sessionOf(application, NUMBER);
        ClaimInput memory input = claimInput(session, supplier, UNITS, 0);
        bytes32 path = receiptHash(session, supplier, UNITS, "secret");
        (input.rootDigest, input.sum, input.count,) = harness.foldSiblings(path, UNITS, millionLeaves());
        // Margin 2 and a bond of two thirds of the value: three points or, rarely, one more.
        input.bond = uint96((uint256(2) * input.sum + 2) / 3);
        submit(owner, supplier, NUMBER, input);
        claim = claimFrom(supplier, NUMBER, input, CAP);
        vm.assertTrue(isOpen(claim), "refused");
    }

    function threeLeaves(Claim memory claim) internal view returns (LeafProof[] memory leaves) {
        bytes32 path = receiptHash(claim.session, supplier, UNITS, "secret");
        leaves = new LeafProof[](3);
        for (uint256 i = 0; i < 3; ++i) {
            leaves[i] = goodLeaf(claim);
            leaves[i].units = UNITS;
            leaves[i].siblings = millionLeaves();
            leaves[i].batchPath = new bytes32[](10);
            bytes32 root = path;
            for (uint256 j = 0; j < 10; ++j) {
                bytes32 other = keccak256(abi.encode("batch", j));
                leaves[i].batchPath[j] = other;
                root = root < other ? keccak256(abi.encode(root, other)) : keccak256(abi.encode(other, root));
            }
            leaves[i].batchSignature = signBatch(root);
        }
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       HELPERS
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev Sums so small that nearly every point is in the one leaf that is opened.
    function millionLeaves() internal pure returns (bytes memory siblings) {
        for (uint64 i = 0; i < 22; ++i) {
            uint64 count = uint64(1) << (i < 2 ? 0 : i - 2);
            siblings = abi.encodePacked(siblings, keccak256(abi.encode("sibling", i)), uint64(1), count);
        }
    }
}
