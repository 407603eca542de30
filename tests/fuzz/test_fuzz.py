"""A few inputs for every target on every run; `make fuzz` feeds a million."""

import pytest

from tests.fuzz.mutants import edit
from tests.fuzz.run import TARGETS, fuzz
from tests.fuzz.target import Target

INPUTS = 150


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_bytes_near_good_ones_are_taken_or_refused(target: Target) -> None:
    tally = fuzz(target, INPUTS, 7, lambda count: None)

    assert tally.failure == ""
    assert tally.inputs >= INPUTS
    assert tally.accepted, "no sample of the corpus is good"


def test_the_empty_program_leaves_a_sample_as_it_is() -> None:
    assert edit(b"sample", [b"other"], b"") == b"sample"


def test_a_parser_that_breaks_its_contract_is_found() -> None:
    def run(data: bytes) -> bool:
        if b"data: " in data:
            raise KeyError("not what this parser says it raises")
        return True

    tally = fuzz(Target("broken", (b"good",), run), 20_000, 1, lambda count: None)

    assert tally.failure.startswith("KeyError")
