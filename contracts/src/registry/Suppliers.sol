// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IRegistry } from "../interfaces/IRegistry.sol";
import { Clocked } from "../libraries/Clocked.sol";
import { Errors } from "../libraries/Errors.sol";
import { History } from "../libraries/History.sol";
import { RelayHash } from "../libraries/RelayHash.sol";
import { Supplier } from "../types/Types.sol";

/// @title Suppliers
/// @notice The part of {Registry} that knows who a supplier is, and who may do what for it.
abstract contract Suppliers is IRegistry, Clocked {
    using History for History.Trace;

    /// @dev Packed by what is touched together: a paid claim's in the first slot, a new claim's in the first three.
    struct SupplierState {
        address payout;
        uint96 reserved;
        uint96 stake;
        uint96 unstaking;
        uint64 unstakeSession;
        uint96 bondCap;
        uint96 bondUsed;
        uint64 bondSession;
        address owner;
        address offered;
        History.Trace operators;
        string url;
    }

    mapping(address supplier => SupplierState state) internal _suppliers;

    modifier onlyOwner(address supplier) {
        if (msg.sender != _suppliers[supplier].owner) revert Errors.Registry_NotAuthorized(msg.sender);
        _;
    }

    modifier onlyOwnerOrOperator(address supplier) {
        bool isEither = msg.sender == _suppliers[supplier].owner
            || msg.sender == address(_suppliers[supplier].operators.latest) || msg.sender == _operatorNow(supplier);
        if (!isEither) revert Errors.Registry_NotAuthorized(msg.sender);
        _;
    }

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
        return address(_suppliers[supplier].operators.valueAt(number));
    }

    /// @inheritdoc IRegistry
    function computeSupplierId(address owner, bytes32 salt) external pure override returns (address) {
        return RelayHash.supplierId(owner, salt);
    }

    function _operatorNow(address supplier) internal view returns (address) {
        return address(_suppliers[supplier].operators.valueAt(_currentSession()));
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
}
