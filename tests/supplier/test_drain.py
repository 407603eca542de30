"""Leaving a market: nothing is lost on the way, and the end is known."""

from dataclasses import replace

import pytest

from contracts import BlockTime, describe_span
from supplier.mining.records import Closed
from supplier.operation.leaving import Ties, judge_leaving
from tests.contracts.world import DEPLOYER, SERVED, SERVICE_ID, World
from tests.factories import CLOCK, a_hash
from tests.supplier.operating import Operating

FREE = Ties((), {3: (), 4: ()}, (), 0)
NOW = BlockTime(head=184, timestamp=0, block_s=2.0)
"""Session 7, the second of epoch 3."""


@pytest.mark.parametrize(
    ("ties", "says"),
    [
        (replace(FREE, listed=(a_hash("a"), a_hash("b")), bonds=1), "2 asks"),
        (replace(FREE, rosters={3: (a_hash("a"),), 4: ()}), "block 196, in about 24 s"),
        (replace(FREE, rosters={3: (), 4: (a_hash("a"),)}, open_sessions=(7,)), "block 220"),
        (replace(FREE, open_sessions=(6, 7)), "2 sessions are claimed and proved, at latest by "),
        (replace(FREE, open_sessions=(6, 7)), "block 220, in about 1 min"),
        (replace(FREE, bonds=5), "bonds of 5"),
        (FREE, ""),
    ],
)
def test_what_a_leaving_supplier_waits_for(ties: Ties, says: str) -> None:
    leave = judge_leaving(ties, CLOCK, NOW)

    assert says in leave.waits_for
    assert leave.is_over == (ties == FREE)


def test_times_for_people() -> None:
    assert NOW.describe(184) == NOW.describe(1).replace("block 1,", "block 184,")
    assert "past" in NOW.describe(184)
    spans = [describe_span(each) for each in (0, 0.9, 59, 60, 3_599, 3_600, 86_400)]
    assert spans == ["0 s", "0 s", "59 s", "1 min", "59 min", "1 h", "1 d"]


@pytest.mark.anvil
def test_a_supplier_drains_to_its_last_claim(operator: Operating) -> None:
    operator.serve_session()

    first = operator.cli.run("drain")
    assert first["withdrawn"] == ["0x" + SERVICE_ID.hex()]
    assert "rosters hold it until" in first["waits_for"]
    again = operator.cli.run("drain")
    assert (again["withdrawn"], again["over"]) == ([], False)

    async def rebuild(world: World) -> None:
        await world.send(DEPLOYER, world.market.sessions.build_roster(SERVICE_ID))
        world.go_to(4, 1)  # epoch 2, whose roster is without it

    operator.act(rebuild)
    assert "1 sessions are claimed" in operator.cli.run("drain")["waits_for"]
    operator.log([Closed(operator_session(operator), "settled")])
    assert operator.cli.run("drain", "--wait")["over"]


def operator_session(operator: Operating) -> bytes:
    found: list[bytes] = []

    async def read(world: World) -> None:
        found.append(world.key(SERVED).id)

    operator.act(read)
    return found[0]
