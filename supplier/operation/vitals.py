"""What a supplier can run out of while it serves: gas, stake, its place in rosters, disk, time."""

import asyncio
import logging
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from contracts import ChainError, Market
from relay_mining import Address, Clock, Hash32
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.chain_view import ChainView
from supplier.mining.session_book import SessionBook
from supplier.operation.upgrade import find_due
from supplier.owner import Funds, read_funds

log = logging.getLogger(__name__)

LOOK_S = 15.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose vitals are watched."""

    supplier: Address
    services: Collection[Hash32]
    data_dir: Path
    gas_per_claim: int


class Vitals:
    """Shows them in the metrics, so that an alert comes before the loss."""

    def __init__(self, subject: Subject, view: ChainView, books: Books, metrics: Metrics) -> None:
        self._subject = subject
        self._view = view
        self._market: Market = view.market
        self._books = books
        self._metrics = metrics

    async def run(self) -> None:
        """Look until cancelled; a chain that does not answer leaves what was last seen."""
        while True:
            self._metrics.disk_free.set(shutil.disk_usage(self._subject.data_dir).free)
            try:
                await self.look()
            except ChainError as error:
                log.debug("the chain could not be read: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once; raises ChainError."""
        subject, metrics = self._subject, self._metrics
        funds, _ = await read_funds(self._market, subject.supplier)
        self._show_funds(funds)
        fees = await self._market.chain.fees()
        claim_wei = max(1, subject.gas_per_claim * (fees.base + fees.tip))
        metrics.operator_gas_claims.set(funds.operator_gas // claim_wei)
        epoch = self._view.clock.epoch_of(self._view.current)
        for service in tuple(subject.services):
            roster = await self._market.sessions.roster(service, epoch)
            is_in = any(each.supplier == subject.supplier for each in roster)
            metrics.in_roster.labels("0x" + service.hex()).set(is_in)
        left = window_left(self._books.sessions.values(), self._view.head, self._view.clock)
        metrics.window_left.set(left)

    def _show_funds(self, funds: Funds) -> None:
        places = {
            "stake_free": funds.free,
            "bonds": funds.reserved,
            "leaving": funds.unstaking,
            "claimable": funds.claimable,
        }
        for place, amount in places.items():
            self._metrics.funds.labels(place).set(amount)


def window_left(sessions: Iterable[SessionBook], head: int, clock: Clock) -> float:
    """What is left of the window that closes first, of those something is due in; 1 for none.

    A claim's window counts from its opening; a proof's from the opening of its own.
    """
    parts = []
    for due in find_due(sessions, head, clock):
        is_claim = due.action == "claimed"
        window = clock.claim_window(due.number) if is_claim else clock.proof_window(due.number)
        parts.append(min(1.0, (window.closes - head) / (window.closes - window.opens)))
    return min(parts, default=1.0)
