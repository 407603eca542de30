// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import { IRegistry } from "../interfaces/IRegistry.sol";
import { Errors } from "../libraries/Errors.sol";
import { BondRoom } from "../types/Types.sol";
import { Suppliers } from "./Suppliers.sol";

/// @title Stakes
/// @notice The part of {Registry} that holds stakes, and reserves the bonds of claims out of them.
abstract contract Stakes is Suppliers, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev After the last session of the last roster that may hold the supplier come its claim, its proof, and a
    /// session in which anyone can settle.
    uint64 private constant SETTLE_SESSIONS = 3;

    /// @dev An ask made in an auction now fills the epoch after the next, so that three epochs on no roster holds the
    /// supplier for what it has asked so far.
    uint64 private constant ROSTER_EPOCHS = 3;

    IERC20 public immutable override token;
    address public immutable override escrow;
    address public immutable override claims;

    modifier onlyClaims() {
        if (msg.sender != claims) revert Errors.Registry_NotAuthorized(msg.sender);
        _;
    }

    constructor(IERC20 token_, address escrow_, address claims_) {
        token = token_;
        escrow = escrow_;
        claims = claims_;
    }

    /// @inheritdoc IRegistry
    function stake(address supplier, uint96 amount) external override nonReentrant {
        if (amount == 0) revert Errors.Registry_AmountZero();
        if (!isSupplier(supplier)) revert Errors.Registry_SupplierUnknown(supplier);

        // Effect: the stake grows.
        _suppliers[supplier].stake += amount;
        emit Stake(supplier, msg.sender, amount);

        // Interaction: take the tokens.
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRegistry
    function requestUnstake(address supplier, uint96 amount) external override onlyOwner(supplier) {
        SupplierState storage state = _suppliers[supplier];
        uint96 lasting = _lastingStakeOf(supplier);
        if (amount == 0) revert Errors.Registry_AmountZero();
        if (amount > lasting) revert Errors.Registry_StakeTooLow(lasting, amount);

        uint64 fromSession = uint64(_firstOf(_currentEpoch() + ROSTER_EPOCHS)) + SETTLE_SESSIONS;
        state.unstaking += amount;
        state.unstakeSession = fromSession;
        emit RequestUnstake(supplier, amount, fromSession);
    }

    /// @inheritdoc IRegistry
    function finishUnstake(address supplier) external override nonReentrant onlyOwner(supplier) {
        SupplierState storage state = _suppliers[supplier];
        uint96 amount = state.unstaking;
        uint64 current = _currentSession();
        if (amount == 0 || current < state.unstakeSession) {
            revert Errors.Registry_StillUnstaking(current, state.unstakeSession);
        }
        uint96 free = state.stake - state.reserved;
        if (amount > free) revert Errors.Registry_StakeTooLow(free, amount);

        // Effect: the stake shrinks, nothing is on its way out any more.
        state.stake -= amount;
        state.unstaking = 0;
        emit FinishUnstake(supplier, msg.sender, amount);

        // Interaction: send the tokens.
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IRegistry
    function reserveBonds(address supplier, uint64 number, uint96 amount) external override onlyClaims {
        SupplierState storage state = _suppliers[supplier];
        state.reserved += amount;
        state.bondUsed = _bondUsed(state, number) + amount;
        state.bondSession = number;
    }

    /// @inheritdoc IRegistry
    function slashBond(address supplier, uint96 amount) external override onlyClaims {
        // Effect: the stake shrinks.
        SupplierState storage state = _suppliers[supplier];
        uint96 left = state.stake - amount;
        state.reserved -= amount;
        state.stake = left;
        if (state.unstaking > left) state.unstaking = left;
        emit SlashBond(supplier, amount);

        // Interaction: the tokens go where the application's funds are.
        token.safeTransfer(escrow, amount);
    }

    /// @inheritdoc IRegistry
    function bondRoomOf(
        address supplier,
        address operator,
        uint64 number
    )
        external
        view
        override
        returns (BondRoom memory)
    {
        if (operator != _operatorNow(supplier)) revert Errors.Registry_NotAuthorized(operator);
        SupplierState storage state = _suppliers[supplier];

        // Stake on its way out backs claims as long as a roster may hold the supplier, and no new ones after.
        bool isLeft = _currentSession() + SETTLE_SESSIONS > state.unstakeSession;
        uint96 backing = isLeft ? _lastingStakeOf(supplier) : state.stake;
        uint96 free = backing > state.reserved ? backing - state.reserved : 0;
        return BondRoom(free, _bondUsed(state, number), state.bondCap);
    }

    /// @inheritdoc IRegistry
    function lastingStakeOf(address supplier) external view override returns (uint96) {
        return _lastingStakeOf(supplier);
    }

    /// @dev What neither leaves nor has left: it counts for rosters to come.
    function _lastingStakeOf(address supplier) internal view returns (uint96) {
        return _suppliers[supplier].stake - _suppliers[supplier].unstaking;
    }

    function _bondUsed(SupplierState storage state, uint64 number) private view returns (uint96) {
        return state.bondSession == number ? state.bondUsed : 0;
    }
}
