// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IRegistry } from "../interfaces/IRegistry.sol";
import { Clocked } from "../libraries/Clocked.sol";
import { Errors } from "../libraries/Errors.sol";
import { History } from "../libraries/History.sol";
import { RelayHash } from "../libraries/RelayHash.sol";
import { Service } from "../types/Types.sol";

/// @title Services
/// @notice The part of {Registry} that knows what is served, and through whom.
abstract contract Services is IRegistry, Clocked {
    using History for History.Trace;

    uint256 private constant SOURCE_BPS_MAX = 4000;

    struct GatewayState {
        History.Trace keys;
        string url;
    }

    mapping(bytes32 service => Service value) internal _services;
    mapping(address gateway => GatewayState state) private _gateways;

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
        return address(_gateways[gateway].keys.valueAt(number));
    }

    /// @inheritdoc IRegistry
    function isGateway(address gateway) public view override returns (bool) {
        return _gateways[gateway].keys.latest != 0;
    }

    /// @inheritdoc IRegistry
    function gatewayUrl(address gateway) external view override returns (string memory) {
        return _gateways[gateway].url;
    }

    /// @inheritdoc IRegistry
    function computeServiceId(Service calldata value) external pure override returns (bytes32) {
        return RelayHash.serviceId(value);
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
}
