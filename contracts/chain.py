"""Reading an EVM chain, the block explicit: what clients, sender and events stand on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from contracts.answers import (
    Block,
    Fees,
    Found,
    Log,
    TxReceipt,
    if_any,
    read_block,
    read_fees,
    read_hash,
    read_logs,
    read_number,
    read_receipt,
    read_word,
)
from contracts.endpoints import Endpoints
from contracts.errors import RpcError, UnreadableAnswerError
from contracts.reverts import decode_revert, is_revert
from relay_mining import Address, Hash32

if TYPE_CHECKING:
    from web3.types import BlockIdentifier, FilterParams, TxParams

FEE_HISTORY_BLOCKS = 5
FEE_HISTORY_PERCENTILE = 50.0


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask or send a contract; `to` is None for a deployment, `value` in wei."""

    to: Address | None
    data: bytes
    value: int = 0


class Chain:
    """One chain behind one or several endpoints; `async with` closes it.

    Every read may raise ChainUnavailableError, WrongChainError and RpcError; an answer of another
    form than it must have is an UnreadableAnswerError, and the next read asks another endpoint.
    Reads of contracts take the block by number; None is the newest one.
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
        return await self._answer(self._eth.get_block("latest"), read_block)

    async def block(self, number: int) -> Block | None:
        """A block by number; None where the chain has not got that far."""
        return await self._answer(
            _or_none(self._eth.get_block(_identifier(number))), if_any(read_block)
        )

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
            asked = self._eth.call(_transaction(call, sender), _identifier(block))
            return await self._answer(asked, bytes)

    async def balance(self, address: Address, block: int | None = None) -> int:
        """The chain's own currency of an address, in wei."""
        asked = self._eth.get_balance(cast(Any, address), _identifier(block))
        return await self._answer(asked, read_word)

    async def code(self, address: Address, block: int | None = None) -> bytes:
        """The code at an address; empty where there is none."""
        asked = self._eth.get_code(cast(Any, address), _identifier(block))
        return await self._answer(asked, bytes)

    async def nonce(
        self, address: Address, block: int | None = None, *, with_pending: bool = False
    ) -> int:
        """Transactions sent by an address: mined ones, or those waiting in the pool too."""
        at: BlockIdentifier = "pending" if with_pending else _identifier(block)
        return await self._answer(
            self._eth.get_transaction_count(cast(Any, address), at), read_number
        )

    async def estimate_gas(self, call: Call, sender: Address) -> int:
        """Gas the call takes on the newest state (ContractError if it would revert)."""
        with _reverts_named():
            return await self._answer(
                self._eth.estimate_gas(_transaction(call, sender)), read_number
            )

    async def fees(self) -> Fees:
        """What the next block asks, from the last blocks' tips."""
        asked = self._eth.fee_history(FEE_HISTORY_BLOCKS, "latest", [FEE_HISTORY_PERCENTILE])
        return await self._answer(asked, read_fees)

    async def send_raw(self, raw: bytes) -> Hash32:
        """Hand a signed transaction to an endpoint's pool; returns the transaction's hash."""
        return await self._answer(self._eth.send_raw_transaction(raw), read_hash)

    async def receipt(self, transaction_hash: Hash32) -> TxReceipt | None:
        """The receipt of a mined transaction; None while it is not mined."""
        asked = self._eth.get_transaction_receipt(cast(Any, transaction_hash))
        return await self._answer(_or_none(asked), if_any(read_receipt))

    async def is_known(self, transaction_hash: Hash32) -> bool:
        """Whether an endpoint has a transaction, mined or in its pool."""
        asked = self._eth.get_transaction(cast(Any, transaction_hash))
        return await self._answer(_or_none(asked), lambda found: found is not None)

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
        found = await self._answer(self._eth.get_logs(cast("FilterParams", query)), read_logs)
        return tuple(sorted(found, key=lambda each: (each.block_number, each.index)))

    async def _answer(self, asked: Awaitable[Any], read: Callable[[Any], Found]) -> Found:
        """What was asked for, as `read` has it."""
        from web3.exceptions import Web3Exception

        try:
            return read(await asked)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
            Web3Exception,
        ) as error:
            what = f"something ({type(error).__name__})"
            raise UnreadableAnswerError(self._endpoints.pass_over(), what) from error


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
