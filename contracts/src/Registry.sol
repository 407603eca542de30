// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import { Checkpoints } from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import { IParameters } from "./interfaces/IParameters.sol";
import { IRegistry } from "./interfaces/IRegistry.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Errors } from "./libraries/Errors.sol";
import { RelayHash } from "./libraries/RelayHash.sol";
import { Listing, ParameterValues, RosterEntry, Service, Supplier } from "./types/Types.sol";

/// @title Registry
/// @notice See the documentation in {IRegistry}.
contract Registry is IRegistry, Clocked, ReentrancyGuardTransient {
    using Checkpoints for Checkpoints.Trace160;
    using SafeERC20 for IERC20;

    uint256 private constant SOURCE_BPS_MAX = 4000;

    /// @dev Three full sessions lie between the request and the first block in which stake can leave.
    uint64 private constant UNSTAKE_SESSIONS = 4;

    /// @dev Packed: what a claim touches is in two slots, `stake` and `bondCap` with their neighbours.
    struct SupplierState {
        address owner;
        uint96 unstaking;
        uint96 stake;
        uint96 reserved;
        uint64 unstakeSession;
        uint96 bondCap;
        uint96 bondUsed;
        uint64 bondSession;
        address payout;
        address offered;
        Checkpoints.Trace160 operators;
        string url;
    }

    struct GatewayState {
        Checkpoints.Trace160 keys;
        string url;
    }

    /// @dev `position` is the place in the service's list, plus one; zero is not listed.
    struct Ask {
        uint64 unitPrice;
        uint64 lastActiveEpoch;
        uint32 position;
    }

    IParameters private immutable PARAMETERS;
    IERC20 private immutable TOKEN;
    address public immutable override escrow;
    address public immutable override claims;

    mapping(bytes32 service => Service value) private _services;
    mapping(address gateway => GatewayState state) private _gateways;
    mapping(address supplier => SupplierState state) private _suppliers;
    mapping(bytes32 service => address[] suppliers) private _listed;
    mapping(bytes32 service => mapping(address supplier => Ask ask)) private _asks;

    modifier onlyClaims() {
        if (msg.sender != claims) revert Errors.Registry_NotAuthorized(msg.sender);
        _;
    }

    modifier onlyOwner(address supplier) {
        if (msg.sender != _suppliers[supplier].owner) revert Errors.Registry_NotAuthorized(msg.sender);
        _;
    }

    modifier onlyOwnerOrOperator(address supplier) {
        bool isEither = msg.sender == _suppliers[supplier].owner
            || msg.sender == address(_suppliers[supplier].operators.latest()) || msg.sender == _operatorNow(supplier);
        if (!isEither) revert Errors.Registry_NotAuthorized(msg.sender);
        _;
    }

    constructor(IParameters parameters, IERC20 token, address escrow_, address claims_) Clocked(parameters.clock()) {
        PARAMETERS = parameters;
        TOKEN = token;
        escrow = escrow_;
        claims = claims_;
    }

    /*//////////////////////////////////////////////////////////////////////////
                               SERVICES AND GATEWAYS
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IRegistry
    function listService(Service calldata value) external override returns (bytes32 service) {
        if (msg.sender != value.source) revert Errors.Registry_NotAuthorized(msg.sender);
        if (value.sourceBps > SOURCE_BPS_MAX) {
            revert Errors.Registry_SourceShareTooHigh(value.sourceBps, SOURCE_BPS_MAX);
        }
        service = RelayHash.serviceId(value);
        if (_services[service].source != address(0)) revert Errors.Registry_ServiceExists(service);

        _services[service] = value;
        emit ListService(service, msg.sender, value);
    }

    /// @inheritdoc IRegistry
    function registerGateway(address signingKey, string calldata url) external override {
        if (isGateway(msg.sender)) revert Errors.Registry_GatewayExists(msg.sender);
        _setGatewayKey(signingKey);
        _setGatewayUrl(url);
    }

    /// @inheritdoc IRegistry
    function rotateGatewayKey(address newKey) external override {
        if (!isGateway(msg.sender)) revert Errors.Registry_GatewayUnknown(msg.sender);
        _setGatewayKey(newKey);
    }

    /// @inheritdoc IRegistry
    function setGatewayUrl(string calldata url) external override {
        if (!isGateway(msg.sender)) revert Errors.Registry_GatewayUnknown(msg.sender);
        _setGatewayUrl(url);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                     SUPPLIERS
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IRegistry
    function registerSupplier(
        bytes32 salt,
        address operator,
        address payout,
        string calldata url,
        uint96 bondCapPerSession
    )
        external
        override
        returns (address supplier)
    {
        supplier = RelayHash.supplierId(msg.sender, salt);
        if (isSupplier(supplier)) revert Errors.Registry_SupplierExists(supplier);

        _suppliers[supplier].owner = msg.sender;
        emit RegisterSupplier(supplier, msg.sender);
        _setOperator(supplier, operator);
        _setPayout(supplier, payout);
        _setUrl(supplier, url);
        _setBondCap(supplier, bondCapPerSession);
    }

    /// @inheritdoc IRegistry
    function offerSupplier(address supplier, address newOwner) external override onlyOwner(supplier) {
        _suppliers[supplier].offered = newOwner;
        emit OfferSupplier(supplier, newOwner);
    }

    /// @inheritdoc IRegistry
    function acceptSupplier(address supplier) external override {
        SupplierState storage state = _suppliers[supplier];
        if (msg.sender != state.offered) revert Errors.Registry_NotAuthorized(msg.sender);
        state.owner = msg.sender;
        state.offered = address(0);
        emit AcceptSupplier(supplier, msg.sender);
    }

    /// @inheritdoc IRegistry
    function setOperator(address supplier, address operator) external override onlyOwner(supplier) {
        _setOperator(supplier, operator);
    }

    /// @inheritdoc IRegistry
    function setPayout(address supplier, address payout) external override onlyOwner(supplier) {
        _setPayout(supplier, payout);
    }

    /// @inheritdoc IRegistry
    function setUrl(address supplier, string calldata url) external override onlyOwnerOrOperator(supplier) {
        _setUrl(supplier, url);
    }

    /// @inheritdoc IRegistry
    function setBondCap(address supplier, uint96 bondCapPerSession) external override onlyOwner(supplier) {
        _setBondCap(supplier, bondCapPerSession);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       STAKE
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IRegistry
    function stake(address supplier, uint96 amount) external override nonReentrant {
        if (amount == 0) revert Errors.Registry_AmountZero();
        if (!isSupplier(supplier)) revert Errors.Registry_SupplierUnknown(supplier);

        // Effect: the stake grows.
        _suppliers[supplier].stake += amount;
        emit Stake(supplier, msg.sender, amount);

        // Interaction: take the tokens.
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRegistry
    function requestUnstake(address supplier, uint96 amount) external override onlyOwner(supplier) {
        SupplierState storage state = _suppliers[supplier];
        uint96 free = state.stake - state.reserved;
        if (amount == 0) revert Errors.Registry_AmountZero();
        if (amount > free) revert Errors.Registry_StakeTooLow(free, amount);

        uint64 fromSession = _currentSession() + UNSTAKE_SESSIONS;
        state.stake -= amount;
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

        // Effect: nothing is on its way out any more.
        state.unstaking = 0;
        emit FinishUnstake(supplier, msg.sender, amount);

        // Interaction: send the tokens.
        TOKEN.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IRegistry
    function reserveBond(
        address supplier,
        address operator,
        uint64 number,
        uint96 amount
    )
        external
        override
        onlyClaims
    {
        SupplierState storage state = _suppliers[supplier];
        if (operator != _operatorNow(supplier)) revert Errors.Registry_NotAuthorized(operator);
        uint96 free = state.stake - state.reserved;
        if (amount > free) revert Errors.Registry_StakeTooLow(free, amount);
        uint256 used = (state.bondSession == number ? uint256(state.bondUsed) : 0) + amount;
        if (used > state.bondCap) revert Errors.Registry_BondCapExceeded(used, state.bondCap);

        state.reserved += amount;
        state.bondUsed = uint96(used);
        state.bondSession = number;
    }

    /// @inheritdoc IRegistry
    function releaseBond(
        address supplier,
        bytes32 service,
        uint96 amount
    )
        external
        override
        onlyClaims
        returns (address payout)
    {
        _suppliers[supplier].reserved -= amount;
        Ask storage ask = _asks[service][supplier];
        uint64 epoch = uint64(_currentEpoch());
        if (ask.position != 0 && ask.lastActiveEpoch != epoch) ask.lastActiveEpoch = epoch;
        return _suppliers[supplier].payout;
    }

    /// @inheritdoc IRegistry
    function slashBond(address supplier, uint96 amount) external override onlyClaims {
        // Effect: the stake shrinks.
        SupplierState storage state = _suppliers[supplier];
        state.reserved -= amount;
        state.stake -= amount;
        emit SlashBond(supplier, amount);

        // Interaction: the tokens go where the application's funds are.
        TOKEN.safeTransfer(escrow, amount);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                       ASKS
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IRegistry
    function setListing(
        address supplier,
        bytes32 service,
        uint64 unitPrice
    )
        external
        override
        onlyOwnerOrOperator(supplier)
    {
        if (unitPrice == 0) revert Errors.Registry_PriceZero();
        if (_services[service].source == address(0)) revert Errors.Registry_ServiceUnknown(service);
        uint256 epoch = _currentEpoch();
        ParameterValues memory values = PARAMETERS.valuesAt(epoch);
        uint96 ownStake = _suppliers[supplier].stake;
        if (ownStake < values.minStake) revert Errors.Registry_StakeTooLow(ownStake, values.minStake);

        Ask storage ask = _asks[service][supplier];
        if (ask.position == 0) {
            if (_listed[service].length >= values.rosterMax) _evictLeast(service, ownStake);
            _listed[service].push(supplier);
            ask.position = uint32(_listed[service].length);
        }
        ask.unitPrice = unitPrice;
        ask.lastActiveEpoch = uint64(epoch);
        emit SetListing(service, supplier, unitPrice);
    }

    /// @inheritdoc IRegistry
    function removeListing(address supplier, bytes32 service) external override onlyOwnerOrOperator(supplier) {
        if (_asks[service][supplier].position == 0) revert Errors.Registry_NotListed(service, supplier);
        _removeListing(service, supplier);
    }

    /*//////////////////////////////////////////////////////////////////////////
                                 READ-ONLY FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @inheritdoc IRegistry
    function serviceOf(bytes32 service) external view override returns (Service memory value) {
        value = _services[service];
        if (value.source == address(0)) revert Errors.Registry_ServiceUnknown(service);
    }

    /// @inheritdoc IRegistry
    function sharesOf(bytes32 service)
        external
        view
        override
        returns (address source, uint16 sourceBps, address market)
    {
        Service storage value = _services[service];
        return (value.source, value.sourceBps, value.market);
    }

    /// @inheritdoc IRegistry
    function gatewayKeyAt(address gateway, uint256 number) external view override returns (address) {
        return address(_gateways[gateway].keys.upperLookupRecent(uint96(number)));
    }

    /// @inheritdoc IRegistry
    function isGateway(address gateway) public view override returns (bool) {
        return _gateways[gateway].keys.length() != 0;
    }

    /// @inheritdoc IRegistry
    function gatewayUrl(address gateway) external view override returns (string memory) {
        return _gateways[gateway].url;
    }

    /// @inheritdoc IRegistry
    function supplierOf(address supplier) external view override returns (Supplier memory) {
        if (!isSupplier(supplier)) revert Errors.Registry_SupplierUnknown(supplier);
        SupplierState storage state = _suppliers[supplier];
        return Supplier({
            owner: state.owner,
            operator: _operatorNow(supplier),
            payout: state.payout,
            stake: state.stake,
            reserved: state.reserved,
            unstaking: state.unstaking,
            unstakeSession: state.unstakeSession,
            bondCapPerSession: state.bondCap,
            url: state.url
        });
    }

    /// @inheritdoc IRegistry
    function isSupplier(address supplier) public view override returns (bool) {
        return _suppliers[supplier].owner != address(0);
    }

    /// @inheritdoc IRegistry
    function operatorAt(address supplier, uint256 number) external view override returns (address) {
        return address(_suppliers[supplier].operators.upperLookupRecent(uint96(number)));
    }

    /// @inheritdoc IRegistry
    function computeSupplierId(address owner, bytes32 salt) external pure override returns (address) {
        return RelayHash.supplierId(owner, salt);
    }

    /// @inheritdoc IRegistry
    function computeServiceId(Service calldata value) external pure override returns (bytes32) {
        return RelayHash.serviceId(value);
    }

    /// @inheritdoc IRegistry
    function listingsOf(bytes32 service) external view override returns (Listing[] memory listings) {
        address[] storage listed = _listed[service];
        listings = new Listing[](listed.length);
        for (uint256 i = 0; i < listings.length; ++i) {
            Ask storage ask = _asks[service][listed[i]];
            listings[i] = Listing(listed[i], ask.unitPrice, ask.lastActiveEpoch);
        }
    }

    /// @inheritdoc IRegistry
    function candidatesOf(bytes32 service) external view override returns (RosterEntry[] memory entries) {
        uint256 epoch = _currentEpoch() + 1;
        ParameterValues memory values = PARAMETERS.valuesAt(epoch);
        address[] storage listed = _listed[service];
        uint256 length = listed.length < values.rosterMax ? listed.length : values.rosterMax;
        entries = new RosterEntry[](length);
        uint256 count = 0;
        for (uint256 i = 0; i < length; ++i) {
            Ask storage ask = _asks[service][listed[i]];
            uint32 weight = _weightOf(listed[i], values);
            bool isIdle = values.idleEpochs != 0 && epoch > uint256(ask.lastActiveEpoch) + values.idleEpochs;
            if (weight != 0 && !isIdle) entries[count++] = RosterEntry(listed[i], ask.unitPrice, weight);
        }
        assembly ("memory-safe") {
            mstore(entries, count)
        }
    }

    /*//////////////////////////////////////////////////////////////////////////
                                  INNER FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    function _operatorNow(address supplier) private view returns (address) {
        return address(_suppliers[supplier].operators.upperLookupRecent(_currentSession()));
    }

    /// @dev Whole lots of stake, rounded down and capped; zero below the least stake.
    function _weightOf(address supplier, ParameterValues memory values) private view returns (uint32) {
        uint96 staked = _suppliers[supplier].stake;
        if (staked < values.minStake) return 0;
        uint96 lots = staked / values.lotStake;
        return lots < values.lotsMax ? uint32(lots) : values.lotsMax;
    }

    function _setGatewayKey(address signingKey) private {
        if (signingKey == address(0)) revert Errors.Registry_AddressZero();
        uint64 next = _currentSession() + 1;
        _gateways[msg.sender].keys.push(next, uint160(signingKey));
        emit SetGatewayKey(msg.sender, signingKey, next);
    }

    function _setGatewayUrl(string calldata url) private {
        _gateways[msg.sender].url = url;
        emit SetGatewayUrl(msg.sender, url);
    }

    function _setOperator(address supplier, address operator) private {
        if (operator == address(0)) revert Errors.Registry_AddressZero();
        uint64 next = _currentSession() + 1;
        _suppliers[supplier].operators.push(next, uint160(operator));
        emit SetOperator(supplier, operator, next);
    }

    function _setPayout(address supplier, address payout) private {
        if (payout == address(0)) revert Errors.Registry_AddressZero();
        _suppliers[supplier].payout = payout;
        emit SetPayout(supplier, payout);
    }

    function _setUrl(address supplier, string calldata url) private {
        _suppliers[supplier].url = url;
        emit SetUrl(supplier, url);
    }

    function _setBondCap(address supplier, uint96 bondCapPerSession) private {
        _suppliers[supplier].bondCap = bondCapPerSession;
        emit SetBondCap(supplier, bondCapPerSession);
    }

    /// @dev Makes room for a supplier with `ownStake` in a full list; the list is bounded by `rosterMax`.
    function _evictLeast(bytes32 service, uint96 ownStake) private {
        address[] storage listed = _listed[service];
        address least = listed[0];
        uint96 leastStake = _suppliers[least].stake;
        for (uint256 i = 1; i < listed.length; ++i) {
            uint96 staked = _suppliers[listed[i]].stake;
            if (staked < leastStake) (least, leastStake) = (listed[i], staked);
        }
        if (leastStake >= ownStake) revert Errors.Registry_ListFull(service, leastStake);
        _removeListing(service, least);
    }

    function _removeListing(bytes32 service, address supplier) private {
        address[] storage listed = _listed[service];
        uint32 position = _asks[service][supplier].position;
        address last = listed[listed.length - 1];
        listed[position - 1] = last;
        _asks[service][last].position = position;
        listed.pop();
        delete _asks[service][supplier];
        emit RemoveListing(service, supplier);
    }
}
