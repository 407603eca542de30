"""One owner who comes to a supplier with many new gateways, and receipts nothing from any.

Each has bought a delegation of its own, whose fee is more than what its first credit is worth, and
is cut off by itself. That all who are new share one pool of credit besides is shown over every size
of crowd by `python -m simulations credit`.
"""

import asyncio
from dataclasses import replace

from adversaries.cheat import Cheat, Finding, Line
from adversaries.gateways import DEADLINE_S, begin
from adversaries.rogue import Rogue
from adversaries.scene import Scene
from contracts import Market
from node.http import ClientPool
from relay_mining import UNITS_PER_PRICE

GATEWAYS = 8
CHEAT = Cheat(
    name="many gateways of one owner",
    side="gateway",
    does=f"takes the first credit of {GATEWAYS} new gateways at one supplier, receipts nothing",
    line=Line.SUPPLIER,
    check="credit_exhausted",
)


async def run(scene: Scene) -> list[Finding]:
    """All of the crowd at once, each until it is refused."""
    scene = replace(scene, suppliers=scene.suppliers[::-1])  # other gateways are at the first one
    async with (
        asyncio.timeout(DEADLINE_S),
        await Market.connect([scene.rpc], scene.book) as market,
        ClientPool() as pool,
    ):
        rogues = [Rogue(market, pool, scene, key) for key in scene.keys[-GATEWAYS:]]
        crowd = await asyncio.gather(*(begin(each) for each in rogues))
        ends = await asyncio.gather(*(each.until_refused() for each in crowd))
    lost = sum(each.units for each in crowd)
    value = sum(each.units * each.price // UNITS_PER_PRICE for each in crowd)
    met = f"supplier's check: {len(ends)} of {GATEWAYS} refused: {ends[0][0]}"
    cost = f"{lost} CU ({value} base units) of one supplier"
    return [Finding(CHEAT, met, ends[-1][1], value - sum(each.fee for each in crowd), cost)]
