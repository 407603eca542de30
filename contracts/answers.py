"""What an endpoint's answers say, read strictly; every reader raises KeyError, TypeError or
ValueError for what is of another form, which `contracts.chain` names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from relay_mining import Address, Hash32

Found = TypeVar("Found")
TIP_WEI_MIN = 1_000_000
"""Least tip offered: some nodes refuse transactions that tip nothing."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block's place: number, seconds since the epoch, hash and parent's hash."""

    number: int
    timestamp: int
    hash: Hash32
    parent_hash: Hash32


@dataclass(frozen=True, slots=True)
class Log:
    """One log entry of a mined transaction."""

    address: Address
    topics: tuple[Hash32, ...]
    data: bytes
    block_number: int
    block_hash: Hash32
    transaction_hash: Hash32
    index: int


@dataclass(frozen=True, slots=True)
class TxReceipt:
    """A mined transaction; gas in gas, its price in wei."""

    transaction_hash: Hash32
    block_number: int
    block_hash: Hash32
    is_success: bool
    gas_used: int
    gas_price: int
    contract_address: Address | None
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Fees:
    """What EIP-1559 asks now, in wei a gas: the next block's base fee and a usual tip."""

    base: int
    tip: int


def if_any(read: Callable[[Any], Found]) -> Callable[[Any], Found | None]:
    """`read` for what may be missing."""
    return lambda found: None if found is None else read(found)


def read_word(number: Any) -> int:
    """An unsigned integer of 256 bits."""
    return _unsigned(number, 256)


def read_number(number: Any) -> int:
    """An unsigned integer of 64 bits: a block, a time, a nonce, gas."""
    return _unsigned(number, 64)


def read_hash(data: Any) -> Hash32:
    """A hash, 32 bytes."""
    return _sized(bytes(data), 32)


def read_fees(history: Mapping[str, Any]) -> Fees:
    """What the last blocks make the next one ask."""
    tips = sorted(read_word(each[0]) for each in history.get("reward", []) if each)
    middle = tips[len(tips) // 2] if tips else 0
    return Fees(base=read_word(history["baseFeePerGas"][-1]), tip=max(middle, TIP_WEI_MIN))


def read_block(block: Mapping[str, Any]) -> Block:
    """A block's place."""
    return Block(
        number=read_number(block["number"]),
        timestamp=read_number(block["timestamp"]),
        hash=read_hash(block["hash"]),
        parent_hash=read_hash(block["parentHash"]),
    )


def read_receipt(receipt: Mapping[str, Any]) -> TxReceipt:
    """The receipt of a mined transaction."""
    created = receipt.get("contractAddress")
    return TxReceipt(
        transaction_hash=read_hash(receipt["transactionHash"]),
        block_number=read_number(receipt["blockNumber"]),
        block_hash=read_hash(receipt["blockHash"]),
        is_success=read_number(receipt["status"]) == 1,
        gas_used=read_number(receipt["gasUsed"]),
        gas_price=read_word(receipt["effectiveGasPrice"]),
        contract_address=_address(created) if created else None,
        logs=read_logs(receipt["logs"]),
    )


def read_logs(logs: Sequence[Mapping[str, Any]]) -> tuple[Log, ...]:
    """Log entries."""
    return tuple(map(_log, logs))


def _unsigned(number: Any, bits: int) -> int:
    if not isinstance(number, int) or not 0 <= number < 1 << bits:
        raise ValueError(f"{number} is no unsigned integer of {bits} bits")
    return number


def _sized(data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes instead of {length}")
    return data


def _address(text: str) -> Address:
    return _sized(bytes.fromhex(text[2:]), 20)


def _log(log: Mapping[str, Any]) -> Log:
    return Log(
        address=_address(log["address"]),
        topics=tuple(map(read_hash, log["topics"])),
        data=bytes(log["data"]),
        block_number=read_number(log["blockNumber"]),
        block_hash=read_hash(log["blockHash"]),
        transaction_hash=read_hash(log["transactionHash"]),
        index=read_number(log["logIndex"]),
    )
