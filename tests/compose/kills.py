"""Each container of the market killed under load, and what came of it.

python -m tests.compose.kills --page docs/compose-kills.md
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from localnet.load import Tally
from localnet.processes import wait_until
from tests.compose.books import Books
from tests.compose.project import SUPPLIERS, Compose
from tests.compose.traffic import Traffic

SERVICES = (
    "prometheus", "postgres", "redis", *SUPPLIERS, "gateway-0", "gateway-1", "front", "chain",
)  # fmt: skip
"""All that stay up; Grafana keeps nothing and nobody asks it."""
WAY_IN = "front"
"""Without the one port nobody is answered, until it is back."""
RATE, BEFORE, AWAY = 4.0, 20, 40
"""Requests a second; how many are sent before the kill and to see that all is well again, and how
many without what was killed."""
BACK_S_MAX = 180.0


@dataclass(frozen=True, slots=True)
class Kill:
    """What clients saw of one kill; requests."""

    service: str
    requests: int
    in_flight: int
    """Sent and not answered when the container died."""
    failed_away: int
    """Of those in flight and of those sent until the container was started again."""
    failed_back: int
    """Of those sent later."""
    back_s: float
    """From its start until requests were answered without a failure."""

    @property
    def is_as_promised(self) -> bool:
        """Whether no more failed than were in flight; of the way in, whether none failed later."""
        if self.service == WAY_IN:
            return self.failed_back <= self.in_flight
        return self.failed_away + self.failed_back <= self.in_flight


def kill(compose: Compose, service: str) -> Kill:
    """Kill a container under load, start it again after a while, and wait until all is well."""
    with Traffic(compose.url, compose.key, RATE) as traffic:
        tally = traffic.tally
        wait_until(lambda: tally.requests >= BEFORE, "no answers before the kill", 60)
        assert failures(tally) == 0, tally.outcomes
        answered = tally.requests
        compose.kill(service)
        sent = tally.requests + traffic.in_flight
        wait_until(lambda: tally.requests >= sent + AWAY, "no answers at all", BACK_S_MAX)
        away = failures(tally)
        began = time.monotonic()
        compose.run("up", "--wait", "--no-build", "--no-deps", service)
        wait_until(lambda: _goes_well(tally), f"no answers after {service} died", BACK_S_MAX)
        back_s = time.monotonic() - began
    return Kill(service, tally.requests, sent - answered, away, failures(tally) - away, back_s)


def failures(tally: Tally) -> int:
    """Requests that ended without what was asked for."""
    return sum(count for kind, count in tally.outcomes.items() if kind.startswith("failed"))


def _goes_well(tally: Tally) -> bool:
    """Whether the next requests are all answered, as many of them as `BEFORE`."""
    failed, sent = failures(tally), tally.requests
    wait_until(lambda: tally.requests >= sent + BEFORE, "no answers at all", BACK_S_MAX)
    return failures(tally) == failed


PAGE = f"""# A kill of each container

<!-- generated: `KILLS_PAGE=docs/compose-kills.md make test-compose` -->

The market of [compose.yaml](compose.md) under an open loop of {RATE:g} requests a second: plain
answers, streams, and streams whose reader leaves, none of which is tried again by the client. Each
container is killed (SIGKILL), stays away until {AWAY} more requests have ended, and is started
again. *In flight* is what was sent and not answered when it died; *failed* is what its clients were
told, first until the container was started, then from there on; *well again* is how long after the
start answers came without a failure, the {BEFORE} that show it included.

"""
BOOKS_TITLE = """
The books afterwards, everything settled: the logs of both gateways and all suppliers, receipt by
receipt, held against the claims on the chain. *Owed* is every receipt for an answer that a
gateway accepted; *acknowledged* has the supplier; each that is *payable* must be a leaf of the one
claim of its session. *Unreceipted* is what suppliers signed for and no gateway that was killed had
taken note of, in compute units; *paid* is token base units.

"""
KILL_COLUMNS = (
    "killed", "requests", "in flight", "failed while away", "failed later", "well again, s",
    "as promised",
)  # fmt: skip
BOOKS_COLUMNS = (
    "supplier", "owed", "acknowledged", "payable", "in claims", "claims voided", "served, CU",
    "unreceipted, CU", "paid",
)  # fmt: skip


def kill_rows(kills: Sequence[Kill]) -> list[tuple[str, ...]]:
    """The table of the kills."""
    return [
        (f"`{each.service}`", str(each.requests), str(each.in_flight), str(each.failed_away),
         str(each.failed_back), f"{each.back_s:.0f}", "yes" if each.is_as_promised else "**no**")
        for each in kills
    ]  # fmt: skip


def books_rows(books: Sequence[Books]) -> list[tuple[str, ...]]:
    """The table of what was served and what became of it."""
    return [
        (f"`{each.supplier}`", f"{each.audit.owed:,}", f"{each.audit.logged:,}",
         f"{each.audit.payable:,}", f"{each.audit.claimed:,}", str(each.voided),
         f"{each.served:,}", f"{each.unreceipted:,}", f"{each.paid:,}")
        for each in books
    ]  # fmt: skip


def write_page(kills: Sequence[Kill], books: Sequence[Books]) -> str:
    """The page as Markdown."""
    tables = _table(KILL_COLUMNS, kill_rows(kills)), _table(BOOKS_COLUMNS, books_rows(books))
    return PAGE + BOOKS_TITLE.join(tables)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
