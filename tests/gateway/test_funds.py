"""What is said of a gateway's money: every balance, and what is about to run out."""

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import BlockTime, ClaimPaid, EscrowAccount, PastClaim
from gateway.access.budgets import MILLIONTHS
from gateway.routing.sessions import SessionTable
from gateway.settlement.funds import Cap, FundsView, describe_funds, sessions_left
from gateway.settlement.funds_watch import EscrowState, FundsWatch, SessionSpending, find_alarms
from relay_mining import Address, Claim, TrieRoot
from tests.factories import APPLICATION, CLOCK, GATEWAY, SERVICE, SUPPLIER, a_session
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway_session, a_service

MONEY = st.integers(0, 10**12)
WHO = "0x" + APPLICATION.hex()


def a_claim(number: int, value: int) -> Claim:
    root = TrieRoot(bytes(32), value, 1)
    return Claim(SUPPLIER, a_session(number=number), root, value, 1, 1, 0, 1)


VIEW = FundsView(
    owner=GATEWAY, application=APPLICATION, wallet=5, earned=6, owner_gas=7, signing_gas=8,
    account=EscrowAccount(1_000, 0, 0), cap_sum=300, caps=(Cap(SERVICE, "tiny", 300, 200),),
    claims=(), clock=CLOCK, time=BlockTime(CLOCK.start(7), 0, 2.0),
)  # fmt: skip


def holdings(view: FundsView) -> dict[str, Any]:
    return {each.where: each for each in describe_funds(view)}


@given(MONEY, MONEY, MONEY)
def test_every_token_of_the_escrow_is_somewhere(balance: int, pending: int, cap_sum: int) -> None:
    pending = min(balance, pending)
    view = replace(VIEW, account=EscrowAccount(balance, pending, 9), cap_sum=cap_sum)

    parts = [each.amount for each in describe_funds(view) if each.where.startswith("escrow")]

    assert sum(parts) == balance
    assert all(each >= 0 for each in parts)


def test_an_escrow_too_small_for_the_next_session_says_what_it_lacks() -> None:
    found = holdings(replace(VIEW, account=EscrowAccount(450, 0, 0)))["escrow, covers the caps"]

    assert found.amount == 450
    assert "gateway fund 150" in found.until


def test_what_is_asked_back_and_what_is_delegated_name_their_session_and_command() -> None:
    found = holdings(replace(VIEW, account=EscrowAccount(1_000, 100, 9)))

    leaving = found["escrow, leaving"]
    assert f"session 9, block {CLOCK.start(9)}, in about 48 s" in leaving.until
    assert leaving.frees == "gateway withdraw"
    allowed = found["may be spent a session on tiny"]
    assert (allowed.amount, allowed.until) == (300, "200 from one of the next sessions on")
    assert allowed.frees.startswith("gateway delegate 0xd4d4")


def test_open_claims_lock_until_their_windows_close() -> None:
    paid = PastClaim(a_claim(6, 50), 1, ClaimPaid(bytes(32), 1, 0, 0, 0))
    found = holdings(replace(VIEW, claims=(PastClaim(a_claim(6, 40), 1), paid)))

    locked = found["locked by a claim of session 6"]
    assert locked.amount == 40
    assert locked.until.startswith("paid when proved, until block")
    late = replace(VIEW, claims=(PastClaim(a_claim(3, 40), 1),))
    assert holdings(late)["locked by a claim of session 3"].until == "due: its windows are over"


@given(MONEY, MONEY, st.integers(1, 10**9))
def test_the_sessions_left_are_those_that_stay_valid(free: int, needed: int, spent: int) -> None:
    found = sessions_left(free, needed, spent)
    assert found is not None
    if found:  # the last one opens with what the ones before have left
        assert free - (found - 1) * spent >= needed
    assert free - found * spent < needed


def a_table(cap: int) -> SessionTable:
    table = SessionTable()
    session = a_gateway_session([(FakeSupplier("one"), "")], cap=cap)
    table.replace(7, [session], {MODEL: a_service()})
    return table


@pytest.mark.parametrize(
    ("state", "spent", "says"),
    [
        (EscrowState(599, 600, 10), 0, "gateway fund 1 "),
        (EscrowState(610, 600, 10), 0, "lasts for 2 sessions"),
        (EscrowState(620, 600, 10), 0, None),
        (EscrowState(600, 600, 0), 0, None),
        (EscrowState(10_000, 600, 10), 799, None),
        (EscrowState(10_000, 600, 10), 800, "80 % of the delegation is spent"),
    ],
)
def test_alarms(state: EscrowState, spent: int, says: str | None) -> None:
    spending = SessionSpending()
    spending.of[a_session()] = spent * MILLIONTHS

    found = list(find_alarms({APPLICATION: state}, a_table(1_000), spending))

    assert (says is None) == (found == [])
    assert says is None or says in found[0][1]


class Chain:
    """An escrow that a test fills."""

    balance = 1_000

    @property
    def escrow(self) -> "Chain":
        return self

    async def account(self, application: Address) -> EscrowAccount:
        return EscrowAccount(self.balance, 0, 0)

    async def cap_sum(self, application: Address) -> tuple[int, int]:
        return 300, 1


@pytest.mark.anyio
async def test_the_operator_is_told_once_and_again_when_it_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chain: Any = Chain()

    def applications() -> Collection[Address]:
        return {APPLICATION}

    watch = FundsWatch(chain, a_table(10**6), applications, SessionSpending(), 1.0)
    with caplog.at_level(logging.WARNING):
        for balance in (1_000, 500, 500, 1_000, 400):
            chain.balance = balance
            await watch.step()

    assert [each.getMessage() for each in caplog.records] == [
        f"funds run out: the escrow does not cover the next session: gateway fund {lack} "
        f"--application {WHO}"
        for lack in (100, 200)
    ]
    assert watch.sessions_min == 0
    assert watch.used_max == 0.0


def test_spending_is_by_session_and_the_oldest_are_forgotten() -> None:
    spending = SessionSpending()
    for number, cost in ((5, 100), (6, 250), (7, 1)):
        spending.of[a_session(number=number)] = cost * MILLIONTHS
    assert spending.dearest(APPLICATION) == 250
    assert spending.dearest(GATEWAY) == 0
    spending.forget(7)

    assert spending.dearest(APPLICATION) == 1
