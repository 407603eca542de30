from dataclasses import replace

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import (
    AMOUNT_MAX,
    UNITS_MAX,
    UNITS_PER_PRICE,
    Clock,
    Params,
    SessionKey,
    compute_terms,
    keccak,
)
from tests.factories import CLOCK, PARAMS, a_session

UINT64_MAX = 2**64 - 1


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    blocks = draw(st.one_of(st.sampled_from([4, 5, 2047]), st.integers(4, 2047)))
    half = blocks // 2
    return Clock(
        genesis_block=draw(st.sampled_from([0, 1, 10_000_000])),
        session_blocks=blocks,
        seed_offset=draw(st.one_of(st.sampled_from([1, half]), st.integers(1, half))),
        epoch_sessions=draw(st.integers(2, 50)),
    )


@given(clocks(), st.integers(0, 10**6), st.data())
def test_every_block_is_in_exactly_one_session(
    clock: Clock, number: int, data: st.DataObject
) -> None:
    window = clock.serve_window(number)
    assert window.closes - window.opens == clock.session_blocks
    assert clock.serve_window(number + 1).opens == window.closes
    block = data.draw(st.sampled_from([window.opens, window.closes - 1]))
    assert clock.session_at(block) == number
    assert block in window
    assert window.closes not in window
    assert window.opens - 1 not in window


@given(clocks(), st.integers(1, 10**6))
def test_windows_follow_each_other_around_the_seeds(clock: Clock, number: int) -> None:
    serve, claim, proof = (
        clock.serve_window(number),
        clock.claim_window(number),
        clock.proof_window(number),
    )
    assert clock.seed_block(number - 1) < serve.opens
    assert serve.closes == claim.opens
    assert claim.closes == clock.start(number + 2) <= clock.seed_block(number + 2)
    assert proof.opens == clock.seed_block(number + 2) + 1
    assert proof.closes == clock.start(number + 3)
    assert 2 * (proof.closes - proof.opens) >= clock.session_blocks - 2


@given(clocks(), st.integers(1, 10**5))
def test_a_roster_is_fixed_before_the_seed_that_draws_from_it(clock: Clock, epoch: int) -> None:
    window = clock.roster_window(epoch)
    first = epoch * clock.epoch_sessions
    assert clock.epoch_of(first) == epoch == clock.epoch_of(first - 1) + 1
    assert window.opens == clock.start(first - clock.epoch_sessions)
    assert window.closes <= clock.seed_block(first - 1)


def test_the_local_network_keeps_the_windows_of_the_design() -> None:
    assert CLOCK.session_at(100) == 0
    assert CLOCK.session_at(111) == 0
    assert CLOCK.session_at(112) == 1
    assert CLOCK.seed_block(3) == 100 + 36 + 2
    assert CLOCK.proof_window(1) == type(CLOCK.proof_window(1))(139, 148)
    assert CLOCK.seed_window(3).opens == 139
    assert CLOCK.seed_window(3).closes == 138 + 8191 + 1
    assert CLOCK.roster_window(1).opens == 100
    assert CLOCK.roster_window(1).closes == 112


def test_what_is_before_the_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="genesis"):
        CLOCK.session_at(99)
    for call in (CLOCK.start, CLOCK.epoch_of):
        with pytest.raises(ValueError, match="no session"):
            call(-1)
    with pytest.raises(ValueError, match="no session"):
        CLOCK.roster_window(0)


@pytest.mark.parametrize(
    "values",
    [(0, 3, 1, 2), (0, 2048, 1, 2), (0, 12, 0, 2), (0, 12, 7, 2), (0, 12, 11, 2), (0, 12, 1, 1)],
)
def test_a_clock_the_contract_refuses_is_refused(values: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        Clock(*values)


@given(
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=32, max_size=32),
    st.one_of(st.sampled_from([0, 1, UINT64_MAX]), st.integers(0, UINT64_MAX)),
)
def test_a_session_id_is_the_hash_of_the_abi_encoding(
    application: bytes, gateway: bytes, service: bytes, number: int
) -> None:
    encoded = encode(
        ["address", "address", "bytes32", "uint256"], [application, gateway, service, number]
    )
    assert SessionKey(application, gateway, service, number).id == keccak(encoded)


def test_a_session_key_of_wrong_widths_is_refused() -> None:
    session = a_session()
    for wrong in (
        {"application": bytes(19)},
        {"gateway": bytes(21)},
        {"service": bytes(31)},
        {"number": -1},
        {"number": 2**64},
    ):
        with pytest.raises(ValueError, match=r"instead of|outside"):
            replace(session, **wrong)


AMOUNTS = st.one_of(st.sampled_from([0, 1, AMOUNT_MAX]), st.integers(0, AMOUNT_MAX))
PRICES = st.one_of(st.sampled_from([1, 10**6, UINT64_MAX]), st.integers(1, UINT64_MAX))


@given(AMOUNTS, st.integers(1, 64), PRICES, st.integers(1, 2**32 - 1))
def test_terms_never_promise_more_than_the_cap(
    cap: int, members: int, price: int, leaves: int
) -> None:
    terms = compute_terms(a_session(), cap, members, price, leaves)
    assert terms.slice_amount * members <= cap < (terms.slice_amount + 1) * members
    assert terms.slice_units * price <= terms.slice_amount * UNITS_PER_PRICE
    assert 0 <= terms.slice_units <= UNITS_MAX
    assert terms.tau == max(1, terms.slice_units // leaves)


def test_terms_round_down_at_every_division() -> None:
    terms = compute_terms(a_session(), cap=1_000, members=3, price=7, target_leaves=4096)
    assert terms.slice_amount == 333
    assert terms.slice_units == 47_571_428
    assert terms.tau == 11_614


def test_a_slice_beyond_the_largest_sum_is_cut_to_it() -> None:
    terms = compute_terms(a_session(), AMOUNT_MAX, 1, 1, 1)
    assert terms.slice_units == terms.tau == UNITS_MAX


@pytest.mark.parametrize("wrong", [{"cap": -1}, {"cap": 2**96}, {"members": 0}, {"price": 0}])
def test_terms_of_impossible_values_are_refused(wrong: dict[str, int]) -> None:
    values = {"cap": 1, "members": 1, "price": 1, "target_leaves": 1} | wrong
    with pytest.raises(ValueError, match="outside"):
        compute_terms(a_session(), **values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"members": 0},
        {"members": 65},
        {"margin_bps": 9_999},
        {"protocol_bps": 1_001},
        {"roster_max": 129},
        {"bond_ratio_max": 55},
    ],
)
def test_parameters_outside_their_limits_are_refused(wrong: dict[str, int]) -> None:
    assert isinstance(PARAMS, Params)
    with pytest.raises(ValueError, match="outside"):
        replace(PARAMS, **wrong)
