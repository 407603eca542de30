"""A supplier that starts again knows what it is owed: no gateway gains credit by a crash."""

from dataclasses import replace
from pathlib import Path

import pytest

from supplier.mining.records import Served
from tests.factories import a_session
from tests.supplier.market import CREDIT, RelayWorld, a_body, relay_world

pytestmark = pytest.mark.anyio

UNITS = 100 + 10 * 5 + 40 * 4
"""Of one relay of the fake engine: a request, five prompt tokens, four output tokens."""
MAX_UNITS = 1_000
TIGHT = replace(CREDIT, initial_units=MAX_UNITS + 2 * UNITS)
"""Room for the worst case of a third relay, and of no fourth."""


def owed(world: RelayWorld) -> int:
    book = world.books.sessions[a_session().id]
    return world.books.account(book.facts).line.outstanding


async def test_crashes_grant_no_credit(tmp_path: Path) -> None:
    served = 0
    for _ in range(5):
        async with relay_world(tmp_path, credit=TIGHT) as world:
            for _ in range(3):
                body = a_body()
                answer = await world.post(body, world.sign(body, max_units=MAX_UNITS))
                served += answer.status == 200
                assert answer.status in (200, 402)
    assert served == 3


async def test_what_was_served_is_owed_after_a_restart_and_settled_by_its_receipt(
    tmp_path: Path,
) -> None:
    async with relay_world(tmp_path) as world:
        relays = [await world.relay(max_units=MAX_UNITS) for _ in range(3)]
        await world.deliver(world.receipt(*relays[0]))
        before = world.books.sessions[a_session().id]
        assert owed(world) == 2 * UNITS
    async with relay_world(tmp_path) as world:
        after = world.books.sessions[a_session().id]
        assert (after.totals, after.meter.reserved) == (before.totals, before.meter.reserved)
        assert owed(world) == 2 * UNITS
        replayed = await world.post(a_body(), relays[1][0])
        assert (replayed.status, b"nonce" in replayed.body) == (409, True)
        dear = world.receipt(*relays[1], units=UNITS + 1)
        assert b"the response adds" in (await world.deliver(dear)).body
        assert (await world.deliver(world.receipt(*relays[1]))).status == 200
        assert owed(world) == UNITS
        assert world.books.seal(after) == UNITS  # the third never came
        assert world.books.account(after.facts).line.outstanding == 0
        await world.log.seal(after.session_id)
    async with relay_world(tmp_path) as world:
        book = world.books.sessions[a_session().id]
        line = world.books.account(book.facts).line
        limit = CREDIT.initial_units + line.receipted // 2 - UNITS
        assert (line.receipted, line.limit, book.totals.lost) == (2 * UNITS, limit, UNITS)


async def test_a_receipt_is_late_only_after_the_restart_gave_it_time(tmp_path: Path) -> None:
    now = 1_000_000_000.0
    async with relay_world(tmp_path) as world:
        await world.relay(max_units=MAX_UNITS)
    async with relay_world(tmp_path, clock=lambda: now) as world:
        book = world.books.sessions[a_session().id]
        account = world.books.account(book.facts)
        account.mark_overdue(now + CREDIT.receipt_due_s, CREDIT.receipt_due_s)
        assert account.line.limit > 0
        account.mark_overdue(now + CREDIT.receipt_due_s + 1, CREDIT.receipt_due_s)
        assert account.line.limit == 0


async def test_a_receipt_of_what_the_crash_kept_from_the_log_is_still_taken(
    tmp_path: Path,
) -> None:
    async with relay_world(tmp_path) as world:
        relay = await world.relay(max_units=MAX_UNITS)
        kept = [each for each in world.log.replay() if not isinstance(each, Served)]
    for path in (tmp_path / "receipts").glob("*.log"):
        path.unlink()
    async with relay_world(tmp_path) as world:
        await world.log.append(kept)
    async with relay_world(tmp_path) as world:
        assert owed(world) == 0
        assert (await world.deliver(world.receipt(*relay))).status == 200
        assert world.books.sessions[a_session().id].totals.receipted == UNITS


async def test_unpaid_relays_are_not_logged(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        world.engine.fault = "500"
        body = a_body()
        assert (await world.post(body, world.sign(body))).status == 502
    async with relay_world(tmp_path) as world:
        assert not [each for each in world.log.replay() if isinstance(each, Served)]
        assert owed(world) == 0
