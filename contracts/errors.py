"""Errors of the way to the chain and of the contracts on it.

* ChainError
  x ChainUnavailableError     no endpoint answered: wait, then try again
    + UnreadableAnswerError   one answered in another form than it must: the next one is asked
  x WrongChainError           an endpoint serves another chain: fix the configuration
  x RpcError                  an endpoint refused the request itself
  x AddressBookError          the address book is unusable: fix the file
  x DeploymentError           the market cannot be deployed here
    + HistoryMissingError     the chain lacks EIP-2935's history of block hashes
  x TransactionError          a transaction did not come through, by no contract's word
    + GasFundsError           the key cannot pay for gas: fund it
    + FeeLimitError           the chain asks more for gas than this node may pay
    + NotMinedError           not mined before the deadline; it may be mined later
  x ContractError             a contract refused; `name`, `values` and `remedy` say why
    + TooEarlyError           the same call succeeds later
    + TooLateError            its time is over: give it up
    + AlreadyDoneError        it is done: carry on
    + UnauthorizedError       another key has to send it
    + InsufficientError       too little stake, escrow or allowance: add some
    + InvalidCallError        the call itself is wrong, or its subject does not exist
    + UnknownRevertError      no contract of ours says why

Each class names a decision its caller makes.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

Value: TypeAlias = object
"""A decoded Solidity value: int, bool, bytes, str, or a tuple of those."""


class ChainError(Exception):
    """Base class of every error this package raises on purpose."""


class ChainUnavailableError(ChainError):
    """No endpoint answered; names each with its failure, never with credentials."""

    def __init__(self, failures: tuple[tuple[str, str], ...]) -> None:
        tried = "; ".join(f"{endpoint}: {failure}" for endpoint, failure in failures)
        super().__init__(f"no endpoint of the chain answered ({tried})")
        self.failures = failures


class UnreadableAnswerError(ChainUnavailableError):
    """An endpoint answered a request in another form than it must."""

    def __init__(self, endpoint: str, what: str) -> None:
        super().__init__(((endpoint, f"answered with {what} that cannot be read"),))


class WrongChainError(ChainError):
    """Every endpoint that answered serves another chain than the one asked for."""


class RpcError(ChainError):
    """An endpoint answered a request with an error."""

    def __init__(self, method: str, code: int, message: str, data: bytes | None) -> None:
        super().__init__(f"{method}: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class AddressBookError(ChainError):
    """The address book is missing, malformed, or of another chain."""


class DeploymentError(ChainError):
    """The market cannot be deployed, or a deployment cannot be resumed."""


class HistoryMissingError(DeploymentError):
    """The chain lacks EIP-2935's contract, from which the market draws its seeds."""


class TransactionError(ChainError):
    """A transaction did not come through, by no contract's word."""


class GasFundsError(TransactionError):
    """The sending key cannot pay for the gas."""


class FeeLimitError(TransactionError):
    """The chain's fee is above the limit this sender was given."""


class NotMinedError(TransactionError):
    """The transaction was not mined before the deadline; it may be mined later."""

    def __init__(self, nonce: int, hashes: tuple[bytes, ...]) -> None:
        sent = ", ".join("0x" + each.hex() for each in hashes)
        super().__init__(f"transaction {nonce} was not mined in time (sent as {sent})")
        self.nonce = nonce
        self.hashes = hashes


class ContractError(ChainError):
    """A contract refused the call; the state is as before it."""

    def __init__(self, name: str, values: Mapping[str, Value], remedy: str) -> None:
        shown = ", ".join(f"{key}={_show(value)}" for key, value in values.items())
        super().__init__(f"{name}({shown})" + (f": {remedy}" if remedy else ""))
        self.name = name
        self.values: Mapping[str, Value] = MappingProxyType(dict(values))
        self.remedy = remedy


class TooEarlyError(ContractError):
    """The same call succeeds later."""


class TooLateError(ContractError):
    """The time of the call is over for good."""


class AlreadyDoneError(ContractError):
    """What the call asks for has been done."""


class UnauthorizedError(ContractError):
    """The call has to come from another key."""


class InsufficientError(ContractError):
    """Stake, escrow, balance or allowance does not cover the call."""


class InvalidCallError(ContractError):
    """The call's arguments are wrong, or what they name does not exist."""


class UnknownRevertError(ContractError):
    """The call reverted without a reason that any of the contracts declares."""


def _show(value: Value) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return "(" + ", ".join(_show(each) for each in value) + ")"
    return str(value)
