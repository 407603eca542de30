"""One owner who comes to a supplier with many new gateways at once, and receipts nothing.

Each has bought a delegation of its own. Together they find one pool of credit for all whom the
supplier has no receipt of; what they are served from it is less than their fees.
"""

import asyncio
from dataclasses import replace

from adversaries.cheat import Cheat, Finding, Line
from adversaries.gateways import CREDIT_UNITS
from adversaries.rogue import Answered, Rogue
from adversaries.scene import Scene
from contracts import Market
from node.http import ClientPool
from relay_mining import UNITS_PER_PRICE, SessionKey, initial_units_max

GATEWAYS = 8
"""More than the pool has first credits for."""
DEADLINE_S = 240.0
RELAYS = 4
BLOCKS_LEFT = 6
CHEAT = Cheat(
    name="many gateways of one owner",
    side="gateway",
    does=f"asks one supplier for the first credit of {GATEWAYS} new gateways, receipts nothing",
    line=Line.SUPPLIER,
    check="credit_exhausted",
)


async def run(scene: Scene) -> list[Finding]:
    """All of the crowd's first requests at once, each for all of its credit; then some more."""
    scene = replace(scene, suppliers=scene.suppliers[::-1])  # others are at the first one
    async with (
        asyncio.timeout(DEADLINE_S),
        await Market.connect([scene.rpc], scene.book) as market,
        ClientPool() as pool,
    ):
        crowd = [Rogue(market, pool, scene, key) for key in scene.keys[-GATEWAYS:]]
        fees = sum(await asyncio.gather(*(each.set_up() for each in crowd)))
        sessions = await asyncio.gather(*(each.open_session(BLOCKS_LEFT) for each in crowd))
        price, credit = await _terms(market, scene, sessions[0], fees // GATEWAYS)
        pairs = list(zip(crowd, sessions, strict=True))
        asked = await asyncio.gather(*(each.ask(key, 0, credit) for each, key in pairs))
        more = [one for each, key in pairs for one in await each.ask_many(key, RELAYS)]
    refused = [each for each in asked if isinstance(each, str)]
    served = [each for each in (*asked, *more) if isinstance(each, Answered)]
    lost = sum(each.units for each in served)
    value = lost * price // UNITS_PER_PRICE
    met = f"supplier's check: {len(refused)} of {GATEWAYS} refused: {refused[0]}" if refused else ""
    cost = f"{lost} CU ({value} base units) of one supplier"
    return [Finding(CHEAT, met or "nobody", "at once", value - fees, cost)]


async def _terms(market: Market, scene: Scene, session: SessionKey, fee: int) -> tuple[int, int]:
    """The supplier's price, and the credit that it grants a gateway it does not know."""
    state = await market.sessions.session(session)
    seat = state.member(scene.suppliers[0])
    assert seat is not None
    price = state.terms(seat).price
    return price, min(CREDIT_UNITS, initial_units_max(fee, price, state.params.members))
