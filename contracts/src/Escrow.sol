// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import { IEscrow } from "./interfaces/IEscrow.sol";
import { IParameters } from "./interfaces/IParameters.sol";
import { IRegistry } from "./interfaces/IRegistry.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Coverage } from "./libraries/Coverage.sol";
import { Errors } from "./libraries/Errors.sol";
import { History } from "./libraries/History.sol";
import { Threshold } from "./libraries/Threshold.sol";
import { Account, SessionKey, Share } from "./types/Types.sol";

/// @title Escrow
/// @notice See the documentation in {IEscrow}.
contract Escrow is IEscrow, Clocked, ReentrancyGuardTransient {
    using Coverage for Coverage.Account;
    using Coverage for Coverage.Funds;
    using History for History.Trace;
    using SafeERC20 for IERC20;

    uint256 private constant FEE_BPS_MAX = 3000;

    /// @dev Two full sessions lie between the request and the first block in which funds can leave.
    uint64 private constant WITHDRAW_SESSIONS = 3;

    IParameters public immutable override parameters;
    IERC20 public immutable override token;
    IRegistry public immutable override registry;
    address public immutable override claims;

    mapping(address application => Coverage.Account account) private _accounts;
    /// @dev The cap in the low 96 bits, the gateway's share above it.
    mapping(bytes32 delegation => History.Trace caps) private _caps;
    mapping(address payee => uint96 amount) public override claimableOf;

    modifier onlyClaims() {
        if (msg.sender != claims) revert Errors.Escrow_NotAuthorized(msg.sender);
        _;
    }

    constructor(
        IParameters parameters_,
        IERC20 token_,
        IRegistry registry_,
        address claims_
    )
        Clocked(parameters_.clock())
    {
        parameters = parameters_;
        token = token_;
        registry = registry_;
        claims = claims_;
    }

    /// @inheritdoc IEscrow
    function deposit(address application, uint96 amount) external override nonReentrant {
        if (amount == 0) revert Errors.Escrow_AmountZero();

        // Effect: the funds grow.
        _add(application, amount);
        emit Deposit(application, msg.sender, amount);

        // Interaction: take the tokens.
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IEscrow
    function requestWithdraw(uint96 amount) external override {
        if (amount == 0) revert Errors.Escrow_AmountZero();
        Coverage.Account storage account = _accounts[msg.sender];
        Coverage.Funds memory funds = account.load(_currentSession());
        if (amount > funds.free) revert Errors.Escrow_FundsTooLow(funds.free, amount);

        uint64 fromSession = _currentSession() + WITHDRAW_SESSIONS;
        funds.free -= uint88(amount);
        account.store(funds);
        account.pending += uint88(amount);
        account.pendingSession = fromSession;
        emit RequestWithdraw(msg.sender, amount, fromSession);
    }

    /// @inheritdoc IEscrow
    function finishWithdraw() external override nonReentrant {
        Coverage.Account storage account = _accounts[msg.sender];
        uint96 amount = account.pending;
        uint64 current = _currentSession();
        if (amount == 0 || current < account.pendingSession) {
            revert Errors.Escrow_StillPending(current, account.pendingSession);
        }

        // Effect: the funds shrink; what is free of them stays.
        account.pending = 0;
        emit FinishWithdraw(msg.sender, amount);

        // Interaction: send the tokens.
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IEscrow
    function delegate(address gateway, bytes32 service, uint96 cap, uint16 feeBps) external override nonReentrant {
        if (feeBps > FEE_BPS_MAX) revert Errors.Escrow_FeeTooHigh(feeBps, FEE_BPS_MAX);
        if (!registry.isGateway(gateway)) revert Errors.Escrow_GatewayUnknown(gateway);
        (address source,,) = registry.sharesOf(service);
        if (source == address(0)) revert Errors.Escrow_ServiceUnknown(service);

        // Effect: the cap, from the next session on. A new one waits for another: the seed that draws the next
        // session's members may be known, and whoever knew them could delegate until it liked them.
        History.Trace storage caps = _caps[_delegationId(msg.sender, gateway, service)];
        uint96 capBefore = uint96(caps.latest);
        bool isNew = capBefore == 0 && cap != 0;
        uint256 fromSession = _currentSession() + (isNew ? 2 : 1);
        if (caps.from > fromSession) fromSession = caps.from;
        caps.push(fromSession, uint160(feeBps) << 96 | cap);

        // Effect: the sum of caps, never later than the cap.
        Coverage.Account storage account = _accounts[msg.sender];
        Coverage.Funds memory funds = account.load(_currentSession());
        account.setCapSum(funds, _fit(uint256(funds.capSum) - capBefore + cap));
        account.store(funds);
        emit Delegate(msg.sender, gateway, service, cap, feeBps, fromSession);

        // Interaction: a new delegation costs the fee.
        if (isNew) _takeFee();
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
    function lock(
        SessionKey calldata session,
        uint256 value,
        Share calldata share
    )
        external
        override
        onlyClaims
        returns (uint96 slice, uint16 feeBps)
    {
        // Check: the session was covered, the value is within the slice.
        Coverage.Account storage account = _accounts[session.application];
        Coverage.Funds memory funds = account.load(_currentSession());
        uint96 cap;
        (cap, feeBps) = _coverageOf(funds, session);
        slice = Threshold.slice(cap, share);
        if (value > slice) return (slice, feeBps);

        // Effect: funds asked back after the session opened still answer for its claims.
        if (value <= funds.free) {
            funds.free -= uint88(value);
        } else {
            account.pending -= uint88(value - funds.free);
            funds.free = 0;
        }
        account.store(funds);
    }

    /// @inheritdoc IEscrow
    function pay(address[4] calldata payees, uint96[4] calldata amounts) external override onlyClaims {
        for (uint256 i = 0; i < 4; ++i) {
            if (amounts[i] != 0) claimableOf[payees[i]] += amounts[i];
        }
    }

    /// @inheritdoc IEscrow
    function refund(address application, uint96 value, uint96 bond) external override onlyClaims {
        uint256 amount = uint256(value) + bond;
        Coverage.Account storage account = _accounts[application];
        Coverage.Funds memory funds = account.load(_currentSession());

        // What the account cannot hold is collected instead: a full one must not save a cheat its bond.
        uint256 room = type(uint88).max - funds.free;
        uint256 held = amount < room ? amount : room;
        funds.free += uint88(held);
        account.store(funds);
        if (amount > held) claimableOf[application] += uint96(amount - held);
        emit Refund(application, amount);
    }

    /// @inheritdoc IEscrow
    function accountOf(address application) external view override returns (Account memory) {
        Coverage.Account storage account = _accounts[application];
        return Account(uint96(account.peek().free) + account.pending, account.pending, account.pendingSession);
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
        uint160 packed = _caps[_delegationId(application, gateway, service)].valueAt(number);
        return (uint96(packed), uint16(packed >> 96));
    }

    /// @inheritdoc IEscrow
    function capSumOf(address application) external view override returns (uint96 capSum, uint64 fromSession) {
        Coverage.Funds memory funds = _accounts[application].peek();
        return (funds.capSum, funds.capSumFrom);
    }

    /// @inheritdoc IEscrow
    function coverageOf(SessionKey calldata session) external view override returns (uint96 cap, uint16 feeBps) {
        return _coverageOf(_accounts[session.application].load(_currentSession()), session);
    }

    function _coverageOf(
        Coverage.Funds memory funds,
        SessionKey calldata session
    )
        private
        view
        returns (uint96 cap, uint16 feeBps)
    {
        if (!funds.isCoveredAt(session.number)) return (0, 0);
        return delegationAt(session.application, session.gateway, session.service, session.number);
    }

    function _add(address application, uint96 amount) private {
        Coverage.Account storage account = _accounts[application];
        Coverage.Funds memory funds = account.load(_currentSession());
        funds.free = _fit(uint256(funds.free) + amount);
        account.store(funds);
    }

    function _fit(uint256 amount) private pure returns (uint88) {
        if (amount > type(uint88).max) revert Errors.Escrow_AmountTooHigh(amount, type(uint88).max);
        return uint88(amount);
    }

    function _takeFee() private {
        uint96 fee = parameters.valuesAt(_currentEpoch()).delegationFee;
        if (fee == 0) return;
        claimableOf[parameters.treasury()] += fee;
        token.safeTransferFrom(msg.sender, address(this), fee);
    }

    function _collect(address payee) private {
        uint96 amount = claimableOf[payee];
        if (amount == 0) revert Errors.Escrow_AmountZero();

        // Effect: nothing is owed any more.
        claimableOf[payee] = 0;
        emit Collect(payee, amount);

        // Interaction: send the tokens.
        token.safeTransfer(payee, amount);
    }

    function _delegationId(address application, address gateway, bytes32 service) private pure returns (bytes32) {
        return keccak256(abi.encode(application, gateway, service));
    }
}
