// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IClaims } from "../interfaces/IClaims.sol";
import { IEscrow } from "../interfaces/IEscrow.sol";
import { IParameters } from "../interfaces/IParameters.sol";
import { IRegistry } from "../interfaces/IRegistry.sol";
import { ISessions } from "../interfaces/ISessions.sol";
import { Clocked } from "../libraries/Clocked.sol";
import { Errors } from "../libraries/Errors.sol";
import { Lanes } from "../libraries/Lanes.sol";
import { Claim } from "../types/Types.sol";

/// @title OpenClaims
/// @notice What the parts of {Claims} share: the other contracts, and which claims are open.
abstract contract OpenClaims is IClaims, Clocked {
    IParameters public immutable override parameters;
    IRegistry public immutable override registry;
    IEscrow public immutable override escrow;
    ISessions public immutable override sessions;

    mapping(bytes32 lane => uint256 slot) internal _slots;

    constructor(
        IParameters parameters_,
        IRegistry registry_,
        IEscrow escrow_,
        ISessions sessions_
    )
        Clocked(parameters_.clock())
    {
        parameters = parameters_;
        registry = registry_;
        escrow = escrow_;
        sessions = sessions_;
        if (!_isWired()) revert Errors.Claims_WiringInvalid();
    }

    /// @inheritdoc IClaims
    function isOpen(Claim calldata claim) public view override returns (bool) {
        uint64 number = claim.session.number;
        return _slots[Lanes.keyOf(claim.supplier, claim.session)] == Lanes.open(keccak256(abi.encode(claim)), number);
    }

    /// @dev Whether the contracts were built to work with each other and with this one.
    function _isWired() private view returns (bool) {
        bytes memory found = abi.encode(
            registry.parameters(),
            registry.token(),
            registry.escrow(),
            registry.claims(),
            escrow.parameters(),
            escrow.registry(),
            escrow.claims(),
            sessions.parameters(),
            sessions.registry(),
            sessions.escrow()
        );
        bytes memory wanted = abi.encode(
            parameters, escrow.token(), escrow, this, parameters, registry, this, parameters, registry, escrow
        );
        return keccak256(found) == keccak256(wanted);
    }
}
