"""The Solidity contracts, their compiled artifacts, and the only code that speaks web3."""

from contracts.addressbook import AddressBook
from contracts.chain import Block, Call, Chain, Fees, Log, TxReceipt
from contracts.claim_history import PastClaim, read_claims
from contracts.claims import (
    BATCH_MAX,
    Challenge,
    ClaimAccepted,
    ClaimInput,
    ClaimPaid,
    ClaimRefused,
    Claims,
    ClaimVoided,
    Outcome,
    SettleRefused,
    decode_outcome,
)
from contracts.delegations import Payer, read_payers
from contracts.deployment import HISTORY
from contracts.endpoints import name_endpoint
from contracts.errors import (
    AddressBookError,
    AlreadyDoneError,
    ChainError,
    ChainUnavailableError,
    ContractError,
    DeploymentError,
    FeeLimitError,
    GasFundsError,
    HistoryMissingError,
    InsufficientError,
    InvalidCallError,
    NotMinedError,
    RpcError,
    TooEarlyError,
    TooLateError,
    TransactionError,
    UnauthorizedError,
    UnknownRevertError,
    WrongChainError,
)
from contracts.escrow import Delegation, Escrow, EscrowAccount
from contracts.events import BlockRef, Cursor, Event, EventBatch, EventReader
from contracts.market import Market
from contracts.parameters import Parameters
from contracts.registry import NOBODY, Listing, Registry, SupplierAccount
from contracts.service import Service, compute_service_id, compute_supplier_id
from contracts.sessions import RosterHead, Sessions, SessionState
from contracts.settings import ChainSettings
from contracts.token import Token
from contracts.transactions import SendPolicy, TxSender

__all__ = [
    "BATCH_MAX",
    "HISTORY",
    "NOBODY",
    "AddressBook",
    "AddressBookError",
    "AlreadyDoneError",
    "Block",
    "BlockRef",
    "Call",
    "Chain",
    "ChainError",
    "ChainSettings",
    "ChainUnavailableError",
    "Challenge",
    "ClaimAccepted",
    "ClaimInput",
    "ClaimPaid",
    "ClaimRefused",
    "ClaimVoided",
    "Claims",
    "ContractError",
    "Cursor",
    "Delegation",
    "DeploymentError",
    "Escrow",
    "EscrowAccount",
    "Event",
    "EventBatch",
    "EventReader",
    "FeeLimitError",
    "Fees",
    "GasFundsError",
    "HistoryMissingError",
    "InsufficientError",
    "InvalidCallError",
    "Listing",
    "Log",
    "Market",
    "NotMinedError",
    "Outcome",
    "Parameters",
    "PastClaim",
    "Payer",
    "Registry",
    "RosterHead",
    "RpcError",
    "SendPolicy",
    "Service",
    "SessionState",
    "Sessions",
    "SettleRefused",
    "SupplierAccount",
    "Token",
    "TooEarlyError",
    "TooLateError",
    "TransactionError",
    "TxReceipt",
    "TxSender",
    "UnauthorizedError",
    "UnknownRevertError",
    "WrongChainError",
    "compute_service_id",
    "compute_supplier_id",
    "decode_outcome",
    "name_endpoint",
    "read_claims",
    "read_payers",
]
