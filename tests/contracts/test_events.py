"""Every event exactly once, in order, whatever the chain takes back."""

import asyncio
import json
from dataclasses import replace

import pytest

from contracts import Block, BlockRef, Cursor, Event, EventReader
from contracts.events import LAG_BLOCKS
from tests.contracts.world import APPLICATION, OWNER, SERVICE_ID, SUPPLIER, World, address

pytestmark = [pytest.mark.anvil, pytest.mark.anyio]


class Consumer:
    """Keeps what it was handed, as a node's store does, and takes back what it is told to."""

    def __init__(self, reader: EventReader) -> None:
        self.reader = reader
        self.events: list[Event] = []
        self.rolled_back_to: list[int] = []

    async def catch_up(self) -> list[Event]:
        while True:
            batch = await self.reader.read()
            if batch.rolled_back_to is not None:
                self.rolled_back_to.append(batch.rolled_back_to)
                self.events = [
                    each for each in self.events if each.block_number <= batch.rolled_back_to
                ]
            self.events += batch.events
            if not await self.reader.is_behind():
                return self.events


def urls(events: list[Event]) -> list[str]:
    return [each.values["url"] for each in events if each.name == "SetUrl"]


async def set_url(world: World, url: str) -> None:
    await world.send(OWNER, world.market.registry.set_url(SUPPLIER, url))


async def test_the_whole_history_is_read_in_any_span(world: World) -> None:
    market = world.market
    expected = await Consumer(market.events(confirmations=0)).catch_up()
    names = [each.name for each in expected]
    for name in ("ScheduleValues", "ListService", "Stake", "Deposit", "Delegate", "SetRoster"):
        assert name in names
    delegate = next(each for each in expected if each.name == "Delegate")
    assert delegate.values["application"] == address(APPLICATION)
    assert delegate.values["service"] == SERVICE_ID
    order = [(each.block_number, each.log_index) for each in expected]
    assert order == sorted(set(order))
    for span in (1, 2, 7):
        reader = EventReader(market.chain, market.book, confirmations=0, span_blocks=span)
        assert await Consumer(reader).catch_up() == expected


async def test_text_that_is_no_utf8_stops_nobody(world: World) -> None:
    """Anyone can write such text into an event: a reader that raised would never get past it."""
    call = world.market.registry.set_url(SUPPLIER, "AAAA")
    await world.send(OWNER, replace(call, data=call.data.replace(b"AAAA", b"\xff\xfe<b")))
    consumer = Consumer(world.market.events(confirmations=0))

    assert urls(await consumer.catch_up())[-1] == "\ufffd\ufffd<b"
    assert (await world.market.registry.supplier(SUPPLIER)).url == "\ufffd\ufffd<b"


async def test_only_final_events_are_handed_out(world: World) -> None:
    consumer = Consumer(world.market.events(confirmations=2))
    await consumer.catch_up()
    await set_url(world, "http://new")
    for _ in range(2):
        assert "http://new" not in urls(await consumer.catch_up())
        world.anvil.mine()
    assert urls(await consumer.catch_up())[-1:] == ["http://new"]
    assert urls(await consumer.catch_up()).count("http://new") == 1


async def test_a_reorganisation_takes_back_what_it_unmade(world: World) -> None:
    consumer = Consumer(world.market.events(confirmations=0))
    await set_url(world, "http://stays")
    stays = world.anvil.height
    await consumer.catch_up()
    await set_url(world, "http://goes")
    world.anvil.mine()
    assert urls(await consumer.catch_up())[-1] == "http://goes"
    world.anvil.rpc("anvil_reorg", 2, [])
    assert urls(await consumer.catch_up())[-1] == "http://stays"
    assert consumer.rolled_back_to == [stays]
    await set_url(world, "http://comes")
    assert urls(await consumer.catch_up())[-2:] == ["http://stays", "http://comes"]
    assert consumer.events == await Consumer(world.market.events(confirmations=0)).catch_up()


async def test_a_chain_that_became_shorter_is_noticed(world: World) -> None:
    consumer = Consumer(world.market.events(confirmations=0))
    await consumer.catch_up()
    await set_url(world, "http://goes")
    await consumer.catch_up()
    world.anvil.rpc("anvil_rollback", 1)
    assert "http://goes" not in urls(await consumer.catch_up())


async def test_below_the_hashes_that_are_kept_everything_is_read_again(world: World) -> None:
    market = world.market
    consumer = Consumer(EventReader(market.chain, market.book, confirmations=0, recent_blocks=3))
    world.anvil.mine(5)
    expected = list(await consumer.catch_up())
    world.anvil.rpc("anvil_reorg", 4, [])
    assert await consumer.catch_up() == expected
    assert consumer.rolled_back_to == [market.book.deployment_block - 1]


async def test_reorganisations_within_the_confirmations_are_not_seen(world: World) -> None:
    consumer = Consumer(world.market.events(confirmations=3))
    world.anvil.mine(5)
    await consumer.catch_up()
    await set_url(world, "http://goes")
    await consumer.catch_up()
    world.anvil.rpc("anvil_reorg", 2, [])
    await consumer.catch_up()
    assert consumer.rolled_back_to == []
    assert "http://goes" not in urls(consumer.events)


async def test_a_reader_goes_on_from_a_stored_cursor(world: World) -> None:
    first = Consumer(world.market.events(confirmations=0))
    await first.catch_up()
    stored = json.loads(json.dumps(first.reader.cursor.encode()))
    await set_url(world, "http://later")
    second = Consumer(world.market.events(Cursor.decode(stored), confirmations=0))
    assert urls(await second.catch_up()) == ["http://later"]
    assert len(second.events) == 1


async def test_a_cursor_of_another_chain_starts_over(world: World) -> None:
    height = world.anvil.height
    foreign = Cursor(height + 1, (BlockRef(height, b"\x01" * 32),))
    consumer = Consumer(world.market.events(foreign, confirmations=0))
    expected = await Consumer(world.market.events(confirmations=0)).catch_up()
    assert await consumer.catch_up() == expected
    assert consumer.rolled_back_to == [world.market.book.deployment_block - 1]


@pytest.mark.parametrize("back", [1, 5])
async def test_blocks_that_an_endpoint_has_lost_stop_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, back: int
) -> None:
    """anvil can lose the blocks of a reorganisation; near the head, an endpoint may merely lag."""
    market = world.market
    expected = await Consumer(market.events(confirmations=0)).catch_up()
    gap, block = world.anvil.height - back, market.chain.block

    async def without(number: int) -> Block | None:
        return None if number in (gap, gap - 1) else await block(number)

    monkeypatch.setattr(market.chain, "block", without)
    reader = EventReader(market.chain, market.book, confirmations=0)
    world.anvil.mine_to(gap + LAG_BLOCKS - 1)
    assert (await reader.read()).events == ()
    assert reader.cursor.next_block == 0

    world.anvil.mine()
    consumer = Consumer(reader)
    async with asyncio.timeout(30):
        assert await consumer.catch_up() == expected
    assert [each.number for each in reader.cursor.recent] == [*range(gap + 1, gap + LAG_BLOCKS + 1)]
    await set_url(world, "http://later")
    async with asyncio.timeout(30):
        assert urls(await consumer.catch_up())[-1] == "http://later"
