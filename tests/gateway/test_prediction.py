"""What is learned of suppliers' times, and how often a request may be sent again."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.balancer import ALIKE
from gateway.routing.observation import Observation, Result
from gateway.routing.prediction import FORGET, STRANGER, TOKENS_EXPECTED, Fit, Predictor, predict
from gateway.routing.retry_budget import LEFT_MAX, RetryBudget
from tests.factories import a_session, an_address

FAST, SLOW, NEW = an_address("fast"), an_address("slow"), an_address("new")


def an_observation(
    supplier: bytes, in_flight: int, body_bytes: int, tokens: int, first_s: float, rest_s: float,
    *, is_stream: bool = True, result: Result = Result.OK,
) -> Observation:  # fmt: skip
    return Observation(
        supplier=supplier, session=a_session(), model="m", key_id="k", result=result,
        is_stream=is_stream, is_answer=True, latency_s=first_s + rest_s,
        first_byte_s=first_s if is_stream else None, output_tokens=tokens, in_flight=in_flight,
        body_bytes=body_bytes,
    )  # fmt: skip


def teach(
    predictor: Predictor, supplier: bytes, truth: tuple[float, float, float], *, times: int = 300,
    is_stream: bool = True,
) -> None:  # fmt: skip
    rng = random.Random(7)
    queue, prefill, decode = truth
    for _ in range(times):
        in_flight, size, tokens = rng.randint(1, 9), rng.randint(100, 50_000), rng.randint(1, 500)
        first = queue * in_flight + prefill * size / 1024
        predictor.observe(
            an_observation(
                supplier,
                in_flight,
                size,
                tokens,
                first,
                decode * tokens / 100,
                is_stream=is_stream,
            )
        )


def predicted(
    predictor: Predictor, supplier: bytes, model: str, in_flight: int, body_bytes: int, tokens: int
) -> float:
    """The prediction for an answer of so many tokens, whatever is usual."""
    times = replace(predictor.of(model), tokens=float(tokens))
    return predict(times, supplier, in_flight, body_bytes, tokens)


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_linear_supplier_is_learned(is_stream: bool) -> None:
    predictor = Predictor()
    teach(predictor, FAST, (0.05, 0.01, 1), is_stream=is_stream)

    found = predicted(predictor, FAST, "m", 4, 20 * 1024, 300)

    assert found == pytest.approx(4 * 0.05 + 20 * 0.01 + 3 * 1.0, rel=0.02)


def test_the_whole_answer_is_predicted_and_not_its_first_token() -> None:
    predictor = Predictor()
    teach(predictor, FAST, (0.0, 0.001, 4.0))  # quick to begin, slow to go on
    teach(predictor, SLOW, (0.0, 0.05, 1))

    long = [predicted(predictor, each, "m", 2, 10_240, 200) for each in (FAST, SLOW)]
    short = [predicted(predictor, each, "m", 2, 10_240, 1) for each in (FAST, SLOW)]

    assert long[0] > long[1]
    assert short[0] < short[1]


def test_a_stranger_is_taken_to_be_as_good_as_the_best_of_its_peers() -> None:
    predictor = Predictor()
    unknown = predicted(predictor, NEW, "m", 1, 1024, 100)
    assert unknown == pytest.approx(sum(STRANGER))
    teach(predictor, FAST, (0.001, 0.001, 0.1))
    teach(predictor, SLOW, (0.1, 0.1, 10.0))

    assert predicted(predictor, NEW, "m", 1, 1024, 100) == pytest.approx(0.102, rel=0.1)
    assert predicted(predictor, NEW, "another model", 1, 1024, 100) == unknown


def test_who_answers_alike_is_predicted_alike_and_so_is_a_stranger_beside_it() -> None:
    predictor = Predictor()
    for _ in range(40):  # the same short request again and again says little of each weight
        predictor.observe(an_observation(FAST, 1, 100, 12, 0.004, 0.001))
        known, stranger = (predicted(predictor, each, "m", 1, 100, 12) for each in (FAST, NEW))
        assert stranger <= known * ALIKE


def test_one_answer_is_enough_to_tell_a_slow_supplier() -> None:
    predictor = Predictor()
    teach(predictor, FAST, (0.001, 0.001, 0.1))
    predictor.observe(an_observation(SLOW, 1, 1024, 100, 5.0, 10.0))

    slow, fast = (predicted(predictor, each, "m", 1, 1024, 100) for each in (SLOW, FAST))

    assert slow > 10 * fast


@pytest.mark.parametrize("result", [each for each in Result if each is not Result.OK])
def test_nothing_is_learned_from_what_is_no_answer(result: Result) -> None:
    predictor = Predictor()
    predictor.observe(an_observation(FAST, 1, 1, 1, 9.0, 9.0, result=result))

    assert predictor == Predictor()


def test_answers_are_expected_to_be_as_long_as_the_last_ones() -> None:
    predictor = Predictor()
    assert min(10_000, predictor.of("m").tokens) == TOKENS_EXPECTED
    for _ in range(500):
        predictor.observe(an_observation(FAST, 1, 1, 40, 0.1, 0.1))

    assert min(10_000, predictor.of("m").tokens) == pytest.approx(40, rel=0.01)
    assert predict(predictor.of("m"), FAST, 1, 1, 7) < predict(predictor.of("m"), FAST, 1, 1, 40)


ROWS = st.tuples(
    st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e4)
)  # fmt: skip


@given(st.lists(ROWS, max_size=60))
def test_no_measurement_makes_a_time_negative_or_endless(rows: list[tuple[float, ...]]) -> None:
    fit = Fit()
    for a, b, c, seconds in rows:
        fit.add(a, b, c, seconds)
        fit.solve(STRANGER)
        assert all(0.0 <= each < float("inf") for each in fit.weights)


def test_who_is_asked_no_more_is_given_a_new_chance_with_one_request() -> None:
    predictor = Predictor()
    teach(predictor, SLOW, (0.01, 0.01, 9.0), times=50)
    teach(predictor, FAST, (0.01, 0.01, 1.0), times=FORGET)
    assert predicted(predictor, SLOW, "m", 1, 1024, 100) == pytest.approx(9.02, rel=0.05)
    teach(predictor, FAST, (0.01, 0.01, 1.0), times=1)

    assert predicted(predictor, SLOW, "m", 1, 1024, 100) < 1.1
    assert predicted(predictor, SLOW, "m", 2, 1024, 100) == pytest.approx(9.03, rel=0.05)
    teach(predictor, SLOW, (0.01, 0.01, 1.0), times=20)  # it has become better
    assert predicted(predictor, SLOW, "m", 2, 1024, 100) == pytest.approx(1.03, rel=0.05)


def test_a_supplier_that_changes_is_learned_anew() -> None:
    predictor = Predictor()
    teach(predictor, FAST, (0.01, 0.01, 1))
    teach(predictor, FAST, (0.01, 0.01, 5.0))

    assert predicted(predictor, FAST, "m", 1, 1024, 100) == pytest.approx(5.02, rel=0.05)


@given(st.lists(st.booleans(), max_size=2_000), st.floats(0, 1))
def test_retries_are_at_most_the_share_and_what_was_saved(asks: list[bool], share: float) -> None:
    budget = RetryBudget(lambda: 0.0, share)
    requests = retries = 0
    for is_request in asks:
        if is_request:
            budget.earn()
            requests += 1
        else:
            retries += budget.take()
        assert retries <= LEFT_MAX + share * requests + 1e-6
    assert retries + budget.denied == len(asks) - requests


def test_few_requests_still_get_their_retries() -> None:
    now = [0.0]
    budget = RetryBudget(lambda: now[0], 0.0, left=0.0)
    assert not budget.take()
    now[0] = 10.0
    budget.earn()

    assert budget.take()
    assert not budget.take()
