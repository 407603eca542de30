"""The contracts' events in the chain's order, and a reader that survives reorganisations.

The reader hands out events of blocks that have enough blocks on top. Should a reorganisation go
deeper than that, it finds the last block that still is what it was, says to where everything it
handed out has to be taken back, and goes on from there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from contracts.abi import Abi, Parameter, decode_answer, load_abi
from contracts.addressbook import AddressBook
from contracts.answers import Block, Log
from contracts.chain import Chain
from contracts.errors import RpcError, UnreadableAnswerError
from relay_mining import Address, Hash32

SPAN_BLOCKS = 2_000
"""Blocks asked for at once; halved where an endpoint refuses so many."""

RECENT_BLOCKS = 64
"""Block hashes kept: a deeper reorganisation reads everything again."""
LAG_BLOCKS = 16
"""An endpoint that lacks a block so far below the last final one does not lag: it has lost it, as
anvil can in a reorganisation."""

WATCHED = ("registry", "escrow", "sessions", "claims", "parameters", "auction")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `values` by the names of the Solidity event's parameters."""

    contract: str
    """The field of the address book it comes from."""
    name: str
    values: Mapping[str, Any]
    block_number: int
    block_hash: Hash32
    transaction_hash: Hash32
    log_index: int


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block that was read."""

    number: int
    hash: Hash32


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the events have been read; the consumer keeps it beside what it made of them."""

    next_block: int
    recent: tuple[BlockRef, ...] = ()
    """The last blocks read, oldest first."""

    def encode(self) -> dict[str, Any]:
        """The cursor as a JSON document."""
        recent = [[each.number, each.hash.hex()] for each in self.recent]
        return {"nextBlock": self.next_block, "recent": recent}

    @classmethod
    def decode(cls, document: Mapping[str, Any]) -> "Cursor":
        """The cursor in a JSON document (KeyError or ValueError if it is none)."""
        recent = tuple(
            BlockRef(int(number), bytes.fromhex(digest)) for number, digest in document["recent"]
        )
        return cls(int(document["nextBlock"]), recent)


@dataclass(frozen=True, slots=True)
class EventBatch:
    """What one read brought."""

    events: tuple[Event, ...]
    cursor: Cursor
    """To be kept in the same transaction as what the events changed."""
    rolled_back_to: int | None = None
    """If set, first take back everything from blocks above this number."""


class EventReader:
    """Reads one deployment's events from a cursor on, `confirmations` blocks behind the head."""

    def __init__(
        self,
        chain: Chain,
        book: AddressBook,
        cursor: Cursor | None = None,
        *,
        confirmations: int = 2,
        span_blocks: int = SPAN_BLOCKS,
        recent_blocks: int = RECENT_BLOCKS,
    ) -> None:
        self._chain = chain
        self._contracts: dict[Address, tuple[str, Abi]] = {
            getattr(book, name): (name, load_abi(name.capitalize())) for name in WATCHED
        }
        self._first_block = book.deployment_block
        self._confirmations = confirmations
        self._span = span_blocks
        self._recent_max = recent_blocks
        self.cursor = cursor or Cursor(self._first_block)

    async def read(self) -> EventBatch:
        """The next events, possibly none, and the cursor behind them.

        At most one span of blocks is read, so call again until nothing is left. What is returned
        was consistent when it was read: should the chain move meanwhile, nothing is returned.
        """
        rolled_back_to = await self._roll_back()
        first, final = self.cursor.next_block, await self._last_final()
        if final is None or final.number < first:
            return EventBatch((), self.cursor, rolled_back_to)
        last: Block | None = final
        if final.number >= first + self._span:
            last = await self._chain.block(first + self._span - 1)
        refs = await self._refs(first, last, final.number - LAG_BLOCKS) if last else None
        if last is None or refs is None:
            return EventBatch((), self.cursor, rolled_back_to)
        logs = await read_logs(self._chain, list(self._contracts), first, last.number)
        if not await self._is_current(last, logs, refs):
            return EventBatch((), self.cursor, rolled_back_to)
        events = self._decode(logs)
        kept = (*self.cursor.recent, *refs)[-self._recent_max :]
        self.cursor = Cursor(last.number + 1, kept)
        return EventBatch(events, self.cursor, rolled_back_to)

    async def is_behind(self) -> bool:
        """Whether another `read` would find final blocks."""
        last = await self._last_final()
        return last is not None and last.number >= self.cursor.next_block

    async def _last_final(self) -> Block | None:
        return await self._chain.finalized(self._confirmations)

    async def _roll_back(self) -> int | None:
        """Move the cursor back to the last block that still is the chain's; None if it is there."""
        recent = self.cursor.recent
        if not recent or await self._is_canonical(recent[-1]):
            return None
        for kept in range(len(recent) - 1, 0, -1):
            if await self._is_canonical(recent[kept - 1]):
                self.cursor = Cursor(recent[kept - 1].number + 1, recent[:kept])
                return recent[kept - 1].number
        self.cursor = Cursor(self._first_block)
        return self._first_block - 1

    async def _is_canonical(self, ref: BlockRef) -> bool:
        block = await self._chain.block(ref.number)
        return block is not None and block.hash == ref.hash

    async def _refs(self, first: int, last: Block, lost: int) -> tuple[BlockRef, ...] | None:
        """The newest blocks of a span; None if one is missing, or they do not follow each other.

        One that is missing at `lost` or below is missed no more, nor are those before it.
        """
        numbers = range(max(first, last.number - self._recent_max + 1), last.number)
        blocks = await asyncio.gather(*(self._chain.block(each) for each in numbers))
        found = [last]
        for number, block in zip(reversed(numbers), reversed(blocks), strict=True):
            if block is None and number > lost:
                return None
            if block is None:
                break
            found.insert(0, block)
        hashes = [each.hash for each in found[:-1]]
        children = found[1:]
        if found[0].number == first and self.cursor.recent:
            hashes.insert(0, self.cursor.recent[-1].hash)
            children = found
        if any(a != b.parent_hash for a, b in zip(hashes, children, strict=True)):
            return None
        return tuple(BlockRef(each.number, each.hash) for each in found)

    async def _is_current(self, last: Block, logs: Sequence[Log], refs: Sequence[BlockRef]) -> bool:
        """Whether the logs are of the blocks that were read, and these still the chain's."""
        known = {each.number: each.hash for each in refs}
        if any(known.get(each.block_number, each.block_hash) != each.block_hash for each in logs):
            return False
        return await self._is_canonical(BlockRef(last.number, last.hash))

    def _decode(self, logs: Sequence[Log]) -> tuple[Event, ...]:
        decoded = (decode_log(*self._contracts[each.address], each) for each in logs)
        return tuple(each for each in decoded if each is not None)


async def read_logs(
    chain: Chain,
    addresses: Sequence[Address],
    first: int,
    last: int,
    topics: Sequence[Hash32] = (),
    subject: Hash32 | None = None,
) -> tuple[Log, ...]:
    """Logs in blocks `first` to `last`, asked for in spans that the endpoint does not refuse."""
    found: list[Log] = []
    span = SPAN_BLOCKS
    while first <= last:
        end = min(last, first + span - 1)
        try:
            found += await chain.logs(addresses, first, end, topics, subject)
        except RpcError:
            if end == first:
                raise
            span = (end - first + 1) // 2
            continue
        first = end + 1
    return tuple(found)


def decode_log(contract: str, abi: Abi, log: Log) -> Event | None:
    """The event of a log entry; None for one that the interface does not declare.

    Raises UnreadableAnswerError for one that does not fit its declaration.
    """
    item = abi.events.get(log.topics[0]) if log.topics else None
    if item is None:
        return None
    plain = [each for each in item.inputs if not each.is_indexed]
    indexed = [each for each in item.inputs if each.is_indexed]
    what = f"a log of {contract}.{item.name}"
    if len(log.topics) != 1 + len(indexed):
        raise UnreadableAnswerError("an endpoint", what)
    decoded = decode_answer(what, plain, log.data)
    values = dict(zip([each.name for each in plain], decoded, strict=True))
    for parameter, topic in zip(indexed, log.topics[1:], strict=True):
        values[parameter.name] = _decode_topic(what, parameter, topic)
    return Event(
        contract=contract,
        name=item.name,
        values=MappingProxyType(values),
        block_number=log.block_number,
        block_hash=log.block_hash,
        transaction_hash=log.transaction_hash,
        log_index=log.index,
    )


def _decode_topic(what: str, parameter: Parameter, topic: Hash32) -> Any:
    """An indexed value; of a type longer than a word the chain keeps only the hash."""
    if parameter.components or parameter.type in ("string", "bytes") or "[" in parameter.type:
        return topic
    return decode_answer(what, [parameter], topic)[0]
