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

    /// @dev The first price, and the last round that had an order.
    struct Market {
        uint64 openingPrice;
        uint64 lastEpoch;
    }

    ISessions public immutable override sessions;
    IParameters public immutable override parameters;
    IRegistry public immutable override registry;
    IERC20 public immutable override token;
    uint88 internal immutable ORDER_BOND;
    uint88 internal immutable CLEARING_BOND;
    uint88 internal immutable LEAF_STAKE;
    uint16 internal immutable FEE_BPS;

    mapping(bytes32 service => Market market) private _markets;
    mapping(bytes32 roundId => Round round) internal _rounds;
    mapping(address payee => uint96 amount) public override claimableOf;

    constructor(ISessions sessions_, AuctionTerms memory terms_) Clocked(sessions_.clock()) {
        if (terms_.feeBps == 0 || terms_.feeBps >= BPS) revert Errors.Auction_TermsInvalid();
        sessions = sessions_;
        parameters = sessions_.parameters();
        registry = sessions_.registry();
        token = sessions_.escrow().token();
        ORDER_BOND = terms_.orderBond;
        CLEARING_BOND = terms_.clearingBond;
        LEAF_STAKE = terms_.leafStake;
        FEE_BPS = terms_.feeBps;
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
        return AuctionTerms(ORDER_BOND, CLEARING_BOND, LEAF_STAKE, FEE_BPS);
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
        _markets[service].lastEpoch = epoch;
        emit OpenRound(service, epoch, price);
    }

    /// @dev The price after the last round that had an order, whose reveals are over before the next one's commits.
    function _nextPrice(bytes32 service) private view returns (uint64) {
        Market memory market = _markets[service];
        if (market.lastEpoch == 0) return market.openingPrice;
        return PostedPrice.next(_rounds[_roundId(service, market.lastEpoch)], FEE_BPS);
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
