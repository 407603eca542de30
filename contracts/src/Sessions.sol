// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IEscrow } from "./interfaces/IEscrow.sol";
import { IParameters } from "./interfaces/IParameters.sol";
import { IRegistry } from "./interfaces/IRegistry.sol";
import { ISessions } from "./interfaces/ISessions.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Draw } from "./libraries/Draw.sol";
import { Errors } from "./libraries/Errors.sol";
import { RelayHash } from "./libraries/RelayHash.sol";
import { Threshold } from "./libraries/Threshold.sol";
import { Rosters } from "./sessions/Rosters.sol";
import { Seeds } from "./sessions/Seeds.sol";
import { ClockValues, Seat, SessionKey, SessionRules, SessionTerms, Share } from "./types/Types.sol";

/// @title Sessions
/// @notice See the documentation in {ISessions}; seeds are kept by {Seeds}, rosters and allotments by {Rosters}.
contract Sessions is Seeds, Rosters {
    IEscrow public immutable override escrow;

    constructor(
        IParameters parameters_,
        IRegistry registry_,
        IEscrow escrow_
    )
        Clocked(parameters_.clock())
        Rosters(parameters_, registry_)
    {
        escrow = escrow_;
    }

    /// @inheritdoc ISessions
    function clock() external view override returns (ClockValues memory) {
        return _clock();
    }

    /// @inheritdoc ISessions
    function currentSession() external view override returns (uint256) {
        return _currentSession();
    }

    /// @inheritdoc ISessions
    function currentEpoch() external view override returns (uint256) {
        return _currentEpoch();
    }

    /// @inheritdoc ISessions
    function startOf(uint256 number) external view override returns (uint256) {
        return _startOf(number);
    }

    /// @inheritdoc ISessions
    function seedBlockOf(uint256 number) external view override returns (uint256) {
        return _seedBlockOf(number);
    }

    /// @inheritdoc ISessions
    function rulesOf(uint256 number) public view override returns (SessionRules memory rules) {
        bool isPaused;
        (isPaused, rules.members, rules.targetLeaves, rules.bondRatioMax) = parameters.claimValuesOf(number);
        rules.isOpen = !isPaused && number != 0 && number <= _currentSession();
        if (number != 0) rules.seed = seedOf(number - 1);
    }

    /// @inheritdoc ISessions
    function verifyMember(
        SessionKey calldata session,
        address supplier,
        uint32 rosterIndex,
        uint8 draw,
        uint32[] calldata earlier
    )
        external
        view
        override
        returns (uint64 unitPrice)
    {
        (unitPrice,) = _verifyMember(rulesOf(session.number), session, supplier, rosterIndex, draw, earlier);
    }

    /// @inheritdoc ISessions
    function isValid(SessionKey calldata session) external view override returns (bool) {
        (uint96 cap,) = _capOf(rulesOf(session.number), session);
        return cap != 0 && _headOf(session.service, _epochOf(session.number)).count != 0;
    }

    /// @inheritdoc ISessions
    function termsOf(
        SessionKey calldata session,
        address supplier,
        uint32 rosterIndex,
        uint8 draw,
        uint32[] calldata earlier
    )
        external
        view
        override
        returns (SessionTerms memory terms)
    {
        SessionRules memory rules = rulesOf(session.number);
        uint96 cap;
        (cap, terms.feeBps) = _capOf(rules, session);
        if (cap == 0) revert Errors.Sessions_SessionInvalid(RelayHash.sessionId(session));
        Share memory share;
        (terms.price, share) = _verifyMember(rules, session, supplier, rosterIndex, draw, earlier);
        terms.slice = Threshold.slice(cap, share);
        terms.tau = Threshold.tau(terms.slice, terms.price, rules.targetLeaves);
        terms.bondRatioMax = rules.bondRatioMax;
    }

    /*//////////////////////////////////////////////////////////////////////////
                                  INNER FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev What counts of the delegation's cap; zero where the session is not valid, be it that the cap is too small
    /// to be divided by the members.
    function _capOf(
        SessionRules memory rules,
        SessionKey calldata session
    )
        private
        view
        returns (uint96 cap, uint16 feeBps)
    {
        if (!rules.isOpen) return (0, 0);
        (cap, feeBps) = escrow.coverageOf(session);
        uint96 most = _capMaxOf(_headOf(session.service, _epochOf(session.number)), session);
        if (cap > most) cap = most;
        if (cap < rules.members) cap = 0;
    }

    function _verifyMember(
        SessionRules memory rules,
        SessionKey calldata session,
        address supplier,
        uint32 rosterIndex,
        uint8 draw,
        uint32[] calldata earlier
    )
        private
        view
        returns (uint64 unitPrice, Share memory share)
    {
        if (session.number == 0) revert Errors.Sessions_NotMember(supplier, draw);
        if (rules.seed == 0) revert Errors.Sessions_SeedUnavailable(session.number - 1);
        bytes32 drawSeed = Draw.seed(rules.seed, RelayHash.sessionId(session));
        (unitPrice, share) = priceOf(Seat(session, drawSeed, rules.members, supplier, rosterIndex, draw), earlier);
        if (unitPrice == 0) revert Errors.Sessions_NotMember(supplier, draw);
    }
}
