"""What was served and what was paid differ by the reasons given, to the last base unit."""

import csv
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import AMOUNT_MAX, UNITS_MAX
from supplier.cli.money import parse_span
from supplier.mining.books import Books
from supplier.mining.ends import NEVER_ACCEPTED, SETTLED
from supplier.mining.records import Closed
from supplier.mining.session_book import Totals
from supplier.mining.settlement import BELOW_GAS
from supplier.mining.store import SessionRecord, Store
from supplier.operation.earnings import BY, Amounts, earn_closed, earn_open, group, split
from tests.contracts.world import OTHER, SERVED, World, serve
from tests.factories import OPERATOR_SIGNER, a_session
from tests.factories import SUPPLIER as SOMEBODY
from tests.supplier.market import CREDIT, facts_of
from tests.supplier.operating import Operating

HOUR = 1_700_000_000.0
AMOUNTS = st.one_of(st.sampled_from([0, 1, UNITS_MAX]), st.integers(0, 10**12))


def a_record(**values: Any) -> SessionRecord:
    return SessionRecord(
        **{
            "session": "aa", "number": 7, "application": "a1" * 20, "gateway": "b2" * 20,
            "service": "d4" * 32, "relays": 3, "served": 900, "receipted": 800, "payable": 850,
            "lost": 100, "value": "850", "bond": "850", "net": "800", "paid": "800",
            "price": "1000000", "outcome": SETTLED, "closed_at": HOUR, **values,
        }
    )  # fmt: skip


def reasons(amounts: Amounts) -> int:
    return (
        amounts.unreceipted + amounts.sampling + amounts.unclaimed + amounts.shares
        + amounts.pending + amounts.lost
    )  # fmt: skip


@given(
    units=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), value=AMOUNTS, net=AMOUNTS, paid=AMOUNTS,
    price=st.sampled_from([0, 1, 999_999, 10**6, 3 * 10**6]),
)  # fmt: skip
def test_served_less_its_reasons_is_paid(
    units: tuple[int, int, int], value: int, net: int, paid: int, price: int
) -> None:
    served, receipted, payable = units
    record = a_record(
        served=served, receipted=receipted, payable=payable, value=str(value), net=str(net),
        paid=str(paid), price=str(price),
    )  # fmt: skip
    if price == 0 and value * 10**6 > payable * AMOUNT_MAX // max(1, UNITS_MAX):
        return  # no price makes those units worth that claim

    amounts = earn_closed(record).amounts

    assert amounts.served - reasons(amounts) == amounts.paid == paid


def test_each_difference_has_its_own_reason() -> None:
    assert asdict(earn_closed(a_record()).amounts) == {
        "sessions": 1, "relays": 3, "served_units": 900, "receipted_units": 800,
        "payable_units": 850, "served": 900, "unreceipted": 100, "sampling": -50, "unclaimed": 0,
        "shares": 50, "pending": 0, "lost": 0, "paid": 800,
    }  # fmt: skip
    small = earn_closed(a_record(value="0", net="0", paid="0", outcome=BELOW_GAS)).amounts
    assert (small.unclaimed, small.shares, small.lost, small.paid) == (850, 0, 0, 0)
    void = earn_closed(a_record(paid="0", outcome=NEVER_ACCEPTED)).amounts
    assert (void.lost, void.paid) == (800, 0)
    seen = earn_closed(a_record(paid="0", outcome=NEVER_ACCEPTED), paid=800).amounts
    assert (seen.lost, seen.paid) == (0, 800)
    old = earn_closed(a_record(price="0", net="0")).amounts  # from before they were kept
    assert (old.served, old.shares, old.lost, old.paid) == (900, 50, 0, 800)


def test_an_open_session_is_pending() -> None:
    books = Books(SOMEBODY, CREDIT)
    key = a_session()
    book = books.open(facts_of(key), OPERATOR_SIGNER.session_salt(key.id))
    book.totals = Totals(served=1000, receipted=900, payable=900, relays=2)

    amounts = earn_open(book, HOUR).amounts

    assert (amounts.served, amounts.unreceipted, amounts.paid) == (1000, 100, 0)
    assert amounts.pending == book.facts.net(900) < 900
    assert amounts.served == reasons(amounts)


@pytest.mark.parametrize(
    ("by", "labels"),
    [("hour", ["2023-11-14 22:00", "2023-11-14 23:00"]), ("day", ["2023-11-14"]),
     ("total", ["total"]), ("session", ["000000000007", "000000000008"]),
     ("gateway", ["0x" + "b2" * 20]), ("application", ["0x" + "a1" * 20])],
)  # fmt: skip
def test_sessions_are_grouped(by: str, labels: list[str]) -> None:
    records = [a_record(), a_record(number=8, closed_at=HOUR + 3600)]
    found = group([earn_closed(each) for each in records], by)

    assert [label for label, _, _ in found] == labels
    assert sum(amounts.paid for _, _, amounts in found) == 1600
    assert by in BY


@given(
    engines=st.dictionaries(st.sampled_from(["", "left", "right"]), AMOUNTS),
    units=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), value=AMOUNTS, net=AMOUNTS, paid=AMOUNTS,
)  # fmt: skip
def test_what_engines_earned_adds_up_to_what_was_earned(
    engines: dict[str, int], units: tuple[int, int, int], value: int, net: int, paid: int
) -> None:
    served, receipted, payable = units
    earned = earn_closed(
        a_record(
            served=served, receipted=receipted, payable=payable, value=str(value), net=str(net),
            paid=str(paid), engines=orjson.dumps(engines).decode(),
        )
    )  # fmt: skip

    parts = dict(split(earned))

    whole = sum(parts.values(), Amounts())
    assert replace(whole, sessions=1) == earned.amounts
    for each in parts.values():
        assert each.served - reasons(each) == each.paid
    assert set(parts) == {name or "unknown" for name in engines or {"": 1}}


def test_engines_earn_in_proportion_to_what_they_served() -> None:
    two = earn_closed(a_record(engines='{"left":300,"right":600}'))
    old = earn_closed(a_record(session="bb"))

    rows = {label: amounts for label, _, amounts in group([two, old], "engine")}

    assert [rows[name].paid for name in ("left", "right", "unknown")] == [267, 533, 800]
    assert [rows[name].served_units for name in ("left", "right", "unknown")] == [300, 600, 900]


@pytest.mark.anvil
def test_what_this_node_did_not_see_paid_is_asked_of_the_chain(
    operator: Operating, tmp_path: Path
) -> None:
    claim = operator.claim_session()
    shares: list[int] = []

    async def pay(world: World) -> None:
        world.go_to_proofs()
        challenge = await world.market.claims.challenge(claim)
        assert challenge.seed is not None
        served = serve(world.domain, world.key())
        leaves = served.prove(challenge.seed, challenge.points)
        receipt = await world.send(OTHER, world.market.claims.prove(claim, served.salt, leaves))
        (paid,) = world.market.claims.outcomes(receipt)
        shares.append(paid.supplier_share)  # type: ignore[union-attr]

    operator.act(pay)
    before = operator.cli.run("earnings")["total"]
    assert (before["sessions"], before["paid"]) == (1, 0)
    assert before["pending"] == shares[0]
    operator.log([Closed(claim.session.id, NEVER_ACCEPTED)])
    store = Store(operator.folder / "supplier-data" / "supplier.db")
    store.close_session(
        a_record(
            session=claim.session.id.hex(), number=SERVED, value=str(claim.value), paid="0",
            net=str(shares[0]), payable=claim.root.sum, outcome=NEVER_ACCEPTED,
        )
    )  # fmt: skip
    store.close()

    found = operator.cli.run("earnings", "--by", "session", "--csv", tmp_path / "e.csv")

    (closed,) = found["rows"]
    assert (closed["paid"], closed["lost"], closed["pending"]) == (shares[0], 0, 0)
    assert found["total"]["paid"] == shares[0]
    rows = list(csv.DictReader((tmp_path / "e.csv").read_text().splitlines()))
    assert [int(row["paid"]) for row in rows] == [row["paid"] for row in found["rows"]]
    assert "--by is one of" in operator.cli.refuse("earnings", "--by", "moon")
    assert "no span of time" in operator.cli.refuse("earnings", "--since", "yesterday")
    assert operator.cli.run("earnings", "--since", "1d")["rows"] == []  # it was in 2023


@pytest.mark.parametrize(("text", "seconds"), [("1m", 60), ("12h", 43_200), ("30d", 2_592_000)])
def test_spans(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds
