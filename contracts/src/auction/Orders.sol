// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IAuction } from "../interfaces/IAuction.sol";
import { Errors } from "../libraries/Errors.sol";
import { PostedPrice } from "../libraries/PostedPrice.sol";
import { SortedSumTree } from "../libraries/SortedSumTree.sol";
import { Opening, Order, OrderKey, OrderState, OrderTerms, Round, Side, Windows } from "../types/AuctionTypes.sol";
import { ParameterValues, Supplier } from "../types/Types.sol";
import { Rounds } from "./Rounds.sol";

/// @title Orders
/// @notice The part of {Auction} that takes orders sealed, opens them, and gives back what they put down.
abstract contract Orders is Rounds {
    /// @dev Most units of an order, so that the weights of 128 roster entries add up below 2^32.
    uint256 private constant QUANTITY_MAX = 2 ** 25 - 1;

    /// @dev A session's claims are open until two sessions after its own.
    uint256 private constant OPEN_SESSIONS = 3;

    /// @dev A supplier in the book, with the stake it had when it committed: nothing that a stranger can make dear to
    /// read stands in the way of whoever has more.
    struct Seat {
        address supplier;
        uint96 stake;
    }

    mapping(bytes32 orderId => Order order) internal _orders;
    mapping(bytes32 roundId => Seat[] seats) private _seats;
    /// @dev The stake that a supplier's asks for an epoch need, over all services.
    mapping(uint64 epoch => mapping(address supplier => uint256 amount)) private _backing;

    /// @inheritdoc IAuction
    function commit(OrderKey calldata key, bytes32 seal, uint88 deposit) external override nonReentrant {
        // Check: the window is open, the order new, the deposit at least the bond.
        Windows memory windows = windowsOf(key.epoch);
        _requireWindow(windows.commitFrom, windows.revealFrom);
        _requireUnpaused();
        Order storage order = _orders[_orderId(key)];
        if (order.state != OrderState.NONE) revert Errors.Auction_OrderExists(key.trader);
        if (deposit < ORDER_BOND) revert Errors.Auction_DepositTooLow(deposit, ORDER_BOND);

        // Effect: the order is in the book.
        _openRound(key.service, key.epoch);
        if (key.side == Side.ASK) _seat(key);
        else if (msg.sender != key.trader) revert Errors.Auction_NotAuthorized(msg.sender);
        (order.content, order.payer, order.deposit, order.state) = (seal, msg.sender, deposit, OrderState.SEALED);
        emit Commit(key.service, key.epoch, key.trader, key.side, seal, deposit);

        // Interaction: take the tokens.
        _take(deposit);
    }

    /// @inheritdoc IAuction
    function reveal(OrderKey calldata key, OrderTerms calldata terms_, bytes32 salt) external override {
        // Check: the window is open, the terms are those sealed.
        Windows memory windows = windowsOf(key.epoch);
        _requireWindow(windows.revealFrom, windows.revealEnd);
        Order storage order = _orders[_orderId(key)];
        if (order.state != OrderState.SEALED) revert Errors.Auction_OrderUnknown(key.trader);
        if (sealOf(key, terms_, salt) != order.content) revert Errors.Auction_SealMismatch(key.trader);
        if (terms_.price == 0 || terms_.quantity == 0 || terms_.quantity > QUANTITY_MAX) {
            revert Errors.Auction_OrderInvalid(terms_.price, terms_.quantity);
        }

        // Effect: the order counts where it accepts the price. An ask has done what its bond is for.
        bool isIn = key.side == Side.ASK ? _addAsk(key, terms_) : _addBid(key, terms_, order.deposit);
        order.state = isIn ? OrderState.OPEN : OrderState.CLOSED;
        order.content = _pack(terms_);
        if (key.side == Side.ASK || !isIn) _giveBack(order, 0);
        emit Reveal(key.service, key.epoch, key.trader, key.side, terms_, isIn);
    }

    /// @inheritdoc IAuction
    function forfeit(OrderKey calldata key) external override {
        Order storage order = _orders[_orderId(key)];
        if (order.state != OrderState.SEALED) revert Errors.Auction_OrderUnknown(key.trader);
        _requireWindow(windowsOf(key.epoch).revealEnd, type(uint256).max);

        // Effect: the bond is the treasury's.
        order.state = OrderState.CLOSED;
        _giveBack(order, ORDER_BOND);
        emit Forfeit(key.service, key.epoch, key.trader, key.side, ORDER_BOND);
    }

    /// @inheritdoc IAuction
    function settleBid(bytes32 service, uint64 epoch, address application, Opening calldata opening) external override {
        Round storage round = _rounds[_roundId(service, epoch)];
        Order storage order = _orders[_orderId(OrderKey(service, epoch, Side.BID, application))];
        if (order.state != OrderState.OPEN) revert Errors.Auction_OrderUnknown(application);
        if (!_isOver(round, epoch)) revert Errors.Auction_RoundRunning(service, epoch);

        // Effect: what no claim will cost is paid.
        OrderTerms memory bid = _unpack(order.content);
        uint256 units = round.isCleared ? _unitsOf(round, drawSeedOf(service, epoch), application, bid, opening) : 0;
        (uint88 charge, uint96 capMax) = _chargeOf(round, units);
        _charge(round, order, charge);
        emit SettleBid(service, epoch, application, uint32(units), charge, capMax);

        // Interaction: what it got is its to use.
        if (units != 0) sessions.allot(service, epoch, application, bid.gateway, capMax);
    }

    /// @inheritdoc IAuction
    function waiveBid(bytes32 service, uint64 epoch) external override {
        Round storage round = _rounds[_roundId(service, epoch)];
        Order storage order = _orders[_orderId(OrderKey(service, epoch, Side.BID, msg.sender))];
        if (order.state != OrderState.OPEN) revert Errors.Auction_OrderUnknown(msg.sender);
        if (!round.isCleared) revert Errors.Auction_RoundRunning(service, epoch);

        // Effect: what all it asked for would have been charged is paid, and nothing is its to use.
        (uint88 charge,) = _chargeOf(round, _unpack(order.content).quantity);
        _charge(round, order, charge);
        emit SettleBid(service, epoch, msg.sender, 0, charge, 0);
    }

    /// @inheritdoc IAuction
    function refundPaused(bytes32 service, uint64 epoch, address application) external override {
        Order storage order = _orders[_orderId(OrderKey(service, epoch, Side.BID, application))];
        if (order.state != OrderState.CLOSED) revert Errors.Auction_OrderUnknown(application);
        uint96 amount = _pausedOf(epoch, order.deposit);
        if (amount == 0) revert Errors.Auction_AmountZero();

        // Effect: what is refunded is so once.
        order.deposit = 0;
        _credit(order.payer, amount);
        emit RefundPaused(service, epoch, application, amount);
    }

    /// @inheritdoc IAuction
    function suppliersOf(bytes32 service, uint64 epoch) external view override returns (address[] memory) {
        Seat[] storage seats = _seats[_roundId(service, epoch)];
        address[] memory found = new address[](seats.length);
        for (uint256 i = 0; i < found.length; ++i) {
            found[i] = seats[i].supplier;
        }
        return found;
    }

    /// @inheritdoc IAuction
    function orderOf(OrderKey calldata key) external view override returns (Order memory) {
        return _orders[_orderId(key)];
    }

    /// @inheritdoc IAuction
    function sealOf(
        OrderKey calldata key,
        OrderTerms calldata terms_,
        bytes32 salt
    )
        public
        view
        override
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), key, terms_, salt));
    }

    /*//////////////////////////////////////////////////////////////////////////
                                  INNER FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev The posted price of units less what claims for them cost on average, rounded down; and the most that may be
    /// claimed for them in each of the epoch's sessions, rounded down.
    function _chargeOf(Round storage round, uint256 units) private view returns (uint88 charge, uint96 capMax) {
        if (units == 0) return (0, 0);
        uint256 claims = units * round.paid / round.procured;
        return (uint88(units * round.price - claims), uint96(claims / _clock().epochSessions));
    }

    /// @dev Keeps the charge of a bid until its epoch is over, and gives the rest of its deposit back.
    function _charge(Round storage round, Order storage order, uint88 charge) private {
        uint88 deposit = order.deposit;
        (order.state, order.deposit) = (OrderState.CLOSED, charge);
        round.charges += charge;
        _credit(order.payer, deposit - charge);
    }

    /// @dev What a bid gets: all it asked for, or what is left at its place in the public order.
    function _unitsOf(
        Round storage round,
        bytes32 drawSeed,
        address application,
        OrderTerms memory bid,
        Opening calldata opening
    )
        private
        view
        returns (uint256)
    {
        if (round.procured == round.demand) return bid.quantity;
        SortedSumTree.Place memory place = SortedSumTree.place(
            round.bidsRoot,
            SortedSumTree.pack(round.bids, round.demand, 0),
            SortedSumTree.bidKey(drawSeed, application),
            SortedSumTree.pack(1, bid.quantity, 0),
            opening
        );
        if (place.unitsBefore >= round.procured) return 0;
        uint256 left = round.procured - place.unitsBefore;
        return bid.quantity < left ? bid.quantity : left;
    }

    function _addAsk(OrderKey calldata key, OrderTerms calldata terms_) private returns (bool isIn) {
        Round storage round = _rounds[_roundId(key.service, key.epoch)];
        uint64 reserve = PostedPrice.reserve(round.price, FEE_BPS);
        if (terms_.price > reserve) return false;
        _back(key, uint256(reserve) * terms_.quantity);
        round.supply += terms_.quantity;
        round.asks += 1;
        round.cost += uint128(terms_.price) * terms_.quantity;
        return true;
    }

    /// @dev Requires the stake that the claims of an epoch's sale of that value need, beside the supplier's other asks:
    /// stake that lasts now backs claims until the epoch's last is settled ({Stakes}).
    function _back(OrderKey calldata key, uint256 value) private {
        ParameterValues memory values = parameters.valuesAt(key.epoch);
        uint256 needed = _backing[key.epoch][key.trader] + value * OPEN_SESSIONS
            / (uint256(_clock().epochSessions) * values.bondRatioMax);
        _backing[key.epoch][key.trader] = needed;
        if (needed < values.minStake) needed = values.minStake;
        uint96 lasting = registry.lastingStakeOf(key.trader);
        if (lasting < needed) revert Errors.Registry_StakeTooLow(lasting, needed);
    }

    function _addBid(OrderKey calldata key, OrderTerms calldata terms_, uint88 deposit) private returns (bool isIn) {
        Round storage round = _rounds[_roundId(key.service, key.epoch)];
        uint256 most = uint256(round.price) * terms_.quantity;
        if (terms_.price < round.price || deposit < most) return false;
        round.demand += terms_.quantity;
        round.bids += 1;
        return true;
    }

    /// @dev A place in the book for a supplier: a free one, or that of the one with the least stake, less than its own.
    function _seat(OrderKey calldata key) private {
        Supplier memory account = registry.supplierOf(key.trader);
        if (msg.sender != account.owner && msg.sender != account.operator) {
            revert Errors.Auction_NotAuthorized(msg.sender);
        }
        ParameterValues memory values = parameters.valuesAt(key.epoch);
        uint96 lasting = account.stake - account.unstaking;
        if (lasting < values.minStake) revert Errors.Registry_StakeTooLow(lasting, values.minStake);

        Seat[] storage seats = _seats[_roundId(key.service, key.epoch)];
        if (seats.length < values.rosterMax) {
            seats.push(Seat(key.trader, lasting));
            return;
        }
        uint256 place = _leastSeat(seats);
        if (seats[place].stake >= lasting) revert Errors.Auction_BookFull(seats[place].stake);
        _evict(OrderKey(key.service, key.epoch, Side.ASK, seats[place].supplier));
        seats[place] = Seat(key.trader, lasting);
    }

    function _evict(OrderKey memory key) private {
        Order storage order = _orders[_orderId(key)];
        _giveBack(order, 0);
        delete _orders[_orderId(key)];
        emit Evict(key.service, key.epoch, key.trader);
    }

    /// @dev The place of the smallest stake, the first of equal ones.
    function _leastSeat(Seat[] memory seats) private pure returns (uint256 least) {
        for (uint256 i = 1; i < seats.length; ++i) {
            if (seats[i].stake < seats[least].stake) least = i;
        }
    }

    /// @dev Credits an order's deposit, less what the treasury has of it.
    function _giveBack(Order storage order, uint96 kept) internal {
        uint96 deposit = order.deposit;
        order.deposit = 0;
        if (kept != 0) _credit(parameters.treasury(), kept);
        _credit(order.payer, deposit - kept);
    }

    function _orderId(OrderKey memory key) internal pure returns (bytes32) {
        return keccak256(abi.encode(key));
    }

    function _pack(OrderTerms calldata terms_) private pure returns (bytes32) {
        return bytes32(uint256(uint160(terms_.gateway)) << 96 | uint256(terms_.quantity) << 64 | terms_.price);
    }

    function _unpack(bytes32 content) internal pure returns (OrderTerms memory) {
        uint256 packed = uint256(content);
        return OrderTerms(uint64(packed), uint32(packed >> 64), address(uint160(packed >> 96)));
    }
}
