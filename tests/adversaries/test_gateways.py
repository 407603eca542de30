"""What a gateway that receipts short is worth to itself: its credit, once."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.factories import WEIGHTS
from tests.supplier.market import (
    CREDIT,
    PROMPT_TOKENS,
    RelayWorld,
    a_body,
    read_response,
    relay_world,
)

pytestmark = pytest.mark.anyio
UNITS = WEIGHTS.units(PROMPT_TOKENS, 0, 4)
CREDIT_RELAYS = 5
MAX_UNITS = 600
TRIES = 4 * CREDIT_RELAYS
POLICY = replace(CREDIT, initial_units=CREDIT_RELAYS * UNITS + MAX_UNITS, growth=Fraction(1, 2))


async def served_to(world: RelayWorld, receipted: int) -> int:
    """How many relays a gateway is served that receipts so many units for each."""
    for count in range(TRIES):
        body = a_body()
        signed = world.sign(body, max_units=MAX_UNITS)
        answer = await world.post(body, signed)
        if answer.status == 402:
            return count
        response = read_response(signed, answer.headers.get(b"lode-response"), answer.body)
        receipt = world.receipt(signed, response, units=receipted)
        assert (await world.deliver(receipt)).status == 200
    return TRIES


@pytest.mark.parametrize(
    ("receipted", "relays"),
    [(UNITS, TRIES), (UNITS * 9 // 10, TRIES), (1, CREDIT_RELAYS + 1)],
    ids=["in full", "a tenth short, as a recount may be", "one unit each"],
)
async def test_what_is_receipted_short_comes_off_the_credit(
    tmp_path: Path, receipted: int, relays: int
) -> None:
    async with relay_world(tmp_path, credit=POLICY) as world:
        assert await served_to(world, receipted) == relays
