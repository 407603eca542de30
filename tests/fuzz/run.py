"""One target fed with many inputs, a bounded number at a time so that memory stays bounded."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.answers import TARGETS as ANSWERS
from tests.fuzz.documents import TARGETS as DOCUMENTS
from tests.fuzz.endpoint import TARGETS as ENDPOINT
from tests.fuzz.files import TARGETS as FILES
from tests.fuzz.messages import TARGETS as MESSAGES
from tests.fuzz.mutants import mutants
from tests.fuzz.proofs import TARGETS as PROOFS
from tests.fuzz.questions import TARGETS as QUESTIONS
from tests.fuzz.streams import TARGETS as STREAMS
from tests.fuzz.target import Target

TARGETS = (*MESSAGES, *PROOFS, *STREAMS, *DOCUMENTS, *QUESTIONS, *ANSWERS, *ENDPOINT, *FILES)
CHUNK = 2_000
"""Inputs between two calls of `advance`, each with a seed of its own."""


@dataclass(slots=True)
class Tally:
    """What became of a target's inputs; `failure` names the first that broke its contract."""

    name: str
    inputs: int = 0
    accepted: int = 0
    seconds: float = 0.0
    failure: str = ""


def fuzz(target: Target, inputs: int, seed_start: int, advance: Callable[[int], None]) -> Tally:
    """Feed `inputs` mutants to a target, or as many as it takes to find a failure."""
    tally = Tally(target.name)
    began = time.process_time()
    while tally.inputs < inputs and not tally.failure:
        before = tally.inputs
        count = min(CHUNK, inputs - before)
        _feed(target, count, seed_start + before, tally)
        advance(tally.inputs - before)
    tally.seconds = time.process_time() - began
    return tally


def _feed(target: Target, count: int, start: int, tally: Tally) -> None:
    @seed(start)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mutants(target.corpus))
    def feed(data: bytes) -> None:
        tally.inputs += 1
        try:
            tally.accepted += target.run(data)
        except Exception as error:
            tally.failure = f"{type(error).__name__}: {error} for {data!r}"
            raise

    try:
        feed()
    except BaseException:
        if not tally.failure:
            raise
