// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IAuction } from "../src/interfaces/IAuction.sol";
import { Clearing, ClearingKey, Opening, Order, OrderState, Round, Side, Windows } from "../src/types/AuctionTypes.sol";
import { RosterEntry } from "../src/types/Types.sol";
import { AuctionMarket } from "./utils/AuctionMarket.sol";
import { Lot, Trees } from "./utils/Trees.sol";
import { Log } from "./utils/Vm.sol";

/// @notice Traders, submitters and watchers who do anything the auction lets them, round after round.
contract AuctionHandler is AuctionMarket {
    uint256 internal constant ACTORS = 3;
    /// @dev What a clearing can be: right; its first two asks or bids swapped; an ask or a bid of somebody who gave none
    /// in the place of another.
    uint256 internal constant VARIANTS = 5;
    address internal constant INVENTED = address(0xFA);

    /// @dev An order of a round; `isIn` once it was revealed and accepts the price.
    struct Placed {
        uint64 epoch;
        Side side;
        Lot lot;
        bool isIn;
    }

    /// @dev A clearing, and what is wrong with it.
    struct Proposed {
        ClearingKey key;
        uint256 variant;
        RosterEntry[] entries;
        bool isPublished;
    }

    struct Demanded {
        uint256 clearing;
        Side side;
        address trader;
        uint256 dueBlock;
        bool isShown;
    }

    address[ACTORS] public owners;
    address[ACTORS] public suppliers;
    address[ACTORS] public applications;
    address internal watcher = address(0x3A7C);

    Placed[] internal _placed;
    Proposed[] internal _proposed;
    Demanded[] internal _demands;
    mapping(uint64 epoch => uint256 units) internal _filled;
    mapping(uint64 epoch => uint256 amount) internal _allotted;
    /// @dev What of charges was neither credited nor refunded, less what was refunded ahead of that.
    int256 public retained;
    uint256 public published;
    uint256 public defeated;
    /// @dev Clearings that fell because they left out an order of that side and its leaf was demanded.
    mapping(Side side => uint256 count) public omissionsDefeated;
    uint256 public settled;

    constructor() {
        deployAuction();
        for (uint160 i = 0; i < ACTORS; ++i) {
            owners[i] = address(0x500 + i);
            applications[i] = address(0xA00 + i);
            suppliers[i] = addSupplier(owners[i], uint96(1000e6 + i));
        }
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       ACTIONS
    //////////////////////////////////////////////////////////////////////////*/

    function advance(uint8 blocks) external {
        rollTo(block.number + 1 + blocks % 5);
    }

    /// @dev What the time is for, then on to the next window, so that rounds come to their ends. The seed is hashed, as
    /// the fuzzer likes numbers with few bits.
    function step(uint256 seed) external {
        seed = uint256(keccak256(abi.encode(seed)));
        this.commitAll(seed);
        this.revealSome(seed >> 16);
        this.propose(uint8(seed >> 8));
        this.propose(seed % 2 == 0 ? 3 : uint8(seed >> 48));
        if (seed % 4 == 0) this.demand(uint8(seed >> 24), uint8(seed >> 32));
        if (seed % 4 == 1) this.accuse(uint8(seed >> 24));
        if (seed % 4 > 1) this.demandOmitted();
        if (seed % 8 < 3) this.answer(uint8(seed >> 56));
        if (seed % 8 > 3) this.endDemands();
        this.publish(uint8(seed >> 40));
        for (uint256 i = 0; i < _placed.length && seed % 2 == 0; ++i) {
            _settle(_placed[i]);
        }
        rollTo(_nextWindow());
    }

    function pause(uint8 coin) external {
        vm.prank(pauser);
        if (coin % 8 == 0) parameters.pause();
        else parameters.unpause();
    }

    /// @dev Every trader whose order is not in the book yet; nobody sees the others'. Every other round sells more than
    /// is asked for: only then can a clearing leave out an ask that it does not need.
    function commitAll(uint256 seed) external {
        uint64 epoch = _epoch() + 2;
        Windows memory windows = auction.windowsOf(epoch);
        if (block.number >= windows.revealFrom || parameters.isPausedAt(sessions.currentSession() + 1)) return;
        uint64 price = auction.roundOf(traded, epoch).price;
        (uint256 mostSold, uint256 mostBought) = epoch % 2 == 0 ? (5, 9) : (9, 1);
        for (uint256 i = 0; i < ACTORS; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            if (_stateOf(epoch, Side.ASK, suppliers[i]) == OrderState.NONE && seed % 4 != 0) {
                Lot memory ask =
                    Lot(suppliers[i], uint64(bound(seed >> 8, 1, price)), uint32(1 + (seed >> 80) % mostSold));
                commitAsk(epoch, owners[i], ask.trader, ask.price, ask.quantity);
                _placed.push(Placed(epoch, Side.ASK, ask, false));
            }
            if (_stateOf(epoch, Side.BID, applications[i]) == OrderState.NONE && (seed >> 2) % 4 != 0) {
                uint64 value = uint64(bound(seed >> 96, price - 1, uint256(price) + 5));
                Lot memory bid = Lot(applications[i], value, uint32(1 + (seed >> 160) % mostBought));
                commitBid(epoch, bid.trader, bid.price, bid.quantity);
                _placed.push(Placed(epoch, Side.BID, bid, false));
            }
        }
    }

    /// @dev Most orders, not all, are revealed.
    function revealSome(uint256 seed) external {
        Windows memory windows = auction.windowsOf(_epoch() + 2);
        if (block.number < windows.revealFrom || block.number >= windows.revealEnd) return;
        for (uint256 i = 0; i < _placed.length; ++i) {
            Placed storage placed = _placed[i];
            bool isSealed = placed.epoch == _epoch() + 2
                && _stateOf(placed.epoch, placed.side, placed.lot.trader) == OrderState.SEALED;
            if (!isSealed || (seed >> i % 64) % 8 == 0) continue;
            reveal(placed.epoch, placed.side, placed.lot);
            placed.isIn = _stateOf(placed.epoch, placed.side, placed.lot.trader) == OrderState.OPEN;
        }
    }

    function forfeit(uint8 which) external {
        if (_placed.length != 0) _forfeit(_placed[which % _placed.length]);
    }

    /// @dev Right clearings and four kinds of wrong ones.
    function propose(uint8 variant) external {
        for (uint64 epoch = _epoch() + 2; epoch > 1 && epoch > _epoch(); --epoch) {
            Windows memory windows = auction.windowsOf(epoch);
            if (block.number < windows.clearFrom || block.number >= windows.clearEnd) continue;
            (Lot[] memory asks, Lot[] memory bids) = _lines(epoch, variant % VARIANTS);
            Plan memory plan = _planAs(epoch, asks, bids, variant);
            if (auction.clearingOf(plan.key).entriesHash != 0) return;
            pay(plan.key.submitter, CLEARING_BOND);
            vm.recordLogs();
            vm.prank(plan.key.submitter);
            // A line in disorder may prove payments that no line in order could have; who gave no order sells nothing.
            try auction.submitClearing(plan.key, plan.covers, plan.sales) {
                _keep(plan.key, variant % VARIANTS, vm.getRecordedLogs());
            } catch {
                uint256 kind = variant % VARIANTS;
                vm.assertTrue(
                    kind == 1 || kind == 3 || plan.sales.length == 0, "a clearing of asks in order was refused"
                );
            }
        }
    }

    function demand(uint8 which, uint8 whose) external {
        if (_proposed.length == 0 || _placed.length == 0) return;
        _demand(which % _proposed.length, _placed[whose % _placed.length]);
    }

    /// @dev Whoever a clearing left out has its leaf demanded.
    function demandOmitted() external {
        for (uint256 i = 0; i < _proposed.length; ++i) {
            Proposed storage proposed = _proposed[i];
            if (proposed.variant < 3 || !_isStanding(proposed.key)) continue;
            for (uint256 j = 0; j < _placed.length; ++j) {
                Placed storage placed = _placed[j];
                if (placed.epoch != proposed.key.epoch || !placed.isIn) continue;
                if (_isOmitted(proposed, placed.side, placed.lot.trader)) _demand(i, placed);
            }
        }
    }

    function _demand(uint256 index, Placed storage placed) private {
        Proposed storage proposed = _proposed[index];
        bool isOpen = block.number < auction.windowsOf(proposed.key.epoch).demandEnd && _isStanding(proposed.key);
        if (!isOpen || placed.epoch != proposed.key.epoch || !placed.isIn) return;
        for (uint256 i = 0; i < _demands.length; ++i) {
            if (_demands[i].clearing == index && _demands[i].trader == placed.lot.trader) return;
        }
        pay(watcher, LEAF_STAKE);
        vm.prank(watcher);
        auction.demandLeaf(proposed.key, placed.side, placed.lot.trader);
        Windows memory windows = auction.windowsOf(proposed.key.epoch);
        uint256 span = (windows.answerEnd - windows.demandEnd) / 2;
        uint256 dueBlock = block.number + (span == 0 ? 2 : span + 1);
        _demands.push(Demanded(index, placed.side, placed.lot.trader, dueBlock, false));
    }

    function answer(uint8 which) external {
        if (_demands.length == 0) return;
        uint256 index = which % _demands.length;
        Demanded storage owed = _demands[index];
        Proposed storage proposed = _proposed[owed.clearing];
        if (owed.isShown || block.number >= owed.dueBlock || !_isStanding(proposed.key)) return;
        (Lot[] memory asks, Lot[] memory bids) = _lines(proposed.key.epoch, proposed.variant);
        Lot[] memory line = owed.side == Side.ASK ? asks : bids;
        uint256 place = _find(line, owed.trader);
        bool isThere = place < line.length;
        if (!isThere) place = _find(line, INVENTED);
        Opening memory opening =
            owed.side == Side.ASK ? askOpening(line, place) : bidOpening(proposed.key.epoch, line, place);
        try auction.showLeaf(proposed.key, owed.side, owed.trader, opening) {
            vm.assertTrue(isThere, "a leaf that is not there was shown");
            owed.isShown = true;
        } catch {
            vm.assertTrue(!isThere, "a leaf that is there was not");
        }
    }

    function endDemand(uint8 which) external {
        if (_demands.length != 0) _endDemand(which % _demands.length);
    }

    function endDemands() external {
        for (uint256 i = _demands.length; i > 0; --i) {
            _endDemand(i - 1);
        }
    }

    function _endDemand(uint256 index) private {
        Demanded memory owed = _demands[index];
        Proposed storage proposed = _proposed[owed.clearing];
        bool isStanding = _isStanding(proposed.key);
        if (isStanding && (owed.isShown || block.number < owed.dueBlock)) return;
        if (isStanding) {
            ++defeated;
            if (_isOmitted(proposed, owed.side, owed.trader)) ++omissionsDefeated[owed.side];
        }
        auction.endDemand(proposed.key, owed.side, owed.trader);
        vm.assertTrue(owed.isShown || !_isStanding(proposed.key), "a leaf was owed and nothing followed");
        _demands[index] = _demands[_demands.length - 1];
        _demands.pop();
    }

    /// @dev Defeats clearings in disorder, and tries in vain with those in order.
    function accuse(uint8 which) external {
        if (_proposed.length == 0) return;
        Proposed storage proposed = _proposed[which % _proposed.length];
        if (!_isStanding(proposed.key) || _isOver(proposed.key.epoch)) return;
        (Lot[] memory asks, Lot[] memory bids) = _lines(proposed.key.epoch, proposed.variant);
        Side side = proposed.variant == 2 ? Side.BID : Side.ASK;
        Lot[] memory line = side == Side.ASK ? asks : bids;
        if (line.length < 2) return;
        Opening memory first = side == Side.ASK ? askOpening(line, 1) : bidOpening(proposed.key.epoch, line, 1);
        Opening memory second = side == Side.ASK ? askOpening(line, 0) : bidOpening(proposed.key.epoch, line, 0);
        try auction.proveDisorder(proposed.key, side, line[1].trader, first, line[0].trader, second) {
            vm.assertTrue(proposed.variant == 1 || proposed.variant == 2, "a clearing in order was defeated");
            ++defeated;
        } catch {
            vm.assertTrue(proposed.variant == 0 || proposed.variant > 2, "a clearing in disorder was not");
        }
    }

    /// @dev One clearing of each round at most is published; those before it in line are tried in vain.
    function publish(uint8 which) external {
        for (uint256 i = 0; i < _proposed.length; ++i) {
            _publish(_proposed[(uint256(which) + i) % _proposed.length]);
        }
    }

    function _publish(Proposed storage proposed) private {
        Windows memory windows = auction.windowsOf(proposed.key.epoch);
        Clearing memory clearing = auction.clearingOf(proposed.key);
        bool isTime = block.number >= windows.publishFrom && block.number < windows.publishEnd
            && clearing.entriesHash != 0 && !auction.roundOf(traded, proposed.key.epoch).isCleared
            && !parameters.isPausedAt(sessions.currentSession() + 1);
        if (!isTime) return;
        bool isSound = clearing.owed == 0 && !clearing.isDefeated;
        try auction.publish(proposed.key, proposed.entries) {
            vm.assertTrue(isSound, "a clearing that fell, or owes a leaf, was published");
            proposed.isPublished = true;
            ++published;
        } catch {
            vm.assertTrue(!isSound, "a clearing that stands was not published");
        }
    }

    function release(uint8 which) external {
        if (_proposed.length != 0) _release(_proposed[which % _proposed.length]);
    }

    function settle(uint8 which) external {
        if (_placed.length != 0) _settle(_placed[which % _placed.length]);
    }

    function payCharges(uint8 which) external {
        if (_placed.length != 0) _payCharges(_placed[which % _placed.length].epoch);
    }

    function refundPaused(uint8 which) external {
        if (_placed.length != 0) _refundPaused(_placed[which % _placed.length]);
    }

    function collect(uint8 who) external {
        address payee = _payee(who % 12);
        if (auction.claimableOf(payee) != 0) auction.collectFor(payee);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                    WHAT IS THERE
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev Deposits, charges, bonds of standing clearings, stakes of open demands, and what can be collected.
    function held() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _placed.length; ++i) {
            Order memory order = auction.orderOf(orderKey(_placed[i].epoch, _placed[i].side, _placed[i].lot.trader));
            if (order.state != OrderState.CLOSED) sum += order.deposit;
        }
        for (uint64 epoch = 2; epoch <= _epoch() + 2; ++epoch) {
            sum += auction.roundOf(traded, epoch).charges;
        }
        for (uint256 i = 0; i < _proposed.length; ++i) {
            if (_isStanding(_proposed[i].key)) sum += CLEARING_BOND;
        }
        sum = uint256(int256(sum + _demands.length * LEAF_STAKE) + retained);
        for (uint256 i = 0; i < 12; ++i) {
            sum += auction.claimableOf(_payee(i));
        }
    }

    function balance() external view returns (uint256) {
        return token.balanceOf(address(auction));
    }

    /// @dev Units of settled bids never exceed what was procured, nor cost more than the reserve.
    function checkFills() external view {
        for (uint64 epoch = 2; epoch <= _epoch() + 2; ++epoch) {
            Round memory round = auction.roundOf(traded, epoch);
            vm.assertLe(_filled[epoch], round.procured);
            vm.assertLe(_allotted[epoch], round.paid);
            vm.assertLe(round.procured, round.demand);
            vm.assertLe(round.paid, uint256(round.procured) * round.price * (10_000 - FEE_BPS) / 10_000);
        }
    }

    /// @dev Everyone leaves: what is left in the contract afterwards is trapped.
    function leaveAll() external {
        goTo((_epoch() + 3) * EPOCH_SESSIONS, 0);
        this.endDemands();
        for (uint256 i = 0; i < _proposed.length; ++i) {
            _release(_proposed[i]);
        }
        this.endDemands();
        for (uint256 i = 0; i < _placed.length; ++i) {
            _forfeit(_placed[i]);
            _settle(_placed[i]);
        }
        for (uint256 i = 0; i < _placed.length; ++i) {
            _payCharges(_placed[i].epoch);
            _refundPaused(_placed[i]);
        }
        for (uint8 i = 0; i < 12; ++i) {
            this.collect(i);
        }
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       HELPERS
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev The next block that bounds a step of a round.
    function _nextWindow() private view returns (uint256 next) {
        next = type(uint256).max;
        for (uint64 epoch = _epoch() + 2; epoch > 1 && epoch > _epoch(); --epoch) {
            uint256[9] memory bounds = abi.decode(abi.encode(auction.windowsOf(epoch)), (uint256[9]));
            for (uint256 i = 0; i < 9; ++i) {
                if (bounds[i] > block.number && bounds[i] < next) next = bounds[i];
            }
        }
    }

    function _forfeit(Placed storage placed) private {
        if (_stateOf(placed.epoch, placed.side, placed.lot.trader) != OrderState.SEALED) return;
        if (block.number < auction.windowsOf(placed.epoch).revealEnd) return;
        auction.forfeit(orderKey(placed.epoch, placed.side, placed.lot.trader));
    }

    function _release(Proposed storage proposed) private {
        if (!_isOver(proposed.key.epoch) || !_isStanding(proposed.key) || auction.clearingOf(proposed.key).owed != 0) {
            return;
        }
        auction.releaseBond(proposed.key);
    }

    function _settle(Placed storage placed) private {
        if (placed.side != Side.BID || !placed.isIn) return;
        if (_stateOf(placed.epoch, Side.BID, placed.lot.trader) != OrderState.OPEN) return;
        if (!_isOver(placed.epoch)) return;
        Round memory round = auction.roundOf(traded, placed.epoch);
        Opening memory opening;
        bool isOmitted = false;
        for (uint256 i = 0; i < _proposed.length; ++i) {
            if (!_proposed[i].isPublished || _proposed[i].key.epoch != placed.epoch) continue;
            (, Lot[] memory bids) = _lines(placed.epoch, _proposed[i].variant);
            uint256 place = _find(bids, placed.lot.trader);
            isOmitted = place == bids.length;
            if (!isOmitted) opening = bidOpening(placed.epoch, bids, place);
        }
        vm.recordLogs();
        if (isOmitted) vm.prank(placed.lot.trader);
        if (isOmitted) auction.waiveBid(traded, placed.epoch);
        else auction.settleBid(traded, placed.epoch, placed.lot.trader, opening);
        (uint32 units, uint96 charge, uint96 capMax) = _settledIn(vm.getRecordedLogs());
        vm.assertLe(units, placed.lot.quantity);
        uint256 fee = round.price - uint256(round.price) * (10_000 - FEE_BPS) / 10_000;
        vm.assertGe(charge, units * fee);
        _filled[placed.epoch] += units;
        _allotted[placed.epoch] += uint256(capMax) * EPOCH_SESSIONS;
        ++settled;
    }

    function _settledIn(Log[] memory logs) private pure returns (uint32 units, uint96 charge, uint96 capMax) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IAuction.SettleBid.selector) continue;
            (units, charge, capMax) = abi.decode(logs[i].data, (uint32, uint96, uint96));
        }
    }

    function _payCharges(uint64 epoch) private {
        Round memory round = auction.roundOf(traded, epoch);
        if (round.charges == 0 || _epoch() <= epoch) return;
        uint256 before = auction.claimableOf(round.submitter) + auction.claimableOf(treasury);
        auction.payCharges(traded, epoch);
        uint256 credited = auction.claimableOf(round.submitter) + auction.claimableOf(treasury) - before;
        retained += int256(uint256(round.charges)) - int256(credited);
    }

    /// @dev What of a charge is due back can be told from outside too.
    function _refundPaused(Placed storage placed) private {
        Order memory order = auction.orderOf(orderKey(placed.epoch, placed.side, placed.lot.trader));
        if (placed.side != Side.BID || order.state != OrderState.CLOSED || _epoch() <= placed.epoch) return;
        uint256 paused = 0;
        for (uint256 i = 0; i < EPOCH_SESSIONS; ++i) {
            if (parameters.isPausedAt(uint256(placed.epoch) * EPOCH_SESSIONS + i)) ++paused;
        }
        uint256 due = uint256(order.deposit) * paused / EPOCH_SESSIONS;
        if (due == 0) return;
        uint256 before = auction.claimableOf(order.payer);
        auction.refundPaused(traded, placed.epoch, placed.lot.trader);
        vm.assertEq(auction.claimableOf(order.payer) - before, due);
        retained -= int256(due);
    }

    function _keep(ClearingKey memory key, uint256 variant, Log[] memory logs) private {
        Proposed storage proposed = _proposed.push();
        (proposed.key, proposed.variant) = (key, variant);
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IAuction.SubmitClearing.selector) continue;
            (, RosterEntry[] memory entries) = abi.decode(logs[i].data, (ClearingKey, RosterEntry[]));
            for (uint256 j = 0; j < entries.length; ++j) {
                proposed.entries.push(entries[j]);
            }
        }
    }

    function _planAs(uint64 epoch, Lot[] memory asks, Lot[] memory bids, uint8 variant) private returns (Plan memory) {
        submitter = address(uint160(0xC1EA) + variant % 2);
        return planOf(epoch, asks, bids);
    }

    /// @dev The orders that are in, in order, but for what the variant swaps or leaves out.
    function _lines(uint64 epoch, uint256 variant) private view returns (Lot[] memory asks, Lot[] memory bids) {
        (asks, bids) = (_ordersIn(epoch, Side.ASK), _ordersIn(epoch, Side.BID));
        Trees.sortAsks(asks);
        if (variant == 3 && asks.length > 0) asks[asks.length - 1].trader = INVENTED;
        if (variant == 4 && bids.length > 0) bids[0].trader = INVENTED;
        Trees.sortAsks(asks);
        Trees.sortBids(bids, auction.drawSeedOf(traded, epoch));
        if (variant == 1 && asks.length > 1) (asks[0], asks[1]) = (asks[1], asks[0]);
        if (variant == 2 && bids.length > 1) (bids[0], bids[1]) = (bids[1], bids[0]);
    }

    function _ordersIn(uint64 epoch, Side side) private view returns (Lot[] memory lots) {
        lots = new Lot[](ACTORS);
        uint256 count = 0;
        for (uint256 i = 0; i < _placed.length; ++i) {
            Placed storage placed = _placed[i];
            if (placed.epoch == epoch && placed.side == side && placed.isIn) lots[count++] = placed.lot;
        }
        assembly ("memory-safe") {
            mstore(lots, count)
        }
    }

    function _isOmitted(Proposed storage proposed, Side side, address trader) private view returns (bool) {
        (Lot[] memory asks, Lot[] memory bids) = _lines(proposed.key.epoch, proposed.variant);
        Lot[] memory line = side == Side.ASK ? asks : bids;
        return _find(line, trader) == line.length;
    }

    /// @dev The length of the line where the trader is not in it.
    function _find(Lot[] memory line, address trader) private pure returns (uint256 place) {
        while (place < line.length && line[place].trader != trader) {
            ++place;
        }
    }

    function _isStanding(ClearingKey memory key) private view returns (bool) {
        Clearing memory clearing = auction.clearingOf(key);
        return clearing.entriesHash != 0 && !clearing.isDefeated;
    }

    /// @dev Once bids are settled, their leaves open no more; by then there is nothing left to defeat.
    function _isOver(uint64 epoch) private view returns (bool) {
        return auction.roundOf(traded, epoch).isCleared || block.number >= auction.windowsOf(epoch).publishEnd;
    }

    function _stateOf(uint64 epoch, Side side, address trader) private view returns (OrderState) {
        return auction.orderOf(orderKey(epoch, side, trader)).state;
    }

    function _epoch() private view returns (uint64) {
        return uint64(sessions.currentEpoch());
    }

    function _payee(uint256 index) private view returns (address) {
        if (index < ACTORS) return owners[index];
        if (index < 2 * ACTORS) return applications[index - ACTORS];
        if (index == 6) return treasury;
        if (index == 7) return watcher;
        if (index == 8) return address(0xC1EA);
        if (index == 9) return address(0xC1EB);
        // Whoever answers demands and accuses, the handler itself.
        return index == 10 ? address(this) : source;
    }
}

/// @notice What holds of the auction whatever anyone does.
/// forge-config: default.invariant.depth = 100
contract AuctionInvariantsTest is AuctionMarket {
    AuctionHandler internal handler;

    function setUp() public {
        handler = new AuctionHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev Rounds go on often enough to come to their ends.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](28);
        selectors[0] = handler.step.selector;
        selectors[1] = handler.step.selector;
        selectors[2] = handler.step.selector;
        selectors[3] = handler.step.selector;
        selectors[4] = handler.step.selector;
        selectors[5] = handler.step.selector;
        selectors[6] = handler.step.selector;
        selectors[7] = handler.step.selector;
        selectors[8] = handler.advance.selector;
        selectors[9] = handler.commitAll.selector;
        selectors[10] = handler.revealSome.selector;
        selectors[11] = handler.propose.selector;
        selectors[12] = handler.propose.selector;
        selectors[13] = handler.demand.selector;
        selectors[14] = handler.answer.selector;
        selectors[15] = handler.endDemand.selector;
        selectors[16] = handler.accuse.selector;
        selectors[17] = handler.publish.selector;
        selectors[18] = handler.settle.selector;
        selectors[19] = handler.forfeit.selector;
        selectors[20] = handler.release.selector;
        selectors[21] = handler.collect.selector;
        selectors[22] = handler.pause.selector;
        selectors[23] = handler.payCharges.selector;
        selectors[24] = handler.refundPaused.selector;
        selectors[25] = handler.demandOmitted.selector;
        selectors[26] = handler.demandOmitted.selector;
        selectors[27] = handler.endDemands.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    /// @dev Deposits + bonds + stakes + claimable = tokens of the auction.
    function invariant_Conservation() external view {
        vm.assertEq(handler.held(), handler.balance());
    }

    /// @dev No unit is filled twice, and no unit costs more than buyers pay for it.
    function invariant_NoDoubleFillAndNoDeficit() external view {
        handler.checkFills();
    }

    /// @dev The actors get to where a demand defeats a clearing that left out an ask, and one that left out a bid, and to
    /// what becomes of the round then.
    function test_TheActors_DefeatOmissionsOfBothSides() external {
        for (uint256 i = 0; i < 400; ++i) {
            handler.step(i);
        }
        vm.assertTrue(handler.omissionsDefeated(Side.ASK) != 0, "no clearing fell by an ask that it left out");
        vm.assertTrue(handler.omissionsDefeated(Side.BID) != 0, "no clearing fell by a bid that it left out");
        vm.assertTrue(handler.published() != 0, "no clearing was published");
        vm.assertEq(handler.held(), handler.balance());
    }

    /// @dev When everyone leaves, nothing stays behind but what was rounded away when charges were refunded, less than a
    /// base unit each.
    function afterInvariant() external {
        handler.leaveAll();
        vm.assertEq(handler.balance(), uint256(handler.retained()));
        vm.assertLe(handler.balance(), handler.settled());
    }
}
