"""The books: what is held for a relay, and what is left when something refuses it."""

from dataclasses import replace
from fractions import Fraction

import pytest

from relay_mining import OverBudgetError, ReplayedError
from supplier.mining.books import Books
from supplier.mining.session_book import SessionBook
from supplier.server.accounts import CreditPolicy, Relay
from tests.factories import OPERATOR_SIGNER, SUPPLIER, a_hash, a_session
from tests.supplier.market import facts_of

SLICE_UNITS = 50_000
POLICY = CreditPolicy(60_000, Fraction(1, 2), 10_000_000, receipt_due_s=30.0)


def a_book(policy: CreditPolicy = POLICY) -> tuple[Books, SessionBook]:
    books = Books(SUPPLIER, policy)
    key = a_session()
    facts = facts_of(key, cap=3 * SLICE_UNITS)
    return books, books.open(facts, OPERATOR_SIGNER.session_salt(key.id))


def held(books: Books, book: SessionBook) -> tuple[int, int]:
    return book.meter.reserved, books.account(book.facts).line.outstanding


@pytest.mark.parametrize(
    ("policy", "units"),
    [(POLICY, SLICE_UNITS + 1), (replace(POLICY, initial_units=10), 11)],
    ids=["the slice refuses", "the credit refuses"],
)
def test_a_refused_relay_holds_neither_slice_nor_credit(policy: CreditPolicy, units: int) -> None:
    books, book = a_book(policy)
    with pytest.raises(OverBudgetError):
        books.reserve(book, Relay(a_hash(0), units), a_hash("nonce"))

    assert held(books, book) == (0, 0)
    assert (book.relays, book.nonces) == ({}, set())


def test_a_relay_is_reserved_once() -> None:
    books, book = a_book()
    books.reserve(book, Relay(a_hash(0), 100), a_hash("nonce"))
    before = held(books, book)
    with pytest.raises(ReplayedError):
        books.reserve(book, Relay(a_hash(0), 100), a_hash("nonce"))

    assert held(books, book) == before


def test_a_session_is_owed_while_it_is_served_and_until_its_receipts_are_overdue() -> None:
    books, book = a_book()
    assert not books.is_owed(book, 0.0)
    relay, response = Relay(a_hash(0), 100), a_hash("response")
    books.reserve(book, relay, a_hash("nonce"))
    assert books.is_owed(book, 1_000.0), "it is still served"

    books.sign(book, relay, response, 60)
    books.end(book, relay)
    assert not books.is_owed(book, 0.0), "nobody has the response"
    books.delivered(book, relay, response, 0.0)
    assert books.is_owed(book, 30.0)
    assert not books.is_owed(book, 30.1)
