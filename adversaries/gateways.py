"""Gateways that cheat suppliers: each a few lines about what it does with its receipts.

Every one has bought a delegation of its own, whose fee is lost whatever it tries; what it gains is
the value of what it was served and did not receipt, less that fee.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from adversaries.cheat import Cheat, Finding, Line
from adversaries.rogue import Answered, Rogue
from adversaries.scene import Scene
from contracts import Market
from node.http import ClientPool
from relay_mining import UNITS_PER_PRICE, initial_units_max, keccak

DEADLINE_S = 200.0
RELAYS = 6
BLOCKS_LEFT = 6
CREDIT_UNITS = 200_000
"""What suppliers grant a new gateway unless its fee covers less."""
OVERDUE_POLL_S = 1.0


def _cheat(name: str, does: str, check: str) -> Cheat:
    return Cheat(name, "gateway", does, Line.SUPPLIER, check)


WITHHOLDER = _cheat("withholds all receipts", "is served and receipts nothing", "credit_exhausted")
CHOOSER = _cheat(
    "withholds some receipts", "receipts every second relay; it cannot see which are payable",
    "credit_exhausted",
)  # fmt: skip
REDRAWER = _cheat(
    "redraws the coin", "sends a second receipt with another secret for the same answer",
    "receipt_refused",
)  # fmt: skip
RAISER = _cheat(
    "raises units", "receipts more units than the supplier signed, to spoil its claim",
    "receipt_refused",
)  # fmt: skip
MISER = _cheat(
    "lowers units", "receipts one unit for every relay", "credit_exhausted"
)  # fmt: skip
FORGER = _cheat(
    "signs with a wrong key", "signs receipts with a key not on record", "receipt_refused"
)
TWIN = _cheat(
    "serves two replicas one request", "sends one signed request to a supplier twice",
    "replayed_relay",
)  # fmt: skip


@dataclass(slots=True)
class Crime:
    """One rogue gateway, what it was served to begin with, and the sums at its end."""

    rogue: Rogue
    fee: int
    """What its delegation cost, in token base units."""
    price: int
    """Of its first supplier, in base units a million compute units."""
    credit: int
    """What a new gateway is granted there, in compute units."""
    served: list[Answered]

    @property
    def units(self) -> int:
        """What it was served."""
        return sum(each.units for each in self.served)

    def end(self, cheat: Cheat, met: str, after: str, receipted: int) -> Finding:
        """The finding: what was served and not receipted, less the fee."""
        lost = self.units - receipted
        value = lost * self.price // UNITS_PER_PRICE
        cost = f"{lost} CU ({value} base units) of one supplier" if lost else "none"
        return Finding(cheat, f"supplier's check: {met}", after, value - self.fee, cost)

    async def until_refused(self) -> tuple[str, str]:
        """Ask on until there is no credit: the refusal, and how long it took."""
        began = asyncio.get_running_loop().time()
        number = RELAYS
        while True:
            await asyncio.sleep(OVERDUE_POLL_S)
            session = await self.rogue.open_session(1)
            number += 1
            one = await self.rogue.ask(session, number)
            if isinstance(one, str):
                if one.startswith("credit_exhausted"):
                    return one, f"{asyncio.get_running_loop().time() - began:.0f} s"
            else:
                self.served.append(one)


async def withhold(crime: Crime) -> Finding:
    """Receipt nothing."""
    met, after = await crime.until_refused()
    return crime.end(WITHHOLDER, met, after, 0)


async def choose(crime: Crime) -> Finding:
    """Receipt every second relay."""
    receipted = 0
    for each in crime.served[::2]:
        if not await crime.rogue.deliver(each):
            receipted += each.units
    met, after = await crime.until_refused()
    return crime.end(CHOOSER, met, after, receipted)


async def redraw(crime: Crime) -> Finding:
    """Receipt all, and try another secret for each."""
    rogue = crime.rogue
    kept = [each.units for each in crime.served if not await rogue.deliver(each)]
    met = [await rogue.deliver(each, secret=keccak(b"redraw")) for each in crime.served]
    return crime.end(REDRAWER, met[0], "at once", sum(kept))


async def raise_units(crime: Crime) -> Finding:
    """Receipt too much, be refused, and receipt what was signed."""
    met = [await crime.rogue.deliver(each, units=each.units + 1) for each in crime.served]
    kept = [each.units for each in crime.served if not await crime.rogue.deliver(each)]
    return crime.end(RAISER, met[0], "at once", sum(kept))


async def be_a_miser(crime: Crime) -> Finding:
    """Receipt one unit of each; then ask for all of the credit there was to begin with.

    Nothing is overdue and nothing outstanding: whoever receipts in full has more credit by now.
    """
    rogue = crime.rogue
    kept = [1 for each in crime.served if not await rogue.deliver(each, units=1)]
    one = await rogue.ask(await rogue.open_session(1), 2 * RELAYS, crime.credit)
    if isinstance(one, str):
        return crime.end(MISER, one, "at once", sum(kept))
    crime.served.append(one)
    return crime.end(MISER, "nobody", "", sum(kept))


async def forge(crime: Crime) -> Finding:
    """Sign with another key, be refused, and sign with the right one."""
    rogue = crime.rogue
    met = [await rogue.deliver(each, rogue.stranger) for each in crime.served]
    kept = [each.units for each in crime.served if not await rogue.deliver(each)]
    return crime.end(FORGER, met[0], "at once", sum(kept))


async def send_twice(crime: Crime) -> Finding:
    """One signed request, as two replicas would send it."""
    rogue = crime.rogue
    session = await rogue.open_session(2)
    supplier = rogue.scene.suppliers[0]
    signed, body = rogue.sign(session, supplier, 2 * RELAYS)
    answers = [await rogue.post(supplier, signed, body) for _ in range(2)]
    first, second = (rogue.read(signed, each) for each in answers)
    crime.served += [each for each in (first, second) if isinstance(each, Answered)]
    kept = [each.units for each in crime.served if not await rogue.deliver(each)]
    return crime.end(TWIN, str(second), "at once", sum(kept))


CRIMES: tuple[Callable[[Crime], Awaitable[Finding]], ...] = (
    withhold, choose, redraw, raise_units, be_a_miser, forge, send_twice,
)  # fmt: skip


async def run(scene: Scene) -> list[Finding]:
    """Every gateway at once, each with an identity of its own."""
    keys = scene.keys[1 : 1 + len(CRIMES)]
    async with (
        asyncio.timeout(DEADLINE_S),
        await Market.connect([scene.rpc], scene.book) as market,
        ClientPool() as pool,
    ):
        rogues = [Rogue(market, pool, scene, key) for key in keys]
        crimes = zip(rogues, CRIMES, strict=True)
        return await asyncio.gather(*(_commit(rogue, crime) for rogue, crime in crimes))


async def _commit(rogue: Rogue, crime: Callable[[Crime], Awaitable[Finding]]) -> Finding:
    return await crime(await begin(rogue))


async def begin(rogue: Rogue) -> Crime:
    """A delegation bought, and the first relays served by the first supplier."""
    fee = await rogue.set_up()
    session = await rogue.open_session(BLOCKS_LEFT)
    state = await rogue.market.sessions.session(session)
    seat = state.member(rogue.scene.suppliers[0])
    assert seat is not None
    served = await rogue.ask_many(session, RELAYS)
    price = state.terms(seat).price
    credit = min(CREDIT_UNITS, initial_units_max(fee, price, state.params.members))
    return Crime(rogue, fee, price, credit, served)
