// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What is served and how it is counted; immutable, other weights make another service.
/// @dev Its ID is `keccak256` of the ABI encoding of the fields in this order.
/// @param source The owner of the model, who earns `sourceBps` of what the service earns.
/// @param specHash The sha256 of the canonical JSON specification of the model and its engine.
/// @param requestUnits Compute units of every relay.
/// @param inputUnits Compute units of a prompt token.
/// @param cachedUnits Compute units of a prompt token that the engine had cached.
/// @param outputUnits Compute units of a completion token.
/// @param sourceBps The source's share, in 1/10000 of a claim's value.
/// @param market The contract that publishes the rosters; zero where asks are posted.
/// @param name A human's name for the service.
struct Service {
    address source;
    bytes32 specHash;
    uint64 requestUnits;
    uint64 inputUnits;
    uint64 cachedUnits;
    uint64 outputUnits;
    uint16 sourceBps;
    address market;
    string name;
}

/// @notice Who pays, through whom, for what, when. Its hash is the session ID.
struct SessionKey {
    address application;
    address gateway;
    bytes32 service;
    uint64 number;
}

/// @notice What a supplier sends to claim one session; its supplier and number are the batch's.
/// @param rootDigest The digest of the root of the sum trie of payable relays.
/// @param sum The sum of the leaves' weights, in compute units.
/// @param count The number of leaves.
/// @param bond The stake put at risk, in token base units.
/// @param rosterIndex Where the supplier stands in the roster.
/// @param draw Which of the 64 draws hits it; 0 where the roster is allotted.
/// @param earlier The roster indices of all earlier draws; empty where `draw` is below the number of members.
struct ClaimInput {
    address application;
    address gateway;
    bytes32 service;
    bytes32 rootDigest;
    uint64 sum;
    uint64 count;
    uint96 bond;
    uint32 rosterIndex;
    uint8 draw;
    uint32[] earlier;
}

/// @notice An accepted claim. The chain keeps only the hash of its ABI encoding ({Lanes}).
/// @param value What it pays, in token base units, locked in the escrow.
/// @param bond The stake reserved for it, in token base units.
/// @param tau The sampling threshold of the session, in compute units.
/// @param price The unit price, in token base units per million compute units.
/// @param feeBps The gateway's share granted by the delegation, in 1/10000 of the value.
struct Claim {
    address supplier;
    SessionKey session;
    bytes32 rootDigest;
    uint64 sum;
    uint64 count;
    uint96 value;
    uint96 bond;
    uint64 tau;
    uint64 price;
    uint16 feeBps;
}

/// @notice One opened leaf of a claim's trie, with the receipt behind it.
/// @param requestHash The EIP-712 digest of the relay request.
/// @param responseHash The EIP-712 digest of the relay response.
/// @param units The receipted compute units, above zero and below 2^63.
/// @param secret The gateway's secret first seen in the receipt.
/// @param batchPath The receipt's path to the batch root, at most 16 long.
/// @param batchSignature The gateway's signature over the batch root, 65 bytes.
/// @param siblings The trie nodes beside the way from the leaf up, 48 bytes each.
struct LeafProof {
    bytes32 requestHash;
    bytes32 responseHash;
    uint64 units;
    bytes32 secret;
    bytes32[] batchPath;
    bytes batchSignature;
    bytes siblings;
}

/// @notice A supplier in a service's roster of an epoch.
/// @param unitPrice Token base units per million compute units, at least 1.
/// @param weight Its share of the draws, at least 1.
struct RosterEntry {
    address supplier;
    uint64 unitPrice;
    uint32 weight;
}

/// @notice Numbers that hold for a whole epoch.
/// @param members Suppliers drawn for a session, K, 1 to 64.
/// @param targetLeaves About the most leaves a claim has, at least 1.
/// @param marginBps The margin m of the number of challenge points, in 1/10000, at least 10000.
/// @param bondRatioMax The most a claim may be worth, in bonds; m times it is at most 60 points.
/// @param protocolBps The protocol's share, in 1/10000 of a claim's value, at most 1000.
/// @param lotsMax The most lots of stake that count as roster weight, at least 1.
/// @param idleEpochs Epochs without a paid claim after which a listing is left out of the roster; 0 is never. Below
/// 3 an honest supplier could be: a claim is paid two sessions after its own, and a roster built an epoch ahead.
/// @param rosterMax The most entries of a roster, 1 to 128.
/// @param lotStake The stake of one lot, in token base units, at least 1.
/// @param delegationFee What creating a delegation costs, not refunded, in token base units.
/// @param minStake The least stake of a listed supplier, in token base units.
struct ParameterValues {
    uint8 members;
    uint32 targetLeaves;
    uint32 marginBps;
    uint16 bondRatioMax;
    uint16 protocolBps;
    uint16 lotsMax;
    uint16 idleEpochs;
    uint16 rosterMax;
    uint96 lotStake;
    uint96 delegationFee;
    uint96 minStake;
}

/// @notice How blocks group into sessions and sessions into epochs.
/// @param genesisBlock The first block of session 0.
/// @param sessionBlocks Blocks of a session, L.
/// @param seedOffset Blocks from a session's start to the block its seed is the hash of, g.
/// @param epochSessions Sessions of an epoch, E.
struct ClockValues {
    uint64 genesisBlock;
    uint64 sessionBlocks;
    uint64 seedOffset;
    uint64 epochSessions;
}

/// @notice What a supplier's account shows.
/// @param operator The operator key of the current session.
/// @param stake All stake, what is reserved and what is leaving included.
/// @param reserved Stake that backs open claims.
/// @param unstaking Stake on its way out.
/// @param unstakeSession The session from which `unstaking` can be taken; it backs no claims made in the last three
/// sessions before.
/// @param bondCapPerSession The most bond the operator may put at risk for one session.
struct Supplier {
    address owner;
    address operator;
    address payout;
    uint96 stake;
    uint96 reserved;
    uint96 unstaking;
    uint64 unstakeSession;
    uint96 bondCapPerSession;
    string url;
}

/// @notice A posted ask.
/// @param lastActiveEpoch The epoch of the listing or of its last paid claim, whichever is later.
struct Listing {
    address supplier;
    uint64 unitPrice;
    uint64 lastActiveEpoch;
}

/// @notice What an application's escrow shows.
/// @param balance All funds not locked by claims, pending withdrawals included.
/// @param pending What is asked back.
/// @param pendingSession The session from which `pending` can be taken.
struct Account {
    uint96 balance;
    uint96 pending;
    uint64 pendingSession;
}

/// @notice What a session is worth to one of its members.
/// @param slice The most a member may claim, in token base units.
/// @param price The member's unit price.
/// @param tau The sampling threshold, in compute units.
/// @param feeBps The gateway's share, in 1/10000.
/// @param bondRatioMax The most a claim may be worth, in bonds.
struct SessionTerms {
    uint96 slice;
    uint64 price;
    uint64 tau;
    uint16 feeBps;
    uint16 bondRatioMax;
}

/// @notice What every claim of a session is held against, whoever's it is.
/// @param seed The seed that draws the members, that of the session before.
/// @param isOpen Whether the session can be valid at all: it has opened, not paused.
struct SessionRules {
    bytes32 seed;
    uint32 targetLeaves;
    uint16 bondRatioMax;
    uint8 members;
    bool isOpen;
}

/// @notice Where a supplier is said to have been drawn.
/// @param drawSeed {Draw.seed} of the session.
/// @param members Suppliers drawn, K.
struct Seat {
    SessionKey session;
    bytes32 drawSeed;
    uint8 members;
    address supplier;
    uint32 rosterIndex;
    uint8 draw;
}

/// @notice A member's part of the cap: `parts` of `whole` of it, as far as it is allotted.
/// @param capMax The most of the delegation's cap that counts.
struct Share {
    uint96 capMax;
    uint32 parts;
    uint32 whole;
}

/// @notice The bonds an operator may still reserve for a session.
/// @param free Stake that backs nothing yet.
/// @param used Bonds reserved for the session.
/// @param cap The most the owner allows for it.
struct BondRoom {
    uint96 free;
    uint96 used;
    uint96 cap;
}
