"""Whatever a side does with what it controls, a relay is payable with `min(1, u / tau)`."""

from dataclasses import replace
from math import sqrt

import pytest

from relay_mining import Receipt, Signer, is_payable, keccak
from tests.factories import DOMAIN, SUPPLIER, a_hash, a_session

TAU = 1_000
UNITS = 250
TRIALS = 3_000
TRIES = 8


def gateway(trial: int) -> Signer:
    return Signer(a_hash(f"gateway {trial}"))


def operator(trial: int) -> Signer:
    return Signer(a_hash(f"operator {trial}"))


def a_receipt(trial: int, response: str = "", nonce: str = "") -> tuple[Receipt, bytes]:
    """The one receipt of a response under these keys, and the supplier's salt."""
    session = a_session(number=trial)
    salt = operator(trial).session_salt(session.id)
    request, answer = a_hash(f"{trial} {nonce}"), a_hash(f"{trial} {nonce} {response}")
    secret = gateway(trial).receipt_secret(request, answer)
    receipt = Receipt(session.id, SUPPLIER, request, answer, keccak(salt), UNITS, secret)
    return receipt, salt


def wins(receipt: Receipt, salt: bytes) -> bool:
    return is_payable(DOMAIN.digest(receipt), salt, receipt.units, TAU)


def assert_fair(payable: int, trials: int = TRIALS) -> None:
    """The share of payable relays is `u / tau` within four standard errors."""
    share = UNITS / TAU
    assert abs(payable / trials - share) <= 4 * sqrt(share * (1 - share) / trials)


def test_an_honest_relay_is_payable_with_its_share() -> None:
    assert_fair(sum(wins(*a_receipt(trial)) for trial in range(TRIALS)))


def test_a_denied_or_repeated_receipt_is_the_same_receipt() -> None:
    """A gateway that answers a retry, or another replica that does, tosses no second coin."""
    for trial in range(50):
        receipts = {DOMAIN.digest(a_receipt(trial)[0]) for _ in range(TRIES)}
        assert len(receipts) == 1
    payable = sum(any(wins(*a_receipt(trial)) for _ in range(TRIES)) for trial in range(TRIALS))
    assert_fair(payable)


def test_a_supplier_that_grinds_its_response_cannot_see_the_coin() -> None:
    """Its best guess at the coin is a receipt with a secret of its own: worth nothing."""

    def ground(trial: int) -> bool:
        for attempt in range(TRIES):
            receipt, salt = a_receipt(trial, response=str(attempt))
            if wins(replace(receipt, secret=a_hash(f"guess {attempt}")), salt):
                return wins(receipt, salt)
        return wins(receipt, salt)

    assert_fair(sum(map(ground, range(TRIALS))))


def test_a_gateway_that_grinds_its_request_cannot_see_the_coin() -> None:
    """Without the salt it can only guess; picking nonces or secrets by a guess moves nothing."""

    def ground(trial: int) -> bool:
        guess = a_hash(f"guessed salt {trial}")
        receipt, salt = a_receipt(trial)
        for attempt in range(TRIES):
            receipt, salt = a_receipt(trial, nonce=str(attempt))
            if not wins(receipt, guess):
                break
        return wins(receipt, salt)

    assert_fair(sum(map(ground, range(TRIALS))))


def test_withholding_any_set_costs_the_units_withheld() -> None:
    """A gateway that withholds what it likes withholds units, in expectation weight for weight."""
    withheld_units = withheld_weight = 0
    for trial in range(TRIALS):
        receipt, salt = a_receipt(trial)
        if wins(receipt, a_hash("the gateway's guess")):
            withheld_units += UNITS
            withheld_weight += TAU if wins(receipt, salt) else 0
    count = withheld_units / UNITS
    error = TAU * sqrt(count * 0.25 * 0.75)
    assert abs(withheld_weight - withheld_units) <= 4 * error


def test_knowing_the_salt_would_break_it() -> None:
    """The attack that the order of commitments prevents: choose after seeing the coin."""
    ground = sum(
        any(wins(*a_receipt(trial, nonce=str(attempt))) for attempt in range(TRIES))
        for trial in range(300)
    )
    assert ground / 300 > 0.8


@pytest.mark.parametrize("field", ["units", "secret", "response_hash", "request_hash"])
def test_the_coin_hangs_on_every_field(field: str) -> None:
    receipt, _ = a_receipt(0)
    value = 251 if field == "units" else a_hash("other")
    changed = replace(receipt, **{field: value})  # type: ignore[arg-type]
    assert DOMAIN.digest(changed) != DOMAIN.digest(receipt)
