"""The read model: the same market from the same events, within bounds, whatever strangers do."""

from collections import Counter
from dataclasses import replace

import pytest

from gateway.dashboard import auction_events, market_model, registry_events, rows
from gateway.dashboard.folding import apply
from gateway.dashboard.market_model import MarketModel
from pricing import accepted_balance
from tests.dashboard.history import CLOCK, TOKEN, History, name_address


@pytest.fixture(scope="module")
def history() -> History:
    return History(suppliers=12, services=3, sessions=20, claims=6)


@pytest.fixture(scope="module")
def model(history: History) -> MarketModel:
    return history.model()


def test_every_claim_is_open_paid_or_voided(model: MarketModel) -> None:
    totals = model.totals
    assert totals.claims == 20 * 6
    assert totals.claims == totals.claims_open + totals.claims_paid + totals.claims_voided
    assert totals.claims_open == len(model.claims.open) == 6
    assert totals.claims_voided > 0
    assert totals.value_open == sum(each.claim.value for each in model.claims.open.values())
    assert totals.bonds == sum(each.bonds for each in model.suppliers.values())


def test_suppliers_and_services_add_up_to_the_totals(model: MarketModel) -> None:
    suppliers, totals = model.suppliers.values(), model.totals
    assert sum(each.earned for each in suppliers) == totals.to_suppliers
    assert sum(each.slashed for each in suppliers) == totals.slashed > 0
    assert sum(each.stake for each in suppliers) == totals.stake
    assert sum(each.units for each in model.services.values()) == totals.units
    assert sum(model.escrows.values()) == totals.escrow


def test_money_of_an_application_is_in_its_escrow_or_with_whom_it_paid(history: History) -> None:
    model = history.model()
    deposits = sum(
        event.values["amount"] for event in History(12, 3, 20, claims=6).events()
        if event.name == "Deposit"
    )  # fmt: skip
    totals = model.totals
    paid = totals.to_suppliers + totals.to_sources + totals.to_gateways + totals.to_protocol
    assert totals.escrow + totals.value_open + paid == deposits + totals.slashed


def test_what_must_be_proved_is_known_once_the_seed_is_written(model: MarketModel) -> None:
    settled = list(model.claims.settled)
    assert all(each.points is not None for each in settled)
    assert Counter(bool(each.points) for each in settled)[False] > 0
    assert model.totals.proofs == sum(bool(each.points) for each in settled if each.state == "paid")
    assert all(each.points is None for each in model.claims.open.values())


def test_the_price_path_has_a_point_where_asks_changed(model: MarketModel) -> None:
    for service in model.services.values():
        sessions = [each.session for each in service.path]
        assert sessions == sorted(set(sessions))
        last = service.path[-1]
        assert last.low <= last.median <= last.high
        assert (last.low, last.high) == (min(service.asks.values()), max(service.asks.values()))


def test_an_auction_s_rounds_are_what_its_events_say() -> None:
    history = History(suppliers=12, services=3, sessions=40, auctioned=True)
    service = history.model().services[history.rounds.service]
    assert list(service.rounds) == list(range(2, 12))
    for epoch, row in service.rounds.items():
        past, outcome = history.rounds.past(epoch), history.rounds.outcome(epoch)
        accepted = accepted_balance(past.book, past.price, past.fee_bps)
        assert (row.price, row.demand, row.supply) == (past.price, accepted.demand, accepted.supply)
        assert (row.procured, row.paid) == (outcome.procured, outcome.paid)
        is_kept = epoch > 11 - rows.BOOKS_KEPT
        assert len(row.asks) == (len(past.book.asks) if is_kept else 0)
        assert len(row.bids) == (len(past.book.bids) if is_kept else 0)
    assert service.book is service.rounds[11]
    assert service.posted == service.rounds[11].price


def test_an_auction_takes_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auction_events, "ROUNDS_KEPT", 4)
    monkeypatch.setattr(auction_events, "ORDERS_KEPT", 3)
    history = History(suppliers=12, services=1, sessions=40, auctioned=True)
    model = history.model()
    service = model.services[history.rounds.service]
    assert list(service.rounds) == [8, 9, 10, 11]
    newest, past = service.rounds[11], history.rounds.past(11)
    assert (len(newest.asks), len(newest.bids)) == (3, 3)
    accepted = accepted_balance(past.book, past.price, past.fee_bps)
    assert (newest.demand, newest.supply) == (accepted.demand, accepted.supply)
    orders = sum(
        max(0, len(side) - 3)
        for epoch in range(2, 12)
        for side in (history.rounds.past(epoch).book.asks, history.rounds.past(epoch).book.bids)
    )
    assert model.totals.left_out == orders > 0


def test_a_delegation_counts_from_its_session_on() -> None:
    model, history = MarketModel(CLOCK), History()
    names = {
        "application": name_address("a"), "gateway": name_address("g"), "service": bytes(32),
    }  # fmt: skip
    for cap, start in ((5, 3), (9, 6), (0, 8)):
        apply(
            model,
            history.event("escrow", "Delegate", **names, cap=cap, feeBps=0, fromSession=start),
        )
    (found,) = model.delegations.values()
    assert [found.cap_at(session) for session in (6, 7, 8)] == [9, 9, 0]


def test_more_than_there_is_room_for_is_counted_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry_events, "SUPPLIERS_MAX", 5)
    model = History(suppliers=9, services=1, sessions=3, claims=9).model()
    assert len(model.suppliers) == 5
    assert model.totals.left_out == 4
    assert model.totals.claims == 27


def test_memory_is_bounded_however_long_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    model = History(suppliers=6, services=2, sessions=rows.SESSIONS_KEPT + 40, claims=2).model()
    assert len(model.claims.sessions) == rows.SESSIONS_KEPT
    assert len(model.activity) == rows.ACTIVITY_KEPT
    assert all(len(each.trades) <= rows.SESSIONS_KEPT for each in model.services.values())
    assert all(len(each.path) <= rows.PRICES_KEPT for each in model.services.values())


def test_a_stranger_s_text_is_kept_short() -> None:
    model, history = MarketModel(CLOCK), History()
    supplier = name_address("s")
    apply(model, history.event("registry", "RegisterSupplier", supplier=supplier, owner=bytes(20)))
    apply(model, history.event("registry", "SetUrl", supplier=supplier, url="x" * 100_000))
    assert len(model.suppliers[supplier].url) == rows.TEXT_MAX


def test_events_of_what_is_not_known_change_nothing_but_sums() -> None:
    model, history = MarketModel(CLOCK), History()
    nobody = {"supplier": name_address("nobody"), "service": bytes(32)}
    apply(model, history.event("registry", "SetListing", **nobody, unitPrice=TOKEN))
    for name, values in history.rounds.events_of(2):
        apply(model, history.event("auction", name, **values))
    apply(model, history.event("registry", "SlashBond", supplier=nobody["supplier"], amount=7))
    apply(model, history.event("claims", "ClaimPaid", claimId=bytes(32), supplierShare=1,
                               sourceShare=1, gatewayShare=1, protocolShare=1))  # fmt: skip
    assert model.suppliers == {}
    assert model.services == {}
    assert (model.totals.slashed, model.totals.to_suppliers) == (7, 0)


def test_of_an_even_number_of_asks_the_lower_middle_is_quoted() -> None:
    service = next(iter(History(suppliers=8, services=2, sessions=1).model().services.values()))
    asks = {name_address(number): number for number in (1, 2, 3, 4)}
    assert market_model.quote(replace(service, asks=asks), 9).median == 2
