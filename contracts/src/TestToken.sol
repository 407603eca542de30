// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import { Errors } from "./libraries/Errors.sol";

/// @title TestToken
/// @notice A six-decimal token that anyone can mint, for local networks; real ones fix a stablecoin instead.
contract TestToken is ERC20 {
    constructor() ERC20("Lode Test Dollar", "LTD") { }

    /// @notice Mints to anyone, for anyone, as long as the supply fits one application's funds in the escrow.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
        if (totalSupply() > type(uint88).max) revert Errors.TestToken_SupplyTooHigh(totalSupply(), type(uint88).max);
    }

    /// @notice Six, as the large stablecoins have.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
