// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Clearings } from "./auction/Clearings.sol";
import { Rounds } from "./auction/Rounds.sol";
import { ISessions } from "./interfaces/ISessions.sol";
import { AuctionTerms } from "./types/AuctionTypes.sol";

/// @title Auction
/// @notice See the documentation in {IAuction}; its parts are {Rounds}, {Orders}, {Leaves} and {Clearings}.
contract Auction is Clearings {
    constructor(ISessions sessions_, AuctionTerms memory terms_) Rounds(sessions_, terms_) { }
}
