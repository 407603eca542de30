"""How tokens are drawn, and what is said of their probabilities."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supplier.engines.embedded.sampler import (
    SamplingParams,
    adjust_logits,
    choose_token,
    compute_logprobs,
    make_generator,
    pick_logprobs,
)

LOGITS = np.log(np.array([0.5, 0.25, 0.15, 0.1], np.float32))


def draw_set(params: SamplingParams, draws: int = 400) -> set[int]:
    generator = make_generator(1, 0)
    return {choose_token(LOGITS, params, generator) for _ in range(draws)}


def test_temperature_zero_takes_the_likeliest_and_the_lower_of_equals() -> None:
    params = SamplingParams(temperature=0.0)
    assert draw_set(params, 5) == {0}
    assert choose_token(np.zeros(4, np.float32), params, make_generator(None, 0)) == 0


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        (SamplingParams(), {0, 1, 2, 3}),
        (SamplingParams(top_k=1), {0}),
        (SamplingParams(top_k=3), {0, 1, 2}),
        (SamplingParams(top_k=4), {0, 1, 2, 3}),
        (SamplingParams(top_p=0.0), {0}),
        (SamplingParams(top_p=0.49), {0}),
        (SamplingParams(top_p=0.51), {0, 1}),
        (SamplingParams(top_p=0.95), {0, 1, 2, 3}),
        (SamplingParams(min_p=1.0), {0}),
        (SamplingParams(min_p=0.4), {0, 1}),
        (SamplingParams(top_k=2, top_p=0.99), {0, 1}),
    ],
)
def test_truncation_keeps_exactly_the_stated_tokens(params: SamplingParams, kept: set[int]) -> None:
    assert draw_set(params) == kept


def test_draws_follow_the_probabilities() -> None:
    generator = make_generator(3, 0)
    draws = [choose_token(LOGITS, SamplingParams(), generator) for _ in range(8000)]
    shares = np.bincount(draws, minlength=4) / len(draws)
    np.testing.assert_allclose(shares, np.exp(LOGITS), atol=0.02)


def test_seeds_name_their_draws() -> None:
    first = make_generator(5, 0).random(4).tolist()
    assert make_generator(5, 0).random(4).tolist() == first
    for seed, draw in ((5, 1), (6, 0), (-5, 0), (None, 0)):
        assert make_generator(seed, draw).random(4).tolist() != first


def test_penalties_and_bias_move_the_logits_as_documented() -> None:
    logits = np.array([2.0, -2.0, 1.0, 0.0], np.float32)
    params = SamplingParams(
        presence_penalty=0.5, frequency_penalty=0.25, repetition_penalty=2.0, logit_bias={3: 7.0}
    )
    adjusted = adjust_logits(logits, params, prompt=(1,), counts={0: 2})
    np.testing.assert_allclose(adjusted, [1.0 - 0.5 - 0.5, -4.0, 1.0, 7.0])
    np.testing.assert_allclose(logits, [2.0, -2.0, 1.0, 0.0])


def test_forbidden_tokens_are_never_drawn() -> None:
    adjusted = adjust_logits(LOGITS, SamplingParams(), (), {}, forbidden=(0, 2))
    generator = make_generator(0, 0)
    assert {choose_token(adjusted, SamplingParams(), generator) for _ in range(200)} == {1, 3}


@given(st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=50), st.integers(0, 60))
def test_logprobs_sum_to_one_and_are_ranked(values: list[float], count: int) -> None:
    logits = np.array(values, np.float32)
    logprobs = compute_logprobs(logits)
    assert math.isclose(np.exp(logprobs).sum(), 1.0, rel_tol=1e-9)
    picked = pick_logprobs(logprobs, len(values) - 1, count)
    own = [pair[1] for pair in picked.top]
    assert len(own) == min(count, len(values))
    assert own == sorted(own, reverse=True)
    if own:
        assert picked.top[0] == (int(logprobs.argmax()), float(logprobs.max()))
    assert picked.rank == 1 + sum(value > logprobs[-1] for value in logprobs)
