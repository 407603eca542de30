// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Claim, ClaimInput, LeafProof, SessionKey } from "../src/types/Types.sol";
import { Harness } from "./Harness.sol";
import { Market } from "./utils/Market.sol";

/// @notice What one session costs a supplier in all, by how many applications it served: their claims in as few
/// transactions as the nodes make, then a proof for each, or with a large bond none, all in slots used before.
contract SessionGasTest is Market {
    address internal owner = address(0x51);
    address internal supplier;
    uint64 internal constant NUMBER = 3;
    uint64 internal constant UNITS = 1e6;
    uint256 internal constant APPLICATIONS_MAX = 100;
    /// @dev As contracts.claims has it.
    uint256 internal constant BATCH_MAX = 24;
    /// @dev Bonds in claims' values. With a margin of 2 one of 2 has one leaf opened, and one of a million hardly any.
    uint96 internal constant ONE_LEAF = 2;
    uint96 internal constant NO_LEAF = 1e6;
    Harness internal harness = new Harness();

    function setUp() public {
        deployMarket();
        supplier = addSupplier(owner, 1e18);
        list(owner, supplier, service);
        sessions.buildRoster(service);
        for (uint256 i = 0; i < APPLICATIONS_MAX; ++i) {
            fund(applicationOf(i), 20 * CAP);
            delegate(applicationOf(i), service, CAP);
        }
    }

    /// forge-config: default.isolate = true
    function test_Gas_SessionOfOneApplication() public {
        measureSessions(1, "of 1 application");
    }

    /// forge-config: default.isolate = true
    function test_Gas_SessionOfTenApplications() public {
        measureSessions(10, "of 10 applications");
    }

    /// forge-config: default.isolate = true
    function test_Gas_SessionOfHundredApplications() public {
        measureSessions(100, "of 100 applications");
    }

    function measureSessions(uint256 applications, string memory name) internal {
        play(NUMBER, applications, NO_LEAF);
        uint256 proved = play(NUMBER + 4, applications, ONE_LEAF);
        uint256 settled = play(NUMBER + 8, applications, NO_LEAF);
        vm.snapshotValue("Lode", string.concat("session ", name, ", each claim proved"), proved);
        vm.snapshotValue("Lode", string.concat("session ", name, ", none proved"), settled);
    }

    /// @dev The gas of every transaction that the supplier sends for one session.
    function play(uint64 number, uint256 applications, uint96 bond) internal returns (uint256 used) {
        goTo(number, 0);
        sessions.writeSeed(number - 1);
        goTo(number + 1, 0);
        Claim[] memory made = new Claim[](applications);
        for (uint256 first = 0; first < applications; first += BATCH_MAX) {
            used += claimBatch(number, made, first, bond);
        }
        goTo(number + 2, SEED_OFFSET + 1);
        for (uint256 first = 0; first < applications; first += bond == ONE_LEAF ? 1 : BATCH_MAX) {
            used += bond == ONE_LEAF ? proveOne(made[first]) : settleBatch(made, first);
        }
        vm.assertEq(registry.supplierOf(supplier).reserved, 0, "a claim is still open");
    }

    function claimBatch(uint64 number, Claim[] memory made, uint256 first, uint96 bond) internal returns (uint256) {
        ClaimInput[] memory inputs = new ClaimInput[](countFrom(first, made.length));
        uint96 reserved = registry.supplierOf(supplier).reserved;
        uint96 bonds = 0;
        for (uint256 i = 0; i < inputs.length; ++i) {
            SessionKey memory session = sessionOf(applicationOf(first + i), number);
            inputs[i] = claimInput(session, supplier, UNITS, 0);
            bytes32 path = receiptHash(session, supplier, UNITS, "secret");
            (inputs[i].rootDigest, inputs[i].sum, inputs[i].count,) = harness.foldSiblings(path, UNITS, siblings());
            inputs[i].bond = bond * uint96(inputs[i].sum);
            bonds += inputs[i].bond;
            made[first + i] = claimFrom(supplier, number, inputs[i], CAP);
        }
        uint256 used = measure(address(claims), owner, abi.encodeCall(claims.submitClaims, (supplier, number, inputs)));
        vm.assertEq(registry.supplierOf(supplier).reserved - reserved, bonds, "refused");
        return used;
    }

    function proveOne(Claim memory claim) internal returns (uint256) {
        LeafProof[] memory leaves = new LeafProof[](1);
        bytes32 root = receiptHash(claim.session, supplier, UNITS, "secret");
        leaves[0] = goodLeaf(claim);
        leaves[0].units = UNITS;
        leaves[0].siblings = siblings();
        leaves[0].batchPath = new bytes32[](10);
        for (uint256 j = 0; j < 10; ++j) {
            bytes32 other = keccak256(abi.encode("batch", j));
            leaves[0].batchPath[j] = other;
            root = root < other ? keccak256(abi.encode(root, other)) : keccak256(abi.encode(other, root));
        }
        leaves[0].batchSignature = signBatch(root);
        return measure(address(claims), owner, abi.encodeCall(claims.prove, (claim, SALT, leaves)));
    }

    function settleBatch(Claim[] memory made, uint256 first) internal returns (uint256) {
        Claim[] memory some = new Claim[](countFrom(first, made.length));
        for (uint256 i = 0; i < some.length; ++i) {
            some[i] = made[first + i];
        }
        return measure(address(claims), owner, abi.encodeCall(claims.settle, (some)));
    }

    function countFrom(uint256 first, uint256 all) internal pure returns (uint256) {
        return all - first < BATCH_MAX ? all - first : BATCH_MAX;
    }

    function applicationOf(uint256 index) internal pure returns (address) {
        return address(uint160(0xA01 + index));
    }

    /// @dev Of a trie of 2^12 leaves, the others' sums so small that nearly every point is in the one that is opened.
    function siblings() internal pure returns (bytes memory found) {
        for (uint64 i = 0; i < 14; ++i) {
            uint64 count = uint64(1) << (i < 2 ? 0 : i - 2);
            found = abi.encodePacked(found, keccak256(abi.encode("sibling", i)), uint64(1), count);
        }
    }
}
