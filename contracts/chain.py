"""Reading an EVM chain, the block explicit: what clients, sender and events stand on."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from contracts.endpoints import Endpoints
from contracts.errors import RpcError
from contracts.reverts import decode_revert, is_revert
from relay_mining import Address, Hash32

if TYPE_CHECKING:
    from web3.types import BlockIdentifier, FilterParams, TxParams

Found = TypeVar("Found")
FEE_HISTORY_BLOCKS = 5
FEE_HISTORY_PERCENTILE = 50.0
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
class Call:
    """What to ask or send a contract; `to` is None for a deployment, `value` in wei."""

    to: Address | None
    data: bytes
    value: int = 0


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


class Chain:
    """One chain behind one or several endpoints; `async with` closes it.

    Every read may raise ChainUnavailableError, WrongChainError and RpcError. Reads of contracts
    take the block by number; None is the newest one.
    """

    def __init__(self, endpoints: Endpoints, chain_id: int) -> None:
        from contracts.provider import open_eth

        self._endpoints = endpoints
        self._eth = open_eth(endpoints)
        self.chain_id = chain_id

    @classmethod
    async def connect(
        cls, rpc_urls: Sequence[str], chain_id: int | None = None, *, timeout_s: float = 10.0
    ) -> Chain:
        """Reach the chain `chain_id`, or whichever the first endpoint that answers serves."""
        endpoints = Endpoints(rpc_urls, chain_id, timeout_s)
        try:
            return cls(endpoints, await endpoints.connect_chain())
        except BaseException:
            await endpoints.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoints.close()

    @property
    def endpoint(self) -> str:
        """The endpoint in use, without credentials."""
        return self._endpoints.endpoint

    async def head(self) -> Block:
        """The newest block."""
        return _block(await self._eth.get_block("latest"))

    async def block(self, number: int) -> Block | None:
        """A block by number; None where the chain has not got that far."""
        found = await _or_none(self._eth.get_block(_identifier(number)))
        return None if found is None else _block(found)

    async def finalized(self, confirmations: int) -> Block | None:
        """The newest block with `confirmations` on top; None on a chain shorter than that."""
        head = await self.head()
        if confirmations <= 0:
            return head
        if head.number < confirmations:
            return None
        return await self.block(head.number - confirmations)

    async def read(
        self, call: Call, block: int | None = None, *, sender: Address | None = None
    ) -> bytes:
        """What a contract returns as of the end of a block (ContractError if it reverts)."""
        with _reverts_named():
            return bytes(await self._eth.call(_transaction(call, sender), _identifier(block)))

    async def balance(self, address: Address, block: int | None = None) -> int:
        """The chain's own currency of an address, in wei."""
        return int(await self._eth.get_balance(cast(Any, address), _identifier(block)))

    async def code(self, address: Address, block: int | None = None) -> bytes:
        """The code at an address; empty where there is none."""
        return bytes(await self._eth.get_code(cast(Any, address), _identifier(block)))

    async def nonce(
        self, address: Address, block: int | None = None, *, with_pending: bool = False
    ) -> int:
        """Transactions sent by an address: mined ones, or those waiting in the pool too."""
        at: BlockIdentifier = "pending" if with_pending else _identifier(block)
        return int(await self._eth.get_transaction_count(cast(Any, address), at))

    async def estimate_gas(self, call: Call, sender: Address) -> int:
        """Gas the call takes on the newest state (ContractError if it would revert)."""
        with _reverts_named():
            return int(await self._eth.estimate_gas(_transaction(call, sender)))

    async def fees(self) -> Fees:
        """What the next block asks, from the last blocks' tips."""
        history = await self._eth.fee_history(
            FEE_HISTORY_BLOCKS, "latest", [FEE_HISTORY_PERCENTILE]
        )
        tips = sorted(int(each[0]) for each in history.get("reward", []) if each)
        middle = tips[len(tips) // 2] if tips else 0
        return Fees(base=int(history["baseFeePerGas"][-1]), tip=max(middle, TIP_WEI_MIN))

    async def send_raw(self, raw: bytes) -> Hash32:
        """Hand a signed transaction to an endpoint's pool; returns the transaction's hash."""
        return bytes(await self._eth.send_raw_transaction(raw))

    async def receipt(self, transaction_hash: Hash32) -> TxReceipt | None:
        """The receipt of a mined transaction; None while it is not mined."""
        found = await _or_none(self._eth.get_transaction_receipt(cast(Any, transaction_hash)))
        return None if found is None else _receipt(found)

    async def is_known(self, transaction_hash: Hash32) -> bool:
        """Whether an endpoint has a transaction, mined or in its pool."""
        found = await _or_none(self._eth.get_transaction(cast(Any, transaction_hash)))
        return found is not None

    async def logs(
        self, addresses: Sequence[Address], first: int, last: int, topics: Sequence[Hash32] = (),
        subject: Hash32 | None = None,
    ) -> tuple[Log, ...]:  # fmt: skip
        """Logs of contracts in blocks `first` to `last`, both included, whose first topic is one
        of `topics` (any, if none is given) and whose second is `subject`, in the chain's order."""
        query: dict[str, Any] = {
            "address": list(addresses),
            "fromBlock": first,
            "toBlock": last,
        }
        if topics:
            query["topics"] = [["0x" + each.hex() for each in topics]]
        if topics and subject is not None:
            query["topics"].append("0x" + subject.hex())
        found = [_log(each) for each in await self._eth.get_logs(cast("FilterParams", query))]
        return tuple(sorted(found, key=lambda each: (each.block_number, each.index)))


async def _or_none(found: Awaitable[Found]) -> Found | None:
    """What the chain has; None where it has no such block or transaction."""
    from web3.exceptions import BlockNotFound, TransactionNotFound

    try:
        return await found
    except (BlockNotFound, TransactionNotFound):
        return None


@contextmanager
def _reverts_named() -> Iterator[None]:
    try:
        yield
    except RpcError as error:
        if is_revert(error):
            raise decode_revert(error.data) from error
        raise


def _identifier(block: int | None) -> BlockIdentifier:
    return "latest" if block is None else cast("BlockIdentifier", block)


def _transaction(call: Call, sender: Address | None = None) -> TxParams:
    transaction: dict[str, Any] = {"data": "0x" + call.data.hex(), "value": call.value}
    if call.to is not None:
        transaction["to"] = call.to
    if sender is not None:
        transaction["from"] = sender
    return cast("TxParams", transaction)


def _block(block: Mapping[str, Any]) -> Block:
    return Block(
        number=int(block["number"]),
        timestamp=int(block["timestamp"]),
        hash=bytes(block["hash"]),
        parent_hash=bytes(block["parentHash"]),
    )


def _receipt(receipt: Mapping[str, Any]) -> TxReceipt:
    created = receipt.get("contractAddress")
    return TxReceipt(
        transaction_hash=bytes(receipt["transactionHash"]),
        block_number=int(receipt["blockNumber"]),
        block_hash=bytes(receipt["blockHash"]),
        is_success=receipt["status"] == 1,
        gas_used=int(receipt["gasUsed"]),
        gas_price=int(receipt["effectiveGasPrice"]),
        contract_address=bytes.fromhex(created[2:]) if created else None,
        logs=tuple(_log(each) for each in receipt["logs"]),
    )


def _log(log: Mapping[str, Any]) -> Log:
    return Log(
        address=bytes.fromhex(log["address"][2:]),
        topics=tuple(bytes(each) for each in log["topics"]),
        data=bytes(log["data"]),
        block_number=int(log["blockNumber"]),
        block_hash=bytes(log["blockHash"]),
        transaction_hash=bytes(log["transactionHash"]),
        index=int(log["logIndex"]),
    )
