import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import UNITS_MAX, UnitsOverflowError, UnitWeights
from tests.factories import WEIGHTS

UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1
TOKENS = st.one_of(st.sampled_from([0, 1, UINT32_MAX]), st.integers(0, UINT32_MAX))


def test_cached_tokens_are_billed_instead_of_input_tokens() -> None:
    assert WEIGHTS.units(0, 0, 0) == 100
    assert WEIGHTS.units(7, 0, 3) == 100 + 70 + 120
    assert WEIGHTS.units(7, 5, 3) == 100 + 20 + 5 + 120
    assert WEIGHTS.units(7, 7, 0) == 100 + 7


@given(TOKENS, TOKENS, TOKENS)
def test_more_cached_tokens_never_cost_more(tokens: int, cached: int, output: int) -> None:
    cached = min(tokens, cached)
    assert WEIGHTS.units(tokens, cached, output) <= WEIGHTS.worst_case(tokens, output)


@given(TOKENS, TOKENS, st.integers(0, UINT32_MAX), st.integers(0, UINT32_MAX))
def test_no_relay_within_its_limits_exceeds_the_worst_case(
    tokens_max: int, output_max: int, tokens: int, output: int
) -> None:
    tokens, output = min(tokens, tokens_max), min(output, output_max)
    assert WEIGHTS.units(tokens, 0, output) <= WEIGHTS.worst_case(tokens_max, output_max)


@pytest.mark.parametrize(
    "counts",
    [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (2**32, 0, 0), (0, 0, 2**32), (1, 2, 0)],
)
def test_counts_that_no_relay_has_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="tokens is"):
        WEIGHTS.units(*counts)


def test_units_up_to_the_limit_are_counted_and_more_are_refused() -> None:
    weights = UnitWeights(request=UNITS_MAX, input=1, cached=0, output=0)
    assert weights.units(0, 0, 9) == UNITS_MAX
    assert weights.units(4, 4, 0) == UNITS_MAX
    with pytest.raises(UnitsOverflowError):
        weights.units(1, 0, 0)


@pytest.mark.parametrize("weights", [(-1, 0, 0, 0), (0, UINT64_MAX + 1, 0, 0), (0, 0, 0, 2**64)])
def test_weights_outside_uint64_are_refused(weights: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        UnitWeights(*weights)


def test_a_cached_token_may_not_weigh_more_than_a_computed_one() -> None:
    assert UnitWeights(0, 5, 5, 0).units(2, 1, 0) == 10
    with pytest.raises(ValueError, match="cached token"):
        UnitWeights(0, 5, 6, 0)
