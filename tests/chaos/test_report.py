"""A run is a failure for each single thing that does not hold, and for nothing that is meant."""

from typing import Any

import pytest

from localnet.chaos_report import checks, sampling_sigmas

SUPPLIER = {
    "owed": 9, "breaches": [], "voided": 0, "slashed": 0, "paid_in_all": 40, "value_claimed": 40,
    "logged_units": 1000, "claimed_units": 1100, "variance": 2500,
}  # fmt: skip
FENCED = {"node": "relay-a", "status": 1, "log": "relay-a-ended-1.log", "is_meant": True}


def a_result(**changes: Any) -> dict[str, Any]:
    whole = {
        "suppliers": [SUPPLIER], "outcomes": {"plain": 5, "streamed": 4}, "claims_open": 0,
        "held": 7, "owed_by_contracts": 7, "bonded": 0, "left_after_exits": 0,
        "own_ends": [FENCED], "orphans": 0, "alive": True,
    }  # fmt: skip
    return whole | changes


def test_all_holds_where_a_relay_server_ended_because_it_was_fenced() -> None:
    assert all(checks(a_result()).values())


@pytest.mark.parametrize(
    "changes",
    [
        {"own_ends": [FENCED, FENCED | {"is_meant": False}]},
        {"suppliers": [SUPPLIER | {"owed": 8}]},
        {"suppliers": [SUPPLIER | {"breaches": ["2 claims"]}]},
        {"suppliers": [SUPPLIER | {"slashed": 1}]},
        {"suppliers": [SUPPLIER | {"paid_in_all": 39}]},
        {"suppliers": [SUPPLIER | {"claimed_units": 1201}]},
        {"suppliers": [SUPPLIER | {"claimed_units": 799}]},
        {"claims_open": 1},
        {"held": 8},
        {"bonded": 1},
        {"left_after_exits": 1},
        {"orphans": 1},
        {"alive": False},
    ],
)
def test_each_thing_that_does_not_hold_fails_a_check_of_its_own(changes: dict[str, Any]) -> None:
    assert list(checks(a_result(**changes)).values()).count(False) == 1


def test_the_error_is_that_of_all_suppliers_together() -> None:
    other = SUPPLIER | {"claimed_units": 900, "variance": 7500}

    assert sampling_sigmas([SUPPLIER]) == 2.0
    assert sampling_sigmas([SUPPLIER, other]) == 0.0
    assert sampling_sigmas([other | {"variance": 0}]) == -100.0
