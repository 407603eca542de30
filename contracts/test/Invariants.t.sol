// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Errors } from "../src/libraries/Errors.sol";
import { Account, Claim, ClaimInput, ParameterValues, SessionKey, Supplier } from "../src/types/Types.sol";
import { Market } from "./utils/Market.sol";

/// @notice Actors who do anything the contracts let them, in any order, over two services and two gateways.
contract Handler is Market {
    uint256 internal constant ACTORS = 3;

    address[ACTORS] public applications;
    address[ACTORS] public owners;
    address[ACTORS] public suppliers;
    bytes32[2] public services;
    address[2] public gateways;

    Claim[] internal _open;
    mapping(bytes32 claimId => uint256 times) public settled;
    uint256 public locked;
    uint256 public claimed;
    uint256 public paid;
    uint256 public voided;
    uint256 public minted;

    constructor() {
        deployMarket();
        services = [service, listService("other", address(0))];
        gateways = [gateway, address(0x6B)];
        vm.prank(gateways[1]);
        registry.registerGateway(vm.addr(GATEWAY_KEY), "http://other");
        for (uint160 i = 0; i < ACTORS; ++i) {
            applications[i] = address(0xA00 + i);
            owners[i] = address(0x500 + i);
            suppliers[i] = addSupplier(owners[i], 1000e6);
            list(owners[i], suppliers[i], services[0]);
            list(owners[i], suppliers[i], services[1]);
            fund(applications[i], 4 * CAP);
            delegateThrough(gateways[i / 2], applications[i], services[i % 2], CAP);
        }
        sessions.buildRoster(services[0]);
        sessions.buildRoster(services[1]);
        goTo(2, 0);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       ACTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev Time passes often, mostly by steps that stay within the windows of claims.
    function advance(uint8 blocks) external {
        uint256 target = block.number + 1 + blocks % 9;
        uint256 number = (target - GENESIS) / SESSION_BLOCKS;
        goTo(number, (target - GENESIS) % SESSION_BLOCKS);
    }

    function deposit(uint8 who, uint96 amount) external {
        fund(applications[who % ACTORS], uint96(bound(amount, 1, 3 * CAP)));
    }

    function requestWithdraw(uint8 who, uint96 amount) external {
        address application = applications[who % ACTORS];
        Account memory account = escrow.accountOf(application);
        uint96 free = account.balance - account.pending;
        if (free == 0) return;
        vm.prank(application);
        escrow.requestWithdraw(uint96(bound(amount, 1, free)));
    }

    function finishWithdraw(uint8 who) external {
        Account memory account = escrow.accountOf(applications[who % ACTORS]);
        if (account.pending == 0 || sessions.currentSession() < account.pendingSession) return;
        vm.prank(applications[who % ACTORS]);
        escrow.finishWithdraw();
    }

    function changeCap(uint8 who, uint8 which, uint96 cap) external {
        address application = applications[who % ACTORS];
        delegateThrough(gateways[which / 2 % 2], application, services[which % 2], uint96(bound(cap, 0, 2 * CAP)));
    }

    function requestUnstake(uint8 who, uint96 amount) external {
        Supplier memory account = registry.supplierOf(suppliers[who % ACTORS]);
        uint96 lasting = account.stake - account.unstaking;
        if (lasting == 0) return;
        vm.prank(owners[who % ACTORS]);
        registry.requestUnstake(suppliers[who % ACTORS], uint96(bound(amount, 1, lasting)));
    }

    function finishUnstake(uint8 who) external {
        Supplier memory account = registry.supplierOf(suppliers[who % ACTORS]);
        if (account.unstaking == 0 || sessions.currentSession() < account.unstakeSession) return;
        if (account.unstaking > account.stake - account.reserved) return;
        vm.prank(owners[who % ACTORS]);
        registry.finishUnstake(suppliers[who % ACTORS]);
    }

    function addMoreStake(uint8 who, uint96 amount) external {
        addStake(suppliers[who % ACTORS], uint96(bound(amount, 1, 1000e6)));
    }

    function rebuild(uint8 which) external {
        if (sessions.currentSession() % EPOCH_SESSIONS == EPOCH_SESSIONS - 1) return;
        sessions.buildRoster(services[which % 2]);
    }

    /// @dev Most sessions open, so that most calls find something to claim.
    function pause(uint8 coin) external {
        vm.prank(pauser);
        if (coin % 4 == 0) parameters.pause();
        else parameters.unpause();
    }

    /// @dev Every member of every session that can be claimed, for up to its whole slice.
    function claimAll(uint96 bond) external {
        uint64 number = uint64(sessions.currentSession()) - 1;
        for (uint256 each = 0; each < ACTORS * 4; ++each) {
            (address application, address through) = (applications[each / 4], gateways[each / 2 % 2]);
            SessionKey memory session = SessionKey(application, through, services[each % 2], number);
            if (!sessions.isValid(session)) continue;
            for (uint256 i = 0; i < ACTORS; ++i) {
                _claim(session, i, bond);
            }
        }
    }

    function prove(uint8 which) external {
        if (_open.length == 0) return;
        uint256 index = which % _open.length;
        Claim memory claim = _open[index];
        uint64 challenged = claim.session.number + 2;
        if (sessions.currentSession() != challenged || block.number <= sessions.seedBlockOf(challenged)) return;
        claims.prove(claim, SALT, goodProof(claim));
        _close(index);
        ++paid;
    }

    function settleTwice(uint8 which) external {
        if (_open.length == 0) return;
        uint256 index = which % _open.length;
        uint256 before = registry.supplierOf(_open[index].supplier).stake;
        Claim[] memory batch = new Claim[](2);
        (batch[0], batch[1]) = (_open[index], _open[index]);
        claims.settle(batch);
        if (isOpen(batch[0])) return;
        if (registry.supplierOf(batch[0].supplier).stake == before) ++paid;
        else ++voided;
        _close(index);
    }

    function collect(uint8 who) external {
        address[7] memory payees = [owners[0], owners[1], owners[2], source, gateways[0], gateways[1], treasury];
        address payee = payees[who % 7];
        if (escrow.claimableOf(payee) != 0) escrow.collectFor(payee);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                    WHAT IS THERE
    //////////////////////////////////////////////////////////////////////////*/

    function stakes() external view returns (uint256 sum, uint256 reserved) {
        for (uint256 i = 0; i < ACTORS; ++i) {
            Supplier memory account = registry.supplierOf(suppliers[i]);
            sum += account.stake;
            reserved += account.reserved;
        }
    }

    function escrowed() external view returns (uint256 sum) {
        sum = uint256(escrow.claimableOf(source)) + escrow.claimableOf(treasury);
        sum += uint256(escrow.claimableOf(gateways[0])) + escrow.claimableOf(gateways[1]);
        for (uint256 i = 0; i < ACTORS; ++i) {
            sum += uint256(escrow.accountOf(applications[i]).balance) + escrow.claimableOf(owners[i]);
        }
        for (uint256 i = 0; i < _open.length; ++i) {
            sum += _open[i].value;
        }
    }

    function bonds() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _open.length; ++i) {
            sum += _open[i].bond;
        }
    }

    function balances() external view returns (uint256 inRegistry, uint256 inEscrow) {
        return (token.balanceOf(address(registry)), token.balanceOf(address(escrow)));
    }

    /// @dev Everyone leaves: what is left in the contracts afterwards is trapped.
    function leaveAll() external {
        for (uint256 i = 0; i < ACTORS; ++i) {
            vm.prank(applications[i]);
            escrow.delegate(gateways[0], services[0], 0, 0);
        }
        uint256 number = sessions.currentSession() + 2 * EPOCH_SESSIONS + 3;
        goTo(number, 0);
        while (_open.length != 0) {
            vm.assertEq(bytes32(settle(_open[_open.length - 1])), bytes32(0));
            _open.pop();
        }
        for (uint8 i = 0; i < ACTORS; ++i) {
            this.requestWithdraw(i, 1);
            this.requestUnstake(i, 1);
        }
        goTo(number + 4 * EPOCH_SESSIONS + 3, 0);
        for (uint8 i = 0; i < ACTORS; ++i) {
            this.finishWithdraw(i);
            this.finishUnstake(i);
        }
        for (uint8 i = 0; i < 7; ++i) {
            this.collect(i);
        }
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       HELPERS
    //////////////////////////////////////////////////////////////////////////*/

    function _claim(SessionKey memory session, uint256 who, uint96 bond) private {
        (uint96 cap,) =
            escrow.delegationAt(session.application, session.gateway, session.service, session.number);
        uint256 slice = cap / 2;
        if (slice == 0) return;
        address supplier = suppliers[who];
        (, uint8 draw,) = findDraw(session, supplier);
        if (draw == 64) return;
        ClaimInput memory input =
            claimInput(session, supplier, uint64(slice), uint96(bound(bond, (slice + 29) / 30, 50e6)));
        bytes4 refusal = submit(owners[who], supplier, session.number, input);
        if (refusal == 0) {
            Claim memory claim = claimFrom(supplier, session.number, input, cap);
            vm.assertTrue(isOpen(claim), "not the claim that was made");
            vm.assertEq(settled[claimIdOf(claim)], 0, "claimed again after it was settled");
            _open.push(claim);
            ++claimed;
        } else {
            // Claimed already, or no stake left for the bond, or its slot taken by a claim that nobody settled; never
            // for want of the application's funds.
            bool isExpected = refusal == Errors.Claims_AlreadyClaimed.selector
                || refusal == Errors.Registry_StakeTooLow.selector || refusal == Errors.Claims_Unsettled.selector;
            vm.assertTrue(isExpected, "a good claim was refused");
        }
    }

    function _close(uint256 index) private {
        bytes32 claimId = claimIdOf(_open[index]);
        vm.assertEq(++settled[claimId], 1, "settled twice");
        _open[index] = _open[_open.length - 1];
        _open.pop();
    }
}

/// @notice What holds whatever anyone does. A good claim refused for want of funds fails in the handler.
contract InvariantsTest is Market {
    Handler internal handler;

    function setUp() public {
        handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev Time and claims come up more often than the rest.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](20);
        selectors[0] = handler.advance.selector;
        selectors[1] = handler.advance.selector;
        selectors[2] = handler.advance.selector;
        selectors[3] = handler.claimAll.selector;
        selectors[4] = handler.claimAll.selector;
        selectors[5] = handler.prove.selector;
        selectors[6] = handler.prove.selector;
        selectors[7] = handler.settleTwice.selector;
        selectors[8] = handler.settleTwice.selector;
        selectors[9] = handler.deposit.selector;
        selectors[10] = handler.requestWithdraw.selector;
        selectors[11] = handler.finishWithdraw.selector;
        selectors[12] = handler.changeCap.selector;
        selectors[13] = handler.requestUnstake.selector;
        selectors[14] = handler.finishUnstake.selector;
        selectors[15] = handler.addMoreStake.selector;
        selectors[16] = handler.rebuild.selector;
        selectors[17] = handler.collect.selector;
        selectors[18] = handler.pause.selector;
        selectors[19] = handler.pause.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    /// @dev Stakes + unstaking = tokens of the registry; funds + locked + claimable = tokens of the escrow.
    function invariant_Conservation() external view {
        (uint256 inRegistry, uint256 inEscrow) = handler.balances();
        (uint256 staked,) = handler.stakes();
        vm.assertEq(staked, inRegistry);
        vm.assertEq(handler.escrowed(), inEscrow);
    }

    /// @dev The reserved stake is the bonds of the open claims.
    function invariant_BondsAreDisjoint() external view {
        (uint256 staked, uint256 reserved) = handler.stakes();
        vm.assertEq(reserved, handler.bonds());
        vm.assertLe(reserved, staked);
    }

    /// @dev When everyone leaves, nothing stays behind.
    function afterInvariant() external {
        handler.leaveAll();
        (uint256 inRegistry, uint256 inEscrow) = handler.balances();
        vm.assertEq(inRegistry, 0);
        vm.assertEq(inEscrow, 0);
    }
}
