// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { Checkpoints } from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import { IEscrow } from "./interfaces/IEscrow.sol";
import { IParameters } from "./interfaces/IParameters.sol";
import { IRegistry } from "./interfaces/IRegistry.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Errors } from "./libraries/Errors.sol";
import { Account, SessionKey } from "./types/Types.sol";

/// @title Escrow
/// @notice See the documentation in {IEscrow}.
contract Escrow is IEscrow, Clocked, ReentrancyGuardTransient {
    using Checkpoints for Checkpoints.Trace160;
    using SafeERC20 for IERC20;

    uint256 private constant FEE_BPS_MAX = 3000;

    /// @dev Two full sessions lie between the request and the first block in which funds can leave.
    uint64 private constant WITHDRAW_SESSIONS = 3;

    /// @dev `session` is the last one in which the funds changed; `opening` is the funds, less what is pending,
    /// at its opening, and `openingBefore` at the opening of the one before it.
    struct Funds {
        uint96 balance;
        uint96 pending;
        uint64 session;
        uint96 opening;
        uint96 openingBefore;
        uint64 pendingSession;
    }

    IParameters private immutable PARAMETERS;
    IERC20 private immutable TOKEN;
    IRegistry private immutable REGISTRY;
    address public immutable override claims;

    mapping(address application => Funds funds) private _funds;
    mapping(address application => Checkpoints.Trace160 sums) private _capSums;
    /// @dev The cap in the low 96 bits, the gateway's share above it.
    mapping(bytes32 delegation => Checkpoints.Trace160 caps) private _caps;
    mapping(address payee => uint96 amount) public override claimableOf;

    modifier onlyClaims() {
        if (msg.sender != claims) revert Errors.Escrow_NotAuthorized(msg.sender);
        _;
    }

    constructor(IParameters parameters, IERC20 token, IRegistry registry, address claims_) Clocked(parameters.clock()) {
        PARAMETERS = parameters;
        TOKEN = token;
        REGISTRY = registry;
        claims = claims_;
    }

    /// @inheritdoc IEscrow
    function deposit(address application, uint96 amount) external override nonReentrant {
        if (amount == 0) revert Errors.Escrow_AmountZero();

        // Effect: the funds grow.
        _roll(application).balance += amount;
        emit Deposit(application, msg.sender, amount);

        // Interaction: take the tokens.
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IEscrow
    function requestWithdraw(uint96 amount) external override {
        if (amount == 0) revert Errors.Escrow_AmountZero();
        Funds storage funds = _roll(msg.sender);
        uint96 free = funds.balance - funds.pending;
        if (amount > free) revert Errors.Escrow_FundsTooLow(free, amount);

        uint64 fromSession = _currentSession() + WITHDRAW_SESSIONS;
        funds.pending += amount;
        funds.pendingSession = fromSession;
        emit RequestWithdraw(msg.sender, amount, fromSession);
    }

    /// @inheritdoc IEscrow
    function finishWithdraw() external override nonReentrant {
        Funds storage funds = _roll(msg.sender);
        uint96 amount = funds.pending;
        uint64 current = _currentSession();
        if (amount == 0 || current < funds.pendingSession) {
            revert Errors.Escrow_StillPending(current, funds.pendingSession);
        }

        // Effect: the funds shrink; what is free of them stays.
        funds.balance -= amount;
        funds.pending = 0;
        emit FinishWithdraw(msg.sender, amount);

        // Interaction: send the tokens.
        TOKEN.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IEscrow
    function delegate(address gateway, bytes32 service, uint96 cap, uint16 feeBps) external override nonReentrant {
        if (feeBps > FEE_BPS_MAX) revert Errors.Escrow_FeeTooHigh(feeBps, FEE_BPS_MAX);
        if (!REGISTRY.isGateway(gateway)) revert Errors.Escrow_GatewayUnknown(gateway);
        (address source,,) = REGISTRY.sharesOf(service);
        if (source == address(0)) revert Errors.Escrow_ServiceUnknown(service);

        // Effect: the cap and the sum of caps, from the next session on.
        uint64 next = _currentSession() + 1;
        (uint160 before,) = _caps[_delegationId(msg.sender, gateway, service)].push(next, uint160(feeBps) << 96 | cap);
        uint96 capBefore = uint96(before);
        uint96 capSum = uint96(_capSums[msg.sender].latest()) - capBefore + cap;
        _capSums[msg.sender].push(next, capSum);
        emit Delegate(msg.sender, gateway, service, cap, feeBps, next);

        // Interaction: a new delegation costs the fee.
        if (capBefore == 0 && cap != 0) _takeFee();
    }

    /// @inheritdoc IEscrow
    function collect() external override nonReentrant {
        _collect(msg.sender);
    }

    /// @inheritdoc IEscrow
    function collectFor(address payee) external override nonReentrant {
        _collect(payee);
    }

    /// @inheritdoc IEscrow
    function lock(address application, uint96 amount) external override onlyClaims {
        Funds storage funds = _roll(application);
        uint96 balance = funds.balance;
        if (amount > balance) revert Errors.Escrow_FundsTooLow(balance, amount);
        balance -= amount;
        funds.balance = balance;

        // Funds asked back after a session opened still answer for its claims.
        if (funds.pending > balance) funds.pending = balance;
    }

    /// @inheritdoc IEscrow
    function pay(address[4] calldata payees, uint96[4] calldata amounts) external override onlyClaims {
        for (uint256 i = 0; i < 4; ++i) {
            if (amounts[i] != 0) claimableOf[payees[i]] += amounts[i];
        }
    }

    /// @inheritdoc IEscrow
    function refund(address application, uint96 value, uint96 bond) external override onlyClaims {
        uint96 amount = value + bond;
        _roll(application).balance += amount;
        emit Refund(application, amount);
    }

    /// @inheritdoc IEscrow
    function accountOf(address application) external view override returns (Account memory) {
        Funds storage funds = _funds[application];
        return Account(funds.balance, funds.pending, funds.pendingSession);
    }

    /// @inheritdoc IEscrow
    function delegationAt(
        address application,
        address gateway,
        bytes32 service,
        uint256 number
    )
        public
        view
        override
        returns (uint96 cap, uint16 feeBps)
    {
        uint160 packed = _caps[_delegationId(application, gateway, service)].upperLookupRecent(uint96(number));
        return (uint96(packed), uint16(packed >> 96));
    }

    /// @inheritdoc IEscrow
    function capSumAt(address application, uint256 number) public view override returns (uint96) {
        return uint96(_capSums[application].upperLookupRecent(uint96(number)));
    }

    /// @inheritdoc IEscrow
    function fundsAtOpening(address application, uint256 number) public view override returns (uint96) {
        uint64 current = _currentSession();
        if (number > current || number + 1 < current) revert Errors.Escrow_OpeningUnknown(number, current);
        Funds storage funds = _funds[application];
        uint64 changed = funds.session;

        // Nothing changed since `changed`, so later openings saw what is there now.
        if (number > changed) return funds.balance - funds.pending;
        return number == changed ? funds.opening : funds.openingBefore;
    }

    /// @inheritdoc IEscrow
    function coverageOf(SessionKey calldata session) external view override returns (uint96 cap, uint16 feeBps) {
        uint256 number = session.number;
        (cap, feeBps) = delegationAt(session.application, session.gateway, session.service, number);
        uint256 needed = capSumAt(session.application, number);
        if (number != 0) needed += capSumAt(session.application, number - 1);
        if (fundsAtOpening(session.application, number) < needed) cap = 0;
    }

    /// @dev Remembers the funds at the last two openings, before the funds change.
    function _roll(address application) private returns (Funds storage funds) {
        funds = _funds[application];
        uint64 current = _currentSession();
        if (funds.session != current) {
            uint96 free = funds.balance - funds.pending;
            funds.openingBefore = funds.session + 1 == current ? funds.opening : free;
            funds.opening = free;
            funds.session = current;
        }
    }

    function _takeFee() private {
        uint96 fee = PARAMETERS.valuesAt(_currentEpoch()).delegationFee;
        if (fee == 0) return;
        claimableOf[PARAMETERS.treasury()] += fee;
        TOKEN.safeTransferFrom(msg.sender, address(this), fee);
    }

    function _collect(address payee) private {
        uint96 amount = claimableOf[payee];
        if (amount == 0) revert Errors.Escrow_AmountZero();

        // Effect: nothing is owed any more.
        claimableOf[payee] = 0;
        emit Collect(payee, amount);

        // Interaction: send the tokens.
        TOKEN.safeTransfer(payee, amount);
    }

    function _delegationId(address application, address gateway, bytes32 service) private pure returns (bytes32) {
        return keccak256(abi.encode(application, gateway, service));
    }
}
