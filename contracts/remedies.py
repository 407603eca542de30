"""What each error of the contracts asks of its caller: the decision (its class) and the remedy.

The proof errors are the verdicts of `relay_mining.ProofFault`; `tests/contracts` checks that every
error that an artifact declares is here.
"""

from contracts.errors import (
    AlreadyDoneError,
    ContractError,
    InsufficientError,
    InvalidCallError,
    TooEarlyError,
    TooLateError,
    UnauthorizedError,
)

_CHECK_PROOF = "the proof is not good: rebuild it from the receipts, and check with `checkLeaf`"
_CHECK_CLEARING = (
    "the leaves do not prove a clearing: build the trees anew from the revealed orders"
)
_NO_RECEIVER = "the token refuses the zero address"

REMEDIES: dict[str, tuple[type[ContractError], str]] = {
    "Parameters_ClockInvalid": (
        InvalidCallError,
        "choose a genesis block that is past, a seed offset of 1 to half a session, at least 4"
        " blocks a session, 2 sessions an epoch, and 4 sessions within 8191 blocks",
    ),
    "Parameters_ValuesInvalid": (
        InvalidCallError,
        "a value is out of range: 1 to 64 members, 1 to 128 roster entries, at least 1 target"
        " leaf, bond ratio and lot, a margin of at least 10000 and at most 60 points with the bond"
        " ratio, a protocol share of at most 1000",
    ),
    "Parameters_EpochOutOfRange": (
        InvalidCallError,
        "schedule for the earliest epoch or later, and at most 66 epochs ahead",
    ),
    "Parameters_TreasuryZero": (InvalidCallError, "name the receiver of the protocol's shares"),
    "Registry_NotAuthorized": (
        UnauthorizedError,
        "send it with the owner's key, or the operator's where it is the operator's to do",
    ),
    "Registry_ServiceExists": (AlreadyDoneError, "the service is listed: use its id"),
    "Registry_ServiceUnknown": (InvalidCallError, "list the service first, or check its id"),
    "Registry_SourceShareTooHigh": (InvalidCallError, "ask for a source's share within the limit"),
    "Registry_GatewayExists": (
        AlreadyDoneError,
        "the gateway is registered: rotate its key or set its URL instead",
    ),
    "Registry_GatewayUnknown": (InvalidCallError, "register the gateway first"),
    "Registry_SupplierExists": (AlreadyDoneError, "the supplier is registered: use it"),
    "Registry_SupplierUnknown": (InvalidCallError, "register the supplier first, or check its id"),
    "Registry_AddressZero": (InvalidCallError, "give an address that is not zero"),
    "Registry_AmountZero": (InvalidCallError, "give an amount above zero"),
    "Registry_StakeTooLow": (
        InsufficientError,
        "stake more, or wait until settled claims free their bonds",
    ),
    "Registry_StillUnstaking": (TooEarlyError, "wait for the session in which it can be taken"),
    "Registry_PriceZero": (InvalidCallError, "ask for at least 1 per million compute units"),
    "Registry_ListFull": (InsufficientError, "stake more than the least of the listed suppliers"),
    "Registry_NotListed": (AlreadyDoneError, "the supplier has no ask for this service"),
    "Registry_BondCapExceeded": (
        InsufficientError,
        "reserve a smaller bond, or let the owner raise the bond cap",
    ),
    "Escrow_NotAuthorized": (UnauthorizedError, "only the contract Claims may do this"),
    "Escrow_AmountZero": (InvalidCallError, "give an amount above zero"),
    "Escrow_FundsTooLow": (InsufficientError, "deposit more, or ask for less"),
    "Escrow_StillPending": (TooEarlyError, "wait for the session in which it can be taken"),
    "Escrow_GatewayUnknown": (InvalidCallError, "register the gateway first"),
    "Escrow_ServiceUnknown": (InvalidCallError, "list the service first, or check its id"),
    "Escrow_FeeTooHigh": (InvalidCallError, "grant the gateway a share within the limit"),
    "Escrow_AmountTooHigh": (
        InvalidCallError,
        "one application's funds and caps stay below 2^88: use another address",
    ),
    "Sessions_HistoryMissing": (
        InvalidCallError,
        "this chain lacks EIP-2935's history of block hashes: deploy on one that has it",
    ),
    "Sessions_SeedUnavailable": (
        TooEarlyError,
        "wait until the seed's block is past; after 8191 blocks it is lost",
    ),
    "Sessions_RosterWindowClosed": (
        TooEarlyError,
        "the next roster can be built when the next epoch has begun",
    ),
    "Sessions_NotMarket": (UnauthorizedError, "the service's market contract publishes its roster"),
    "Sessions_RosterInvalid": (
        InvalidCallError,
        "sort by supplier, without repeats, with prices and weights of at least 1",
    ),
    "Sessions_SessionInvalid": (
        InvalidCallError,
        "the session is not open, opened paused, or its escrow did not cover it: do not serve it",
    ),
    "Sessions_NotMember": (
        InvalidCallError,
        "the supplier was not drawn: do not serve the session",
    ),
    "Claims_WiringInvalid": (InvalidCallError, "deploy all the contracts anew"),
    "Claims_WindowClosed": (TooLateError, "claim session n while n+1 runs"),
    "Claims_AlreadyClaimed": (AlreadyDoneError, "the session is claimed: prove and settle it"),
    "Claims_Unsettled": (
        TooEarlyError,
        "settle the claim of four sessions before for the same delegation first: it holds the slot",
    ),
    "Claims_SumOutOfRange": (InvalidCallError, "claim a trie with at least one leaf, below 2^63"),
    "Claims_ValueZero": (InvalidCallError, "a claim worth nothing is not worth claiming"),
    "Claims_OverSlice": (InvalidCallError, "claim at most the slice: the rest cannot be paid"),
    "Claims_BondTooLow": (InsufficientError, "reserve at least the least bond"),
    "Claims_ClaimUnknown": (
        AlreadyDoneError,
        "there is no such open claim: it is settled, or was claimed with other values",
    ),
    "Claims_ProofWindowClosed": (
        TooLateError,
        "prove session n in n+2, once its seed's block is past",
    ),
    "Claims_ChallengeUnknown": (TooEarlyError, "settle once the seed of n+2 can be known"),
    "Claims_ProofRequired": (TooEarlyError, "prove it, or settle when its window has closed"),
    "Proof_WrongLeafCount": (InvalidCallError, _CHECK_PROOF),
    "Proof_UnitsOutOfRange": (InvalidCallError, _CHECK_PROOF),
    "Proof_NotPayable": (InvalidCallError, _CHECK_PROOF),
    "Proof_MalformedSiblings": (InvalidCallError, _CHECK_PROOF),
    "Proof_SumOverflow": (InvalidCallError, _CHECK_PROOF),
    "Proof_RootMismatch": (InvalidCallError, _CHECK_PROOF),
    "Proof_PointNotCovered": (InvalidCallError, _CHECK_PROOF),
    "Proof_PathMismatch": (InvalidCallError, _CHECK_PROOF),
    "Proof_BadBatchSignature": (InvalidCallError, _CHECK_PROOF),
    "Auction_TermsInvalid": (
        InvalidCallError,
        "take a fee above zero and below the whole price, a clearer's part of at most all, and "
        "epochs of at most 1024 sessions",
    ),
    "Auction_NotMarket": (
        InvalidCallError,
        "the service names another market, or its source has not opened this one",
    ),
    "Auction_NotAuthorized": (
        UnauthorizedError,
        "send it with the key of the source, the supplier's owner or operator, the application,"
        " or the submitter",
    ),
    "Auction_MarketExists": (AlreadyDoneError, "the market is open: its price follows its demand"),
    "Auction_PriceZero": (InvalidCallError, "open the market at a price of at least 1"),
    "Auction_AmountZero": (AlreadyDoneError, "there is nothing to collect"),
    "Auction_EpochOutOfRange": (InvalidCallError, "rounds fill epochs from 2 on"),
    "Auction_EpochRunning": (TooEarlyError, "wait until the epoch is over"),
    "Auction_Paused": (TooEarlyError, "wait until new sessions open again"),
    "Auction_WindowClosed": (
        TooLateError,
        "each step of a round has its blocks: see `windowsOf`, and take the next round",
    ),
    "Auction_OrderExists": (AlreadyDoneError, "one order a trader and round: reveal the one there"),
    "Auction_OrderUnknown": (
        InvalidCallError,
        "there is no such order, or it is revealed, settled, or did not accept the price",
    ),
    "Auction_DepositTooLow": (InsufficientError, "put down at least the order bond"),
    "Auction_BookFull": (
        InsufficientError,
        "stake more than the least of the suppliers in the book",
    ),
    "Auction_SealMismatch": (
        InvalidCallError,
        "reveal the terms and salt that were sealed, for the same trader, service and epoch",
    ),
    "Auction_OrderInvalid": (
        InvalidCallError,
        "a price of at least 1 for 1 to 33554431 units",
    ),
    "Auction_RoundRunning": (TooEarlyError, "wait until the round is published, or its time over"),
    "Auction_RoundCleared": (AlreadyDoneError, "the round has its roster"),
    "Auction_ClearingExists": (AlreadyDoneError, "the sender has submitted this clearing"),
    "Auction_ClearingUnknown": (
        InvalidCallError,
        "there is no such clearing, or it is defeated or closed",
    ),
    "Auction_DemandExists": (AlreadyDoneError, "the leaf is demanded: wait for it to be shown"),
    "Auction_DemandUnknown": (AlreadyDoneError, "the leaf is not owed"),
    "Auction_ClearingStands": (TooEarlyError, "wait until the clearing is published or released"),
    "Auction_LeavesOwed": (
        TooEarlyError,
        "show the leaves that are owed; once it is too late, they defeat the clearing",
    ),
    "Auction_InOrder": (InvalidCallError, "the leaves stand as their keys say"),
    "Auction_EntriesMismatch": (InvalidCallError, "publish the entries of the clearing's event"),
    "Clearing_WrongSaleCount": (InvalidCallError, _CHECK_CLEARING),
    "Clearing_SaleOutOfOrder": (InvalidCallError, _CHECK_CLEARING),
    "Clearing_NotSold": (InvalidCallError, _CHECK_CLEARING),
    "Clearing_NotCovered": (InvalidCallError, _CHECK_CLEARING),
    "Clearing_NothingSold": (InvalidCallError, "a round without sales is not cleared"),
    "Clearing_PriceOutOfRange": (InvalidCallError, _CHECK_CLEARING),
    "Tree_TooDeep": (InvalidCallError, _CHECK_CLEARING),
    "Tree_SumsOutOfRange": (InvalidCallError, _CHECK_CLEARING),
    "Tree_RootMismatch": (InvalidCallError, _CHECK_CLEARING),
    "Tree_ShapeMismatch": (InvalidCallError, _CHECK_CLEARING),
    "TestToken_SupplyTooHigh": (InvalidCallError, "mint less of the test token"),
    "AccessControlBadConfirmation": (InvalidCallError, "a role is renounced by its holder"),
    "AccessControlUnauthorizedAccount": (UnauthorizedError, "send it with a key of that role"),
    "ERC20InsufficientAllowance": (InsufficientError, "approve the contract for the amount first"),
    "ERC20InsufficientBalance": (InsufficientError, "get more tokens to the sending address"),
    "ERC20InvalidApprover": (InvalidCallError, _NO_RECEIVER),
    "ERC20InvalidReceiver": (InvalidCallError, _NO_RECEIVER),
    "ERC20InvalidSender": (InvalidCallError, _NO_RECEIVER),
    "ERC20InvalidSpender": (InvalidCallError, _NO_RECEIVER),
    "FailedCall": (InvalidCallError, "the inner call failed without a reason"),
    "InvalidShortString": (InvalidCallError, "the string is malformed"),
    "ReentrancyGuardReentrantCall": (InvalidCallError, "a call may not be made within another"),
    "SafeERC20FailedOperation": (InsufficientError, "the token refused: check balance, allowance"),
    "StringTooLong": (InvalidCallError, "the string is longer than 31 bytes"),
    "TimelockInsufficientDelay": (InvalidCallError, "schedule it with the timelock's delay"),
    "TimelockInvalidOperationLength": (
        InvalidCallError,
        "targets, values and data differ in length",
    ),
    "TimelockUnauthorizedCaller": (UnauthorizedError, "only the timelock itself may call this"),
    "TimelockUnexecutedPredecessor": (TooEarlyError, "execute the operation before it first"),
    "TimelockUnexpectedOperationState": (TooEarlyError, "wait until the operation is ready"),
}
