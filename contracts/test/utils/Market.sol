// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Claims } from "../../src/Claims.sol";
import { Escrow } from "../../src/Escrow.sol";
import { Parameters } from "../../src/Parameters.sol";
import { Registry } from "../../src/Registry.sol";
import { Sessions } from "../../src/Sessions.sol";
import { TestToken } from "../../src/TestToken.sol";
import { IClaims } from "../../src/interfaces/IClaims.sol";
import { RelayHash } from "../../src/libraries/RelayHash.sol";
import {
    Claim,
    ClaimInput,
    ClockValues,
    LeafProof,
    ParameterValues,
    RosterEntry,
    Service,
    SessionKey
} from "../../src/types/Types.sol";
import { Log, Test } from "./Vm.sol";

/// @notice A whole market: the contracts, one gateway, one service, and hands to move it on.
abstract contract Market is Test {
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    bytes internal constant HISTORY_CODE =
        hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

    uint64 internal constant GENESIS = 1000;
    uint64 internal constant SESSION_BLOCKS = 12;
    uint64 internal constant SEED_OFFSET = 2;
    uint64 internal constant EPOCH_SESSIONS = 2;

    uint256 internal constant GATEWAY_KEY = 0x6a7e;
    bytes32 internal constant SALT = keccak256("salt");
    uint96 internal constant CAP = 100e6;
    uint64 internal constant PRICE = 1e6;

    address internal admin = address(0xAD);
    address internal pauser = address(0xAE);
    address internal treasury = address(0xAF);
    address internal source = address(0x50);
    address internal gateway = address(0x6A);

    TestToken internal token;
    Parameters internal parameters;
    Registry internal registry;
    Escrow internal escrow;
    Sessions internal sessions;
    Claims internal claims;
    bytes32 internal service;

    function deployMarket() internal {
        vm.etch(HISTORY, HISTORY_CODE);
        vm.roll(GENESIS);
        uint64 nonce = vm.getNonce(address(this));
        address escrowAt = vm.computeCreateAddress(address(this), nonce + 3);
        address claimsAt = vm.computeCreateAddress(address(this), nonce + 5);
        token = new TestToken();
        parameters = new Parameters(clockValues(), parameterValues(), admin, pauser, treasury);
        registry = new Registry(parameters, token, escrowAt, claimsAt);
        escrow = new Escrow(parameters, token, registry, claimsAt);
        sessions = new Sessions(parameters, registry, escrow);
        claims = new Claims(parameters, registry, escrow, sessions);

        service = listService("demo", address(0));
        vm.prank(gateway);
        registry.registerGateway(vm.addr(GATEWAY_KEY), "http://gateway");
    }

    function clockValues() internal pure returns (ClockValues memory) {
        return ClockValues(GENESIS, SESSION_BLOCKS, SEED_OFFSET, EPOCH_SESSIONS);
    }

    function parameterValues() internal pure virtual returns (ParameterValues memory) {
        return ParameterValues({
            members: 2,
            targetLeaves: 4096,
            marginBps: 20_000,
            bondRatioMax: 30,
            protocolBps: 100,
            lotsMax: 10,
            idleEpochs: 0,
            rosterMax: 4,
            lotStake: 100e6,
            delegationFee: 1e6,
            minStake: 100e6
        });
    }

    function listService(string memory name, address market) internal returns (bytes32) {
        vm.prank(source);
        return registry.listService(Service(source, keccak256("spec"), 1, 2, 1, 4, 500, market, name));
    }

    function fund(address application, uint96 amount) internal {
        token.mint(application, amount);
        vm.startPrank(application);
        token.approve(address(escrow), amount);
        escrow.deposit(application, amount);
        vm.stopPrank();
    }

    function delegate(address application, bytes32 to, uint96 cap) internal {
        delegateThrough(gateway, application, to, cap);
    }

    function delegateThrough(address through, address application, bytes32 to, uint96 cap) internal {
        token.mint(application, 1e6);
        vm.startPrank(application);
        token.approve(address(escrow), 1e6);
        escrow.delegate(through, to, cap, 200);
        vm.stopPrank();
    }

    /// @dev The owner is also the operator and the receiver of payments.
    function addSupplier(address owner, uint96 amount) internal returns (address supplier) {
        vm.prank(owner);
        supplier = registry.registerSupplier("", owner, owner, "http://supplier", type(uint96).max);
        addStake(supplier, amount);
    }

    function addStake(address supplier, uint96 amount) internal {
        token.mint(address(this), amount);
        token.approve(address(registry), amount);
        registry.stake(supplier, amount);
    }

    function list(address owner, address supplier, bytes32 to) internal {
        vm.prank(owner);
        registry.setListing(supplier, to, PRICE);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                        TIME
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev Moves to block `offset` of a session; seed blocks passed on the way get their hashes.
    function goTo(uint256 number, uint256 offset) internal {
        uint256 from = sessions.currentSession();
        uint256 target = sessions.startOf(number) + offset;
        for (uint256 n = from > 0 ? from - 1 : 0; n <= number; ++n) {
            uint256 seedBlock = sessions.seedBlockOf(n);
            if (seedBlock < target) vm.store(HISTORY, bytes32(seedBlock % 8191), seedHash(n));
        }
        vm.roll(target);
    }

    function seedHash(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("block", number));
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       CLAIMS
    //////////////////////////////////////////////////////////////////////////*/

    function sessionOf(address application, uint64 number) internal view returns (SessionKey memory) {
        return SessionKey(application, gateway, service, number);
    }

    /// @dev The membership proof of a supplier, `draw` 64 where it is not drawn.
    function findDraw(
        SessionKey memory session,
        address supplier
    )
        internal
        view
        returns (uint32 index, uint8 draw, uint32[] memory earlier)
    {
        RosterEntry[] memory roster = sessions.rosterOf(session.service, session.number / EPOCH_SESSIONS);
        uint256 total = 0;
        for (uint256 i = 0; i < roster.length; ++i) {
            total += roster[i].weight;
        }
        bytes32 seed = keccak256(abi.encode(sessions.seedOf(session.number - 1), RelayHash.sessionId(session)));
        uint256 members = parameters.valuesAt(session.number / EPOCH_SESSIONS).members;
        uint32[] memory hits = new uint32[](64);
        uint256 distinct = 0;
        for (draw = 0; draw < 64; ++draw) {
            uint256 point = uint256(keccak256(abi.encode(seed, uint256(draw)))) % total;
            uint32 hit = 0;
            for (uint256 sum = roster[0].weight; sum <= point; sum += roster[hit].weight) {
                ++hit;
            }
            if (roster[hit].supplier == supplier) {
                uint256 needed = draw < members ? 0 : draw;
                earlier = new uint32[](needed);
                for (uint256 i = 0; i < needed; ++i) {
                    earlier[i] = hits[i];
                }
                return (hit, draw, earlier);
            }
            bool seen = false;
            for (uint256 i = 0; i < draw; ++i) {
                seen = seen || hits[i] == hit;
            }
            hits[draw] = hit;
            if (!seen && ++distinct == members) return (0, 64, earlier);
        }
    }

    /// @dev A trie of one leaf is that leaf.
    function singleLeaf(bytes32 path, uint64 weight) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), path, weight, uint64(1)));
    }

    function receiptHash(
        SessionKey memory session,
        address supplier,
        uint64 units,
        bytes32 secret
    )
        internal
        view
        returns (bytes32)
    {
        bytes32 message = RelayHash.receipt(
            RelayHash.sessionId(session),
            supplier,
            keccak256("request"),
            keccak256("response"),
            keccak256(abi.encode(SALT)),
            units,
            secret
        );
        return typed(message);
    }

    function typed(bytes32 message) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", claims.domainSeparator(), message));
    }

    function signBatch(bytes32 root) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(GATEWAY_KEY, typed(RelayHash.batch(root)));
        return abi.encodePacked(r, s, v);
    }

    /// @dev A claim of one receipt of `units`, at least the threshold, so that it is payable for certain.
    function claimInput(
        SessionKey memory session,
        address supplier,
        uint64 units,
        uint96 bond
    )
        internal
        view
        returns (ClaimInput memory)
    {
        (uint32 index, uint8 draw, uint32[] memory earlier) = findDraw(session, supplier);
        bytes32 root = singleLeaf(receiptHash(session, supplier, units, "secret"), units);
        return
            ClaimInput(
                session.application, session.gateway, session.service, root, units, 1, bond, index, draw, earlier
            );
    }

    /// @dev The claim that the contract makes of an input, in a market with one price.
    function claimFrom(
        address supplier,
        uint64 number,
        ClaimInput memory input,
        uint96 cap
    )
        internal
        pure
        returns (Claim memory)
    {
        uint64 tau = uint64(uint256(cap / 2) * 1e6 / PRICE / 4096);
        return Claim({
            supplier: supplier,
            session: SessionKey(input.application, input.gateway, input.service, number),
            rootDigest: input.rootDigest,
            sum: input.sum,
            count: input.count,
            value: uint96(uint256(input.sum) * PRICE / 1e6),
            bond: input.bond,
            tau: tau == 0 ? 1 : tau,
            price: PRICE,
            feeBps: 200
        });
    }

    /// @dev The selector of the error that the claim is refused with; zero where it is accepted.
    function submit(
        address operator,
        address supplier,
        uint64 number,
        ClaimInput memory input
    )
        internal
        returns (bytes4 refusal)
    {
        ClaimInput[] memory inputs = new ClaimInput[](1);
        inputs[0] = input;
        vm.recordLogs();
        vm.prank(operator);
        claims.submitClaims(supplier, number, inputs);
        return refusalIn(vm.getRecordedLogs());
    }

    function settle(Claim memory claim) internal returns (bytes4 refusal) {
        Claim[] memory batch = new Claim[](1);
        batch[0] = claim;
        vm.recordLogs();
        claims.settle(batch);
        return refusalIn(vm.getRecordedLogs());
    }

    /// @dev The selector of the first refusal's error.
    function refusalIn(Log[] memory logs) internal pure returns (bytes4) {
        for (uint256 i = 0; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (topic == IClaims.ClaimRefused.selector || topic == IClaims.SettleRefused.selector) {
                return bytes4(abi.decode(logs[i].data, (bytes)));
            }
        }
        return 0;
    }

    function claimIdOf(Claim memory claim) internal pure returns (bytes32) {
        return RelayHash.claimId(claim.supplier, RelayHash.sessionId(claim.session));
    }

    function isOpen(Claim memory claim) internal view returns (bool) {
        return claims.isOpen(claim);
    }

    function goodLeaf(Claim memory claim) internal view returns (LeafProof memory) {
        bytes32 root = receiptHash(claim.session, claim.supplier, claim.sum, "secret");
        return LeafProof({
            requestHash: keccak256("request"),
            responseHash: keccak256("response"),
            units: claim.sum,
            secret: "secret",
            batchPath: new bytes32[](0),
            batchSignature: signBatch(root),
            siblings: ""
        });
    }

    function goodProof(Claim memory claim) internal view returns (LeafProof[] memory leaves) {
        (, uint256 points) = claims.challengeOf(claim);
        leaves = new LeafProof[](points);
        for (uint256 i = 0; i < points; ++i) {
            leaves[i] = goodLeaf(claim);
        }
    }
}
