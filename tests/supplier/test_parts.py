"""Interim receipts: long streams signed and receipted as they go, and every way to abuse it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.http import ClientResponse, ClientStream
from relay_mining import (
    STREAM_FRAME_PREFIX,
    Cancel,
    PartPlan,
    RelayResponse,
    SignedCancel,
    SignedRequest,
    SignedResponse,
    Status,
    decode_stream_frame,
    encode_cancel,
    encode_request_header,
    verify_next_part,
)
from supplier.errors import ReceiptRefusedError
from supplier.mining.judging import judge_receipt
from supplier.server.accounts import Relay
from tests.factories import DOMAIN, GATEWAY_SIGNER, WEIGHTS, a_receipt, a_session
from tests.supplier.market import (
    CREDIT,
    PROMPT_TOKENS,
    FakeEngine,
    FakeMarket,
    RelayWorld,
    a_body,
    relay_world,
    until,
)
from tests.supplier.test_books import a_book, held

pytestmark = pytest.mark.anyio
PARTED = replace(CREDIT, interim_units=200)
MAX_UNITS = 2_000


def fine_market() -> FakeMarket:
    """A session whose threshold is 1, so that every receipt is a leaf and parts may be small."""
    return FakeMarket(target_leaves=10**9)


def low(outputs: int) -> int:
    """Units of a part: its prompt counts as cached."""
    return WEIGHTS.units(PROMPT_TOKENS, PROMPT_TOKENS, outputs)


@dataclass
class Reader:
    """A gateway's end of one stream."""

    world: RelayWorld
    signed: SignedRequest
    stream: ClientStream
    chunks: AsyncIterator[bytes]
    events: bytes = b""
    responses: list[SignedResponse] = field(default_factory=list)
    _rest: bytes = b""

    async def part(self) -> RelayResponse | None:
        """The next signed response, checked; None at the end of the stream."""
        while (found := self._take()) is None:
            try:
                self._rest += await anext(self.chunks)
            except StopAsyncIteration:
                return None
        return found

    def _take(self) -> RelayResponse | None:
        while (end := self._rest.find(b"\n\n") + 2) >= 2:
            event, self._rest = self._rest[:end], self._rest[end:]
            if not event.startswith(STREAM_FRAME_PREFIX):
                self.events += event
                continue
            signed = decode_stream_frame(
                event, DOMAIN.digest(self.signed.request), sha256(self.events).digest()
            )
            previous = self.responses[-1].response if self.responses else None
            verify_next_part(previous, signed.response)
            self.responses.append(signed)
            return signed.response
        return None

    def receipt(self, part: int, **changes: Any) -> Any:
        """The receipt of a part: what it adds."""
        units = self.responses[part].response.units
        before = self.responses[part - 1].response.units if part else 0
        fields = {"units": units - before, **changes}
        return self.world.receipt(self.signed, self.responses[part], **fields)

    async def receipt_all(self) -> None:
        """Receipt every part as it comes, to the end."""
        while (part := await self.part()) is not None:
            receipt = self.receipt(part.part)
            if receipt[1].units:
                assert (await self.world.deliver(receipt)).status == 200


@asynccontextmanager
async def reading(world: RelayWorld, max_units: int = MAX_UNITS) -> AsyncIterator[Reader]:
    body = a_body(stream=True)
    signed = world.sign(body, max_units=max_units)
    headers = ((b"lode-request", encode_request_header(signed).encode()),)
    url = world.url + "/v1/chat/completions"
    async with world.pool.stream(b"POST", url, headers, body) as stream:
        yield Reader(world, signed, stream, stream.chunks())


async def test_a_long_stream_is_receipted_in_parts_that_add_up(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world:
        async with reading(world) as reader:
            await reader.receipt_all()
        book = world.books.sessions[a_session().id]
        line = world.books.account(book.facts).line
        parts = [each.response for each in reader.responses]
        total = WEIGHTS.units(PROMPT_TOKENS, 0, 30)

        assert [each.status for each in parts] == [Status.PARTIAL] * 6 + [Status.OK]
        assert [each.units for each in parts] == [*(low(3 + 5 * i) for i in range(6)), total]
        assert reader.events.count(b"data: ") == 32
        assert book.totals.served == book.totals.receipted == book.totals.payable == total
        assert (book.totals.receipts, book.totals.relays, book.relays) == (7, 1, {})
        assert (book.meter.weight, book.meter.reserved) == (total, 0)
        assert (line.receipted, line.outstanding) == (total, 0)
        assert len(list(world.log.receipts(7, book.session_id))) == 7


async def test_what_is_at_risk_falls_with_each_receipt(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world:
        async with reading(world) as reader:
            part = await reader.part()
            assert part is not None
            book = world.books.sessions[a_session().id]
            line = world.books.account(book.facts).line
            assert line.outstanding == MAX_UNITS
            await world.deliver(reader.receipt(0))
            assert (line.outstanding, line.receipted) == (MAX_UNITS - part.units, part.units)
            await reader.receipt_all()
        assert line.outstanding == 0


async def test_no_more_than_a_part_is_streamed_ahead_of_a_receipt(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30)
    async with (
        relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world,
        reading(world) as reader,
    ):
        await reader.part()
        relay = next(iter(world.relays.open.values())).relay
        await until(lambda: relay.parts != {})
        second = asyncio.ensure_future(reader.part())
        await until(lambda: reader.events.count(b"data: ") == 8)  # three are signed
        assert relay.signed_parts == 1
        await world.deliver(reader.receipt(0))
        await second
        await world.deliver(reader.receipt(1))
        await reader.receipt_all()
        assert relay.signed_parts == 7


async def test_an_overdue_part_stops_the_stream_and_the_credit(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30)
    credit = replace(PARTED, receipt_due_s=0.2)
    async with relay_world(tmp_path, engine=engine, credit=credit, market=fine_market()) as world:
        async with reading(world) as reader:
            while await reader.part() is not None:
                pass
        last = reader.responses[-1].response
        body = a_body()

        assert [each.response.part for each in reader.responses] == [0, 1]
        assert (last.status, last.output_tokens) == (Status.REFUSED, 8)
        assert last.units == WEIGHTS.units(PROMPT_TOKENS, 0, 8)
        assert (await world.post(body, world.sign(body))).status == 402
        assert (await world.deliver(reader.receipt(0), reader.receipt(1))).status == 200
        assert (await world.post(body, world.sign(body))).status == 200
        book = world.books.sessions[a_session().id]
        assert book.totals.receipted == last.units


async def cancel(reader: Reader) -> ClientResponse:
    word = Cancel(DOMAIN.digest(reader.signed.request))
    body = encode_cancel(SignedCancel(word, GATEWAY_SIGNER.sign(DOMAIN.digest(word))))
    return await reader.world.pool.request(b"POST", reader.world.url + "/lode/v1/cancel", (), body)


async def test_a_cancel_counts_only_what_is_beyond_the_last_part(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30, gate=asyncio.Event(), gate_at=6)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world:
        async with reading(world) as reader:
            await reader.part()
            await world.deliver(reader.receipt(0))
            assert (await cancel(reader)).status == 200
            last = await reader.part()
        assert last is not None
        assert (last.status, last.part) == (Status.CLIENT_ABORT, 1)
        assert last.units == WEIGHTS.units(PROMPT_TOKENS, 0, last.output_tokens)
        assert (await world.deliver(reader.receipt(1))).status == 200
        book = world.books.sessions[a_session().id]
        assert book.totals.served == book.totals.receipted == last.units
        assert (book.meter.reserved, book.relays) == (0, {})


@pytest.mark.parametrize("fault", ["dies", "cached"])
async def test_the_last_part_never_counts_less_than_the_one_before(
    tmp_path: Path, fault: str
) -> None:
    engine = FakeEngine(tokens=5, fault=fault, gate_at=5, cached=PROMPT_TOKENS)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world:
        async with reading(world) as reader:
            await reader.receipt_all()
        first, last = (each.response for each in reader.responses)
        book = world.books.sessions[a_session().id]

        expected = Status.UPSTREAM_ERROR if fault == "dies" else Status.OK
        assert (last.status, last.units) == (expected, low(3) if fault == "dies" else low(5))
        assert first.units == low(3)
        assert book.totals.receipted == last.units
        assert (book.relays, held(world.books, book)) == ({}, (0, 0))


async def test_no_part_ends_where_the_engine_holds_text_back(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30, silent=20)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world:
        async with reading(world) as reader:
            await reader.receipt_all()
        outputs = [each.response.output_tokens for each in reader.responses]
        assert outputs == [21, 26, 30]


async def test_a_part_has_output_whatever_a_request_weighs(tmp_path: Path) -> None:
    engine, credit = FakeEngine(tokens=3), replace(CREDIT, interim_units=1)
    async with relay_world(tmp_path, engine=engine, credit=credit, market=fine_market()) as world:
        async with reading(world) as reader:
            await reader.receipt_all()
        assert [each.response.output_tokens for each in reader.responses] == [1, 2, 3]
        assert reader.events.count(b"data: ") == 5


LIES: dict[str, tuple[int, dict[str, int], str]] = {
    "the last part for all": (1, {"units": low(8)}, "adds"),
    "more than was signed": (0, {"units": low(3) + 1}, "adds"),
    "an answer never given": (0, {"response_hash": bytes(32)}, "did not sign"),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", LIES)
async def test_a_gateways_lie_about_parts_is_refused(tmp_path: Path, name: str) -> None:
    part, changes, reason = LIES[name]
    engine = FakeEngine(tokens=30, gate=asyncio.Event(), gate_at=10)
    async with (
        relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world,
        reading(world) as reader,
    ):
        await reader.part()
        if part:
            await world.deliver(reader.receipt(0))
            await reader.part()
        book = world.books.sessions[a_session().id]
        before = held(world.books, book), book.totals.receipts
        answer = await world.deliver(reader.receipt(part, **changes))

        assert answer.status == 422
        assert reason in orjson.loads(answer.body)["refused"][0]["reason"]
        assert (held(world.books, book), book.totals.receipts) == before
        reader.stream.abort()


async def test_the_same_part_twice_is_counted_once(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world:
        async with reading(world) as reader:
            await reader.part()
            for _ in range(2):
                assert (await world.deliver(reader.receipt(0))).status == 200
            fewer = await world.deliver(reader.receipt(0, units=1))
            assert b"already receipted" in fewer.body
            await reader.receipt_all()
        again = await world.deliver(reader.receipt(0, units=1))
        assert b"already receipted" in again.body
        book = world.books.sessions[a_session().id]
        assert book.totals.receipted == reader.responses[-1].response.units


async def test_parts_survive_a_restart_and_are_counted_once(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30, gate=asyncio.Event(), gate_at=10)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world:
        async with reading(world) as reader:
            await reader.part()
            await world.deliver(reader.receipt(0))
            await reader.part()
            reader.stream.abort()
        await until(lambda: not world.relays.open)
    async with relay_world(tmp_path, credit=PARTED, market=fine_market()) as world:
        reader.world = world
        facts = world.books.sessions[a_session().id].facts
        assert world.books.account(facts).line.receipted == low(3)
        assert (await world.deliver(reader.receipt(0), reader.receipt(1))).status == 200
        assert b"already receipted" in (await world.deliver(reader.receipt(1, units=1))).body
        book = world.books.sessions[a_session().id]
        line = world.books.account(book.facts).line

        assert book.totals.receipted == line.receipted == low(8)
        assert len(list(world.log.receipts(7, book.session_id))) == 2


async def test_plain_answers_and_streams_without_room_are_not_cut(tmp_path: Path) -> None:
    tight = FakeMarket(cap=3 * (MAX_UNITS + 150), target_leaves=20)
    engine = FakeEngine(tokens=30)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=tight) as world:
        async with reading(world) as reader:
            await reader.receipt_all()
        assert [each.response.part for each in reader.responses] == [0]
    async with relay_world(
        tmp_path / "plain", engine=engine, credit=PARTED, market=fine_market()
    ) as world:
        _, response = await world.relay(max_units=MAX_UNITS)
        assert (response.response.part, response.response.status) == (0, Status.OK)


async def test_a_sealed_session_ends_its_streams(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30)
    async with relay_world(tmp_path, engine=engine, credit=PARTED, market=fine_market()) as world:
        async with reading(world) as reader:
            await reader.part()
            book = world.books.sessions[a_session().id]
            world.books.seal(book)
            last = await reader.part()
        assert last is not None
        assert last.status is Status.REFUSED
        assert book.totals.lost == last.units > low(3)


async def test_what_is_served_on_after_the_seal_is_taken_off_the_credit(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=30, gate=asyncio.Event(), gate_at=2)
    async with relay_world(tmp_path, engine=engine, market=fine_market()) as world:
        async with reading(world) as reader:
            await until(lambda: bool(world.relays.open) and bool(engine.bodies))
            book = world.books.sessions[a_session().id]
            line = world.books.account(book.facts).line
            before = line.limit
            assert world.books.seal(book) == 0
            assert line.outstanding == MAX_UNITS
            assert engine.gate is not None
            engine.gate.set()
            last = await reader.part()
        await until(lambda: not world.relays.open)
        assert last is not None
        assert book.totals.lost == before - line.limit == last.units > 0
        assert (held(world.books, book), book.relays) == ((0, 0), {})


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
    st.integers(0, 3),
)
def test_whatever_the_order_nothing_is_left_held(added: list[int], random: Any, short: int) -> None:
    books, book = a_book()
    plan = PartPlan(1, len(added) + 1)
    relay = Relay(bytes(32), sum(added) + 1, plan)
    books.reserve(book, relay, bytes(32))
    total, waiting, receipted = 0, [], 0
    for index, units in enumerate(added):
        total += units
        books.sign(book, relay, bytes([index]) * 32, total)
        waiting.append((index, units))
        if random.random() < 0.5:
            receipted += settle(books, book, waiting.pop(random.randrange(len(waiting))), short)
    books.end(book, relay)
    random.shuffle(waiting)
    for each in waiting:
        with pytest.raises(ReceiptRefusedError):
            judge_receipt(book, books.supplier, part_receipt(each[0], each[1] + 1), bytes(32))
        receipted += settle(books, book, each, short)

    assert held(books, book) == (0, 0)
    assert book.relays == {}
    assert book.totals.receipted == receipted == books.account(book.facts).line.receipted
    assert book.totals.served == total


def part_receipt(index: int, units: int) -> Any:
    receipt = a_receipt(units=units)
    return replace(receipt, request_hash=bytes(32), response_hash=bytes([index]) * 32)


def settle(books: Any, book: Any, part: tuple[int, int], short: int) -> int:
    index, units = part
    receipt = part_receipt(index, max(1, units - short))
    digest = DOMAIN.digest(receipt)
    leaf = judge_receipt(book, books.supplier, receipt, digest)
    books.apply_receipt(book, receipt, digest, leaf)
    assert book.meter.reserved >= 0
    return receipt.units
