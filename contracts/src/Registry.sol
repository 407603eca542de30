// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import { IParameters } from "./interfaces/IParameters.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Listings } from "./registry/Listings.sol";
import { Stakes } from "./registry/Stakes.sol";

/// @title Registry
/// @notice See the documentation in {IRegistry}; its parts are {Services}, {Suppliers}, {Stakes} and {Listings}.
contract Registry is Listings {
    constructor(
        IParameters parameters_,
        IERC20 token_,
        address escrow_,
        address claims_
    )
        Clocked(parameters_.clock())
        Stakes(token_, escrow_, claims_)
        Listings(parameters_)
    { }
}
