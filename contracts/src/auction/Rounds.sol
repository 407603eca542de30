// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import { IAuction } from "../interfaces/IAuction.sol";
import { IParameters } from "../interfaces/IParameters.sol";
import { IRegistry } from "../interfaces/IRegistry.sol";
import { ISessions } from "../interfaces/ISessions.sol";
import { Clocked } from "../libraries/Clocked.sol";
import { Errors } from "../libraries/Errors.sol";
import { PostedPrice } from "../libraries/PostedPrice.sol";
import { AuctionTerms, Round, Windows } from "../types/AuctionTypes.sol";

/// @title Rounds
/// @notice The part of {Auction} that knows the time and the price of each round, and who is owed what.
abstract contract Rounds is IAuction, Clocked, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint256 private constant BPS = 10_000;

    /// @dev Clearings, demands, answers, proofs of disorder and the publishing have a part each of what time is left.
    uint256 private constant CLEARING_STEPS = 5;

    /// @dev Most sessions of an epoch, each of which may have been paused.
    uint256 private constant EPOCH_SESSIONS_MAX = 1024;

    /// @dev The first price, the last round that had an order, and the one before it.
    struct Market {
        uint64 openingPrice;
        uint64 lastEpoch;
        uint64 beforeEpoch;
    }

    ISessions public immutable override sessions;
    IParameters public immutable override parameters;
    IRegistry public immutable override registry;
    IERC20 public immutable override token;
    uint88 internal immutable ORDER_BOND;
    uint88 internal immutable CLEARING_BOND;
    uint88 internal immutable LEAF_STAKE;
    uint16 internal immutable FEE_BPS;
    uint16 internal immutable CLEARER_BPS;

    mapping(bytes32 service => Market market) private _markets;
    mapping(bytes32 roundId => Round round) internal _rounds;
    mapping(address payee => uint96 amount) public override claimableOf;

    constructor(ISessions sessions_, AuctionTerms memory terms_) Clocked(sessions_.clock()) {
        bool isValid = terms_.feeBps != 0 && terms_.feeBps < BPS && terms_.clearerBps <= BPS
            && _clock().epochSessions <= EPOCH_SESSIONS_MAX;
        if (!isValid) revert Errors.Auction_TermsInvalid();
        sessions = sessions_;
        parameters = sessions_.parameters();
        registry = sessions_.registry();
        token = sessions_.escrow().token();
        ORDER_BOND = terms_.orderBond;
        CLEARING_BOND = terms_.clearingBond;
        LEAF_STAKE = terms_.leafStake;
        FEE_BPS = terms_.feeBps;
        CLEARER_BPS = terms_.clearerBps;
    }

    /// @inheritdoc IAuction
    function openMarket(bytes32 service, uint64 price) external override {
        (address source,, address market) = registry.sharesOf(service);
        if (market != address(this)) revert Errors.Auction_NotMarket(service);
        if (msg.sender != source) revert Errors.Auction_NotAuthorized(msg.sender);
        if (price == 0) revert Errors.Auction_PriceZero();
        if (_markets[service].openingPrice != 0) revert Errors.Auction_MarketExists(service);
        _markets[service].openingPrice = price;
        emit OpenMarket(service, price);
    }

    /// @inheritdoc IAuction
    function payCharges(bytes32 service, uint64 epoch) external override {
        Round storage round = _rounds[_roundId(service, epoch)];
        uint96 charges = round.charges;
        if (charges == 0) revert Errors.Auction_AmountZero();

        // Effect: what was paused stays, for {refundPaused}; of the rest a part is for the clearing.
        round.charges = 0;
        charges -= _pausedOf(epoch, charges);
        uint96 reward = uint96(uint256(charges) * CLEARER_BPS / BPS);
        _credit(round.submitter, reward);
        _credit(parameters.treasury(), charges - reward);
        emit PayCharges(service, epoch, round.submitter, reward, charges - reward);
    }

    /// @inheritdoc IAuction
    function collectFor(address payee) external override nonReentrant {
        uint96 amount = claimableOf[payee];
        if (amount == 0) revert Errors.Auction_AmountZero();

        // Effect: nothing is owed any more.
        claimableOf[payee] = 0;
        emit Collect(payee, amount);

        // Interaction: send the tokens.
        token.safeTransfer(payee, amount);
    }

    /// @inheritdoc IAuction
    function terms() external view override returns (AuctionTerms memory) {
        return AuctionTerms(ORDER_BOND, CLEARING_BOND, LEAF_STAKE, FEE_BPS, CLEARER_BPS);
    }

    /// @inheritdoc IAuction
    function windowsOf(uint64 epoch) public view override returns (Windows memory windows) {
        if (epoch < 2) revert Errors.Auction_EpochOutOfRange(epoch);
        uint256 last = _firstOf(epoch - 1) - 1;
        windows.commitFrom = _startOf(_firstOf(epoch - 2));
        windows.revealEnd = _startOf(last);
        windows.revealFrom = (windows.commitFrom + windows.revealEnd) / 2;
        windows.clearFrom = _seedBlockOf(last) + 1;
        windows.publishEnd = _startOf(_firstOf(epoch) - 1);
        uint256 step = (windows.publishEnd - windows.clearFrom) / CLEARING_STEPS;
        windows.clearEnd = windows.clearFrom + step;
        windows.demandEnd = windows.clearEnd + step;
        windows.answerEnd = windows.demandEnd + step;
        windows.publishFrom = windows.answerEnd + step;
    }

    /// @inheritdoc IAuction
    function roundOf(bytes32 service, uint64 epoch) external view override returns (Round memory round) {
        round = _rounds[_roundId(service, epoch)];
        if (round.price == 0) round.price = _nextPrice(service);
    }

    /// @inheritdoc IAuction
    function drawSeedOf(bytes32 service, uint64 epoch) public view override returns (bytes32) {
        bytes32 seed = sessions.seedOf(_firstOf(epoch - 1) - 1);
        return seed == 0 ? seed : keccak256(abi.encode(seed, _roundId(service, epoch)));
    }

    /// @dev The round whose orders are committed now; its first one fixes its price.
    function _openRound(bytes32 service, uint64 epoch) internal returns (Round storage round) {
        round = _rounds[_roundId(service, epoch)];
        if (round.price != 0) return round;
        uint64 price = _nextPrice(service);
        if (price == 0) revert Errors.Auction_NotMarket(service);
        round.price = price;
        Market storage market = _markets[service];
        (market.lastEpoch, market.beforeEpoch) = (epoch, market.lastEpoch);
        emit OpenRound(service, epoch, price);
    }

    /// @dev The price of the last round that had an order, moved by the one before it: by then it is known whether that
    /// was cleared.
    function _nextPrice(bytes32 service) private view returns (uint64 price) {
        Market memory market = _markets[service];
        if (market.lastEpoch == 0) return market.openingPrice;
        price = _rounds[_roundId(service, market.lastEpoch)].price;
        if (market.beforeEpoch == 0) return price;
        return PostedPrice.next(_rounds[_roundId(service, market.beforeEpoch)], price, FEE_BPS);
    }

    /// @dev What of a charge for an epoch is for sessions that a pause kept shut, rounded down. Known once it is over.
    function _pausedOf(uint64 epoch, uint256 charge) internal view returns (uint96) {
        if (_currentEpoch() <= epoch) revert Errors.Auction_EpochRunning(epoch);
        uint256 first = _firstOf(epoch);
        uint256 count = _firstOf(uint256(epoch) + 1) - first;
        uint256 paused = 0;
        for (uint256 i = 0; i < count; ++i) {
            if (parameters.isPausedAt(first + i)) ++paused;
        }
        return uint96(charge * paused / count);
    }

    function _credit(address payee, uint256 amount) internal {
        if (amount != 0) claimableOf[payee] += uint96(amount);
    }

    function _take(uint88 amount) internal {
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @dev A pause stops what binds anyone to sessions that will not open; what gives money back goes on.
    function _requireUnpaused() internal view {
        uint256 next = _currentSession() + 1;
        if (parameters.isPausedAt(next)) revert Errors.Auction_Paused(next);
    }

    function _requireWindow(uint256 from, uint256 end) internal view {
        if (block.number < from || block.number >= end) revert Errors.Auction_WindowClosed(from, end);
    }

    /// @dev Whether nothing of the round can become a roster any more.
    function _isOver(Round storage round, uint64 epoch) internal view returns (bool) {
        return round.isCleared || block.number >= windowsOf(epoch).publishEnd;
    }

    function _roundId(bytes32 service, uint64 epoch) internal pure returns (bytes32) {
        return keccak256(abi.encode(service, epoch));
    }
}
