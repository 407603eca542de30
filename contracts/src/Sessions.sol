// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { IEscrow } from "./interfaces/IEscrow.sol";
import { IParameters } from "./interfaces/IParameters.sol";
import { IRegistry } from "./interfaces/IRegistry.sol";
import { ISessions } from "./interfaces/ISessions.sol";
import { Clocked } from "./libraries/Clocked.sol";
import { Draw } from "./libraries/Draw.sol";
import { Errors } from "./libraries/Errors.sol";
import { History } from "./libraries/History.sol";
import { RelayHash } from "./libraries/RelayHash.sol";
import { Threshold } from "./libraries/Threshold.sol";
import { ClockValues, RosterEntry, Seat, SessionKey, SessionRules, SessionTerms } from "./types/Types.sol";

/// @title Sessions
/// @notice See the documentation in {ISessions}.
contract Sessions is ISessions, Clocked {
    using History for History.Trace;

    /// @dev EIP-2935: the hashes of the last 8191 blocks.
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 private constant HISTORY_BLOCKS = 8191;

    IParameters public immutable override parameters;
    IRegistry public immutable override registry;
    IEscrow public immutable override escrow;

    struct Head {
        uint32 count;
        uint32 totalWeight;
        uint64 builtEpoch;
        bool isAllotted;
    }

    mapping(uint256 number => bytes32 seed) private _seeds;
    /// @dev By epoch: count, then total weight, then the epoch, then whether it is allotted, each above the one before.
    mapping(bytes32 service => History.Trace heads) private _heads;
    mapping(bytes32 service => mapping(uint256 epoch => mapping(uint256 index => uint256 entry))) private _rosters;
    mapping(bytes32 allotmentId => uint96 capMax) private _allotments;

    modifier onlyMarket(bytes32 service) {
        (,, address market) = registry.sharesOf(service);
        if (market == address(0) || msg.sender != market) revert Errors.Sessions_NotMarket(service, msg.sender);
        _;
    }

    constructor(IParameters parameters_, IRegistry registry_, IEscrow escrow_) Clocked(parameters_.clock()) {
        if (HISTORY.code.length == 0) revert Errors.Sessions_HistoryMissing();
        parameters = parameters_;
        registry = registry_;
        escrow = escrow_;
    }

    /// @inheritdoc ISessions
    function writeSeed(uint256 number) external override returns (bytes32 seed) {
        seed = _seeds[number];
        if (seed != 0) return seed;
        seed = _readSeed(number);
        if (seed == 0) revert Errors.Sessions_SeedUnavailable(number);
        _seeds[number] = seed;
        emit WriteSeed(number, seed);
    }

    /// @inheritdoc ISessions
    function buildRoster(bytes32 service) external override {
        (address source,, address market) = registry.sharesOf(service);
        if (source == address(0)) revert Errors.Registry_ServiceUnknown(service);
        if (market != address(0)) revert Errors.Sessions_NotMarket(service, msg.sender);
        _setRoster(service, registry.candidatesOf(service), false);
    }

    /// @inheritdoc ISessions
    function publishRoster(
        bytes32 service,
        RosterEntry[] calldata entries,
        bool isAllotted
    )
        external
        override
        onlyMarket(service)
    {
        uint256 most = parameters.valuesAt(_currentEpoch() + 1).rosterMax;
        if (entries.length > most) revert Errors.Sessions_RosterInvalid(most);
        address before = address(0);
        for (uint256 i = 0; i < entries.length; ++i) {
            RosterEntry calldata entry = entries[i];
            bool isValidEntry = entry.supplier > before && entry.unitPrice != 0 && entry.weight != 0
                && registry.isSupplier(entry.supplier);
            if (!isValidEntry) revert Errors.Sessions_RosterInvalid(i);
            before = entry.supplier;
        }
        _setRoster(service, entries, isAllotted);
    }

    /// @inheritdoc ISessions
    function allot(
        bytes32 service,
        uint64 epoch,
        address application,
        address gateway,
        uint96 capMax
    )
        external
        override
        onlyMarket(service)
    {
        _allotments[_allotmentId(service, epoch, application, gateway)] = capMax;
        emit Allot(service, epoch, application, gateway, capMax);
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
    function seedOf(uint256 number) public view override returns (bytes32 seed) {
        seed = _seeds[number];
        if (seed == 0) seed = _readSeed(number);
    }

    /// @inheritdoc ISessions
    function rosterOf(bytes32 service, uint256 epoch) external view override returns (RosterEntry[] memory entries) {
        Head memory head = _headOf(service, epoch);
        entries = new RosterEntry[](head.count);
        uint32 before = 0;
        for (uint256 i = 0; i < head.count; ++i) {
            (address supplier, uint64 unitPrice, uint32 cumulative) = Draw.unpack(_rosters[service][head.builtEpoch][i]);
            entries[i] = RosterEntry(supplier, unitPrice, cumulative - before);
            before = cumulative;
        }
    }

    /// @inheritdoc ISessions
    function rosterHeadOf(
        bytes32 service,
        uint256 epoch
    )
        external
        view
        override
        returns (uint32 count, uint32 totalWeight, uint64 builtEpoch)
    {
        Head memory head = _headOf(service, epoch);
        return (head.count, head.totalWeight, head.builtEpoch);
    }

    /// @inheritdoc ISessions
    function allotmentOf(SessionKey calldata session) external view override returns (uint96 capMax) {
        Head memory head = _headOf(session.service, _epochOf(session.number));
        return head.isAllotted ? _allotmentIn(head, session) : type(uint96).max;
    }

    /// @inheritdoc ISessions
    function rulesOf(uint256 number) public view override returns (SessionRules memory rules) {
        bool isPaused;
        (isPaused, rules.members, rules.targetLeaves, rules.bondRatioMax) = parameters.claimValuesOf(number);
        rules.isOpen = !isPaused && number != 0 && number <= _currentSession();
        if (number != 0) rules.seed = seedOf(number - 1);
    }

    /// @inheritdoc ISessions
    function priceOf(
        Seat memory seat,
        uint32[] calldata earlier
    )
        public
        view
        override
        returns (uint64 unitPrice, bool isAllotted)
    {
        // The head stays packed: on the way of every claim.
        uint160 head = _heads[seat.service].valueAt(_epochOf(seat.number));
        mapping(uint256 => uint256) storage roster = _rosters[seat.service][uint64(head >> 64)];
        Draw.Urn memory urn = Draw.Urn(uint32(head), uint32(head >> 32), seat.members);
        if (!Draw.isMember(roster, urn, seat.drawSeed, seat.rosterIndex, seat.draw, earlier)) return (0, false);
        address found;
        (found, unitPrice,) = Draw.unpack(roster[seat.rosterIndex]);
        if (found != seat.supplier) return (0, false);
        isAllotted = head >> 128 != 0;
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
        return _verifyMember(rulesOf(session.number), session, supplier, rosterIndex, draw, earlier);
    }

    /// @inheritdoc ISessions
    function isValid(SessionKey calldata session) external view override returns (bool) {
        SessionRules memory rules = rulesOf(session.number);
        (uint96 slice,) = _sliceOf(rules, session);
        return slice != 0 && _headOf(session.service, _epochOf(session.number)).count != 0;
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
        (terms.slice, terms.feeBps) = _sliceOf(rules, session);
        if (terms.slice == 0) revert Errors.Sessions_SessionInvalid(RelayHash.sessionId(session));
        terms.price = _verifyMember(rules, session, supplier, rosterIndex, draw, earlier);
        terms.tau = Threshold.tau(terms.slice, terms.price, rules.targetLeaves);
        terms.bondRatioMax = rules.bondRatioMax;
    }

    /*//////////////////////////////////////////////////////////////////////////
                                  INNER FUNCTIONS
    //////////////////////////////////////////////////////////////////////////*/

    /// @dev A member's slice, rounded down; zero where the session is not valid.
    function _sliceOf(
        SessionRules memory rules,
        SessionKey calldata session
    )
        private
        view
        returns (uint96 slice, uint16 feeBps)
    {
        if (!rules.isOpen) return (0, 0);
        uint96 cap;
        (cap, feeBps) = escrow.coverageOf(session);
        Head memory head = _headOf(session.service, _epochOf(session.number));
        if (head.isAllotted && cap > _allotmentIn(head, session)) return (0, 0);
        return (cap / rules.members, feeBps);
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
        returns (uint64 unitPrice)
    {
        if (session.number == 0) revert Errors.Sessions_NotMember(supplier, draw);
        if (rules.seed == 0) revert Errors.Sessions_SeedUnavailable(session.number - 1);
        bytes32 drawSeed = Draw.seed(rules.seed, RelayHash.sessionId(session));
        Seat memory seat = Seat(session.service, session.number, drawSeed, rules.members, supplier, rosterIndex, draw);
        (unitPrice,) = priceOf(seat, earlier);
        if (unitPrice == 0) revert Errors.Sessions_NotMember(supplier, draw);
    }

    /// @dev A roster that is inherited comes with the allotments it was published with.
    function _allotmentIn(Head memory head, SessionKey calldata session) private view returns (uint96) {
        return _allotments[_allotmentId(session.service, head.builtEpoch, session.application, session.gateway)];
    }

    function _allotmentId(
        bytes32 service,
        uint64 epoch,
        address application,
        address gateway
    )
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(service, epoch, application, gateway));
    }

    function _headOf(bytes32 service, uint256 epoch) private view returns (Head memory) {
        uint160 packed = _heads[service].valueAt(epoch);
        return Head(uint32(packed), uint32(packed >> 32), uint64(packed >> 64), packed >> 128 != 0);
    }

    function _setRoster(bytes32 service, RosterEntry[] memory entries, bool isAllotted) private {
        // Check: the seed of the running session draws the members of the next one.
        uint64 current = _currentSession();
        if (_isLastOfEpoch(current)) revert Errors.Sessions_RosterWindowClosed(current);

        // Effect: entries with their cumulative weights, one slot each.
        uint256 epoch = _epochOf(current) + 1;
        uint32 total = 0;
        mapping(uint256 => uint256) storage roster = _rosters[service][epoch];
        for (uint256 i = 0; i < entries.length; ++i) {
            total += entries[i].weight;
            roster[i] = Draw.pack(entries[i].supplier, entries[i].unitPrice, total);
        }
        // Effect: nothing is left of a longer roster built before; a stale entry could pass for a drawn one.
        for (uint256 i = entries.length; roster[i] != 0; ++i) {
            delete roster[i];
        }
        uint32 count = uint32(entries.length);
        uint160 flag = isAllotted ? 1 : 0;
        _heads[service].push(epoch, flag << 128 | uint160(epoch) << 64 | uint160(total) << 32 | count);
        emit SetRoster(service, epoch, count, total);
    }

    /// @dev The one place randomness comes from; zero where the block is not past, or forgotten.
    function _readSeed(uint256 number) private view returns (bytes32) {
        uint256 blockNumber = _seedBlockOf(number);
        if (blockNumber >= block.number || block.number - blockNumber > HISTORY_BLOCKS) return 0;
        (bool success, bytes memory answer) = HISTORY.staticcall(abi.encode(blockNumber));
        // A failure is not a lost seed: whoever is short of gas must not make it look so.
        if (!success || answer.length != 32) revert Errors.Sessions_HistoryMissing();
        return bytes32(answer);
    }
}
