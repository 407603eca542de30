"""One run: epochs are traded, served, claimed and settled; then the chain is asked what it was."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from contracts import Market
from localnet.accounts import gateway_owner
from localnet.lies.absence import Absence, Cast, measure_absence, used_share
from localnet.lies.books import Staged
from localnet.lies.evidence import read_rounds
from localnet.lies.gains import Round, differences
from localnet.lies.load import use
from localnet.lies.rows import Row, make_row
from localnet.lies.stage import ABSENT, CHEAPER, DEARER, LIAR, POLL_S, TWIN, Stage, set_up
from localnet.market import LocalMarket
from localnet.provision import TOKEN
from node.output import Output
from relay_mining import Clock

SETTLE_SESSIONS = 3
"""Claims for n are made in n+1, proved in n+2 and over when n+3 opens."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    epochs: tuple[int, ...]
    rows: tuple[Row, ...]
    absence: Absence
    claims: int
    """How many claims of the books were paid."""
    paid: int
    shares: tuple[float, ...]
    """How much of what it could claim the truthful buyer used, by epoch."""
    is_complete: bool
    """Whether every order was in every round; one that was late would pass for a lie."""
    differences: tuple[str, ...]
    """In what rosters, charges and prices on the chain are not those of the rule."""
    is_paid_as_cleared: bool

    @property
    def checks(self) -> dict[str, bool]:
        """What has to hold."""
        bounded = [row for row in self.rows if row.is_bounded]
        return {
            "no lie gained within an epoch": all(row.within <= row.rounding for row in bounded),
            "none gained more than its bound across epochs": all(
                row.across.mean <= row.bound for row in bounded
            ),
            "every order was revealed in every round": self.is_complete,
            "every round was cleared, and priced, as computed here": not self.differences,
            "every claim was paid at the roster's price": self.is_paid_as_cleared,
            "who served nobody was paid nothing": self.absence.paid == 0,
        }

    @property
    def is_good(self) -> bool:
        """Whether all of it holds."""
        return all(self.checks.values())

    def as_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "epochs": list(self.epochs),
            "lies": [row.as_json() for row in self.rows],
            "absence": self.absence.as_json(),
            "claims": self.claims,
            "paid": self.paid,
            "shares": list(self.shares),
            "differences": list(self.differences),
            "checks": self.checks,
        }


async def run(
    market: LocalMarket, books: tuple[Staged, ...], epochs: int, output: Output
) -> Result:
    """Trade and serve for some epochs, wait until all is settled, and sum it up."""
    async with await Market.connect([market.chain.url], market.book) as chain:
        output.line("the books: services, orders, money; the nodes start anew with their orders")
        stage = await set_up(market, chain, books)
        clock = await chain.sessions.clock()
        now = clock.epoch_of(clock.session_at((await chain.chain.head()).number))
        served = range(now + 2, now + 2 + epochs)
        await _live(market, chain, stage, served, output)
        rounds = await read_rounds(chain, stage.services, served)
        ratio = (await chain.parameters.values(now)).bond_ratio_max
        return sum_up(stage, [rounds[each] for each in stage.services], clock, ratio)


async def _live(
    market: LocalMarket, chain: Market, stage: Stage, served: range, output: Output
) -> None:
    """Let everybody trade until the last epoch is over, and everybody be paid."""
    clock = await chain.sessions.clock()
    over = clock.start(served.stop * clock.epoch_sessions)
    settled = clock.start(served.stop * clock.epoch_sessions - 1 + SETTLE_SESSIONS) + 3
    height = (await chain.chain.head()).number
    trading = [each.run(POLL_S) for each in stage.buyers]
    clearing = [each.run(POLL_S) for each in stage.clearers]
    using = use(market.base_url, list(stage.clients), lambda: clock.session_at(height))
    lasting = [asyncio.create_task(each) for each in (*trading, *clearing, using)]
    title = f"epochs {served.start} to {served.stop - 1}, blocks"
    with output.progress(title, settled - height) as advance:
        while height < settled:
            await asyncio.sleep(POLL_S)
            _require_running(lasting)
            before, height = height, (await chain.chain.head()).number
            advance(height - before)
            if height >= over:
                lasting[-1].cancel()
    for task in lasting:
        task.cancel()
    await asyncio.gather(*lasting, return_exceptions=True)


def _require_running(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()


def sum_up(stage: Stage, rounds: Sequence[Sequence[Round]], clock: Clock, ratio: int) -> Result:
    """The result of the rounds of each book."""
    everything = [each for series in rounds for each in series]
    serving = [each for number, each in enumerate(stage.suppliers) if number != ABSENT]
    shares = [_share([series[at] for series in rounds], serving) for at in range(len(rounds[0]))]
    rows = [
        make_row(liar, series, shares, TOKEN)
        for book, series in zip(stage.books, rounds, strict=True)
        for liar in stage.liars(book)
    ]
    (absent,) = (
        measure_absence(series, _cast(stage, book), clock, ratio)
        for book, series in zip(stage.books, rounds, strict=True)
        if book.absent is not None
    )
    return Result(
        epochs=tuple(each.epoch for each in rounds[0]),
        rows=tuple(rows),
        absence=absent,
        claims=sum(len(each.uses) for each in everything),
        paid=sum(use.value for each in everything for use in each.uses),
        shares=tuple(shares),
        is_complete=all(
            (len(each.book.bids), len(each.book.asks)) == book.orders_at(each.price)
            for book, series in zip(stage.books, rounds, strict=True)
            for each in series
        ),
        differences=tuple(
            f"{book.name}, {each}"
            for book, series in zip(stage.books, rounds, strict=True)
            for each in differences(series)
        ),
        is_paid_as_cleared=all(each.is_paid_as_cleared for each in everything),
    )


def _share(rounds: Sequence[Round], serving: Sequence[bytes]) -> float:
    """How much the truthful buyer used of an epoch, over the books in which it got something."""
    found = (used_share(each, TWIN.raw, serving) for each in rounds)
    return mean(each for each in found if each is not None)


def _cast(stage: Stage, book: Staged) -> Cast:
    assert book.absent is not None
    cheaper, dearer = book.rivals
    costs = {LIAR: book.supplier.truth, CHEAPER: cheaper, DEARER: dearer}
    return Cast(
        absent=stage.suppliers[ABSENT],
        absent_wish=book.absent,
        costs={stage.suppliers[number]: each.price for number, each in costs.items()},
        values={gateway_owner().raw: book.buyer.truth.price, TWIN.raw: book.twin.price},
    )
