"""Many at once: the same answers as alone, slots bounded, prompts in turn."""

import math

import pytest

from supplier.engines.embedded.model import CHUNK_TOKENS
from supplier.engines.embedded.sampler import SamplingParams
from supplier.engines.embedded.scheduler import OTHERS_EVERY, Scheduler
from supplier.engines.embedded.sequence import Finish, Job, Sequence, TokenEvent
from tests.supplier.engines.parts import (
    END,
    ask,
    demo_model,
    demo_tokenizer,
    encode,
    run_jobs,
    text_of,
    tokens_of,
)

GREEDY = SamplingParams(temperature=0.0)
CAPITAL = Job(ask("What is the capital of Japan?"), 40, GREEDY, end_token_ids=frozenset({END}))


def test_the_demo_model_knows_the_capital_of_japan() -> None:
    (events,) = run_jobs(CAPITAL)
    assert text_of(events) == "The capital of Japan is Tokyo."
    assert events[-1].finish == Finish("stop")
    assert events[-1].token == END


def test_greedy_answers_repeat() -> None:
    first, second = run_jobs(CAPITAL), run_jobs(CAPITAL)
    assert tokens_of(first[0]) == tokens_of(second[0])


def test_a_seed_gives_the_same_alone_and_among_eight() -> None:
    jobs = [
        Job(
            ask(f"Tell me a story.{' please' * index}"),
            50 + index,
            SamplingParams(temperature=1.5, top_p=0.97, top_k=200, seed=100 + index),
            top_logprobs=2,
        )
        for index in range(8)
    ]
    together = run_jobs(*jobs)
    late = run_jobs(CAPITAL, CAPITAL, *reversed(jobs), slots=3)[2:]
    for job, beside, queued in zip(jobs, together, reversed(late), strict=True):
        (alone,) = run_jobs(job)
        assert alone == beside == queued


def test_draws_of_one_seed_differ() -> None:
    prompt = ask("Tell me a story.")
    hot = SamplingParams(temperature=1.5, seed=1)
    first, second = run_jobs(*(Job(prompt, 30, hot, choice=draw, draw=draw) for draw in (0, 1)))
    assert tokens_of(first) != tokens_of(second)


def test_logprobs_of_all_tokens_sum_to_one() -> None:
    size = demo_model().config.vocabulary
    (events,) = run_jobs(Job(encode("Hello"), 2, GREEDY, top_logprobs=size))
    for event in events:
        assert event.logprobs is not None
        total = math.fsum(math.exp(logprob) for _, logprob in event.logprobs.top)
        assert math.isclose(total, 1.0, rel_tol=1e-9)
        assert event.logprobs.top[0] == (event.token, event.logprobs.logprob)


@pytest.mark.parametrize("extra", [-1, 0, 1, CHUNK_TOKENS])
def test_prompt_logprobs_equal_those_of_decoding(extra: int) -> None:
    (events,) = run_jobs(Job(encode("One morning"), CHUNK_TOKENS + extra, GREEDY, top_logprobs=1))
    tokens = (*encode("One morning"), *(event.token or 0 for event in events))
    (again,) = run_jobs(Job(tokens, 1, GREEDY, top_logprobs=1, prompt_logprobs=True))
    noted = again[0].prompt_logprobs
    assert len(noted) == len(tokens) - 1
    for event, prompt in zip(events, noted[-len(events) :], strict=True):
        assert event.logprobs is not None
        assert prompt.logprob == pytest.approx(event.logprobs.logprob, abs=1e-3)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize(
    "stop", ["Tokyo.", "is Tok", "e", "The capital of Japan is Tokyo.", "Japan is T"]
)
def test_stop_strings_split_over_tokens(stop: str, include: bool) -> None:
    job = Job(
        CAPITAL.prompt, 40, GREEDY, stop_strings=("absent", stop), include_stop=include,
        end_token_ids=frozenset({END}),
    )  # fmt: skip
    (events,) = run_jobs(job)
    before = "The capital of Japan is Tokyo.".split(stop)[0]
    assert text_of(events) == before + (stop if include else "")
    assert events[-1].finish == Finish("stop", stop)


def test_a_held_back_beginning_of_a_stop_is_given_in_the_end() -> None:
    (events,) = run_jobs(Job(CAPITAL.prompt, 6, GREEDY, stop_strings=(" Tokyo!",)))
    assert text_of(events) == "The capital of Japan is Tokyo"
    assert events[-1].finish == Finish("length")


def test_stop_tokens_end_it_and_show_no_text() -> None:
    tokyo = encode(" Tokyo")
    assert len(tokyo) == 1
    (events,) = run_jobs(Job(CAPITAL.prompt, 40, GREEDY, stop_token_ids=frozenset(tokyo)))
    assert text_of(events) == "The capital of Japan is"
    assert events[-1].finish == Finish("stop", tokyo[0])
    assert events[-1].token == tokyo[0]


def test_min_tokens_puts_the_end_off() -> None:
    job = Job(CAPITAL.prompt, 20, GREEDY, end_token_ids=frozenset({END}), min_tokens=12)
    (events,) = run_jobs(job)
    assert len(events) >= 12
    assert END not in tokens_of(events)[:12]


@pytest.mark.parametrize("limit", [1, 2, 7, 8])
def test_length_and_stop_at_the_edge(limit: int) -> None:
    job = Job(CAPITAL.prompt, limit, GREEDY, end_token_ids=frozenset({END}))
    (events,) = run_jobs(job)
    assert len(events) == limit
    assert events[-1].finish == Finish("stop" if limit == 8 else "length")


def test_the_whole_context_can_be_used() -> None:
    context = demo_model().config.context
    (events,) = run_jobs(Job(tuple([5] * (context - 3)), 3, GREEDY))
    assert len(events) == 3


def test_slots_bound_what_runs_and_removal_frees_one_at_once() -> None:
    scheduler = Scheduler(demo_model(), 2)
    sequences = [Sequence(Job(encode("Hello"), 100, GREEDY), demo_tokenizer()) for _ in range(4)]
    for sequence in sequences:
        scheduler.add(sequence)
    assert len(scheduler.step()) == 2
    assert (scheduler.running, scheduler.waiting) == (2, 2)
    scheduler.remove(sequences[0])
    scheduler.remove(sequences[3])
    scheduler.remove(sequences[3])
    assert (scheduler.running, scheduler.waiting) == (1, 1)
    assert {sequence for sequence, _ in scheduler.step()} == {sequences[1], sequences[2]}
    assert (scheduler.running, scheduler.waiting) == (2, 0)


def test_a_long_prompt_does_not_stall_a_running_sequence() -> None:
    scheduler = Scheduler(demo_model(), 2)
    short = Sequence(Job(encode("Hello"), 100, GREEDY), demo_tokenizer())
    long = Sequence(Job(tuple([7] * (4 * CHUNK_TOKENS)), 1, GREEDY), demo_tokenizer())
    scheduler.add(short)
    scheduler.step()
    scheduler.add(long)
    for _ in range(3):
        assert [sequence for sequence, _ in scheduler.step()] == [short]
    assert {sequence for sequence, _ in scheduler.step()} == {short, long}


def test_urgent_ones_take_slots_and_steps_and_nobody_s_answer_changes() -> None:
    """Both greedy and drawn answers, put aside in the middle of prompt or answer, are the same."""
    hot = SamplingParams(temperature=1.5, seed=7)
    long_prompt = encode("word " * CHUNK_TOKENS)[: 2 * CHUNK_TOKENS + 5]
    batch = [
        Job(ask("Tell me a story."), 60, GREEDY, priority=1, top_logprobs=1),
        Job(ask("Tell me a story."), 60, hot, priority=1),
        Job(long_prompt, 20, GREEDY, priority=1),
    ]
    urgent = [Job(ask("What is the capital of Japan?"), 12, GREEDY, draw=each) for each in range(3)]
    scheduler = Scheduler(demo_model(), 2)
    sequences = [Sequence(job, demo_tokenizer()) for job in (*batch, *urgent)]
    events: dict[Sequence, list[TokenEvent]] = {each: [] for each in sequences}
    arrivals = {0: sequences[:3], 5: sequences[3:5], 70: sequences[5:]}
    for step in range(2_000):
        for each in arrivals.get(step, ()):
            scheduler.add(each)
        for sequence, event in scheduler.step():
            events[sequence].append(event)

    assert scheduler.preempted >= 3
    assert scheduler.running + scheduler.waiting == 0
    for job, found in zip((*batch, *urgent), events.values(), strict=True):
        (alone,) = run_jobs(job)
        assert found == alone


def test_who_is_put_aside_goes_on_before_others_of_its_kind_and_a_turn_comes_to_all() -> None:
    scheduler = Scheduler(demo_model(), 2)

    def add(priority: int, tokens: int) -> Sequence:
        job = Job(ask("Tell me a story."), tokens, GREEDY, priority=priority)
        sequence = Sequence(job, demo_tokenizer())
        scheduler.add(sequence)
        return sequence

    first, second, third = add(1, 50), add(1, 50), add(1, 50)
    scheduler.step()
    assert (first.generated, second.generated, third.generated) == (1, 1, 0)
    urgent = add(0, 4 * OTHERS_EVERY)
    before = first.generated
    while urgent.generated < urgent.job.max_tokens:
        scheduler.step()
    assert (second.generated, third.generated) == (1, 0)  # the last to come was put aside
    assert 3 <= first.generated - before <= 5  # every eighth step
    scheduler.step()
    assert (second.generated, third.generated) == (2, 0)
