"""From revert data to a ContractError: its selector says which of the contracts' errors it is."""

from functools import cache

from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError

from contracts.abi import ARTIFACTS, Item, decode_values, load_abi
from contracts.errors import ContractError, RpcError, UnknownRevertError
from contracts.remedies import REMEDIES

_REVERT_STRING = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")
_REVERT_CODES = frozenset({3, -32015})


def is_revert(error: RpcError) -> bool:
    """Whether an endpoint's error says that a contract reverted."""
    return error.code in _REVERT_CODES or "revert" in error.message.lower()


def decode_revert(data: bytes | None) -> ContractError:
    """The error that revert data stands for, with its values and what to do about it."""
    if not data:
        return UnknownRevertError("Revert", {}, "the contract gave no reason")
    selector, body = data[:4], data[4:]
    try:
        if selector == _REVERT_STRING:
            return UnknownRevertError("Error", {"reason": abi_decode(["string"], body)[0]}, "")
        if selector == _PANIC:
            return UnknownRevertError("Panic", {"code": abi_decode(["uint256"], body)[0]}, "")
        item = _errors_by_selector().get(selector)
        if item is None:
            return UnknownRevertError("Revert", {"data": data}, "")
        values = decode_values(item.inputs, body)
    except (DecodingError, OverflowError):  # an offset may be any 256 bits
        return UnknownRevertError("Revert", {"data": data}, "its data is malformed")
    kind, remedy = REMEDIES.get(item.name, (ContractError, ""))
    named = {each.name: value for each, value in zip(item.inputs, values, strict=True)}
    return kind(item.name, named, remedy)


@cache
def _errors_by_selector() -> dict[bytes, Item]:
    contracts = sorted(path.stem for path in ARTIFACTS.glob("*.json"))
    return {
        selector: item
        for contract in contracts
        for selector, item in load_abi(contract).errors.items()
    }


def declared_errors() -> frozenset[str]:
    """Names of all errors that the artifacts declare."""
    return frozenset(item.name for item in _errors_by_selector().values())
