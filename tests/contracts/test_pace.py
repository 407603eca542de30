"""What is over by the pace of blocks, though the chain is not seen."""

import pytest

from contracts import Pace

HEAD, ENDS = 100, 110


def a_pace(block_s: float, head: int = HEAD) -> Pace:
    """One that has just begun, at 50 s."""
    pace = Pace()
    pace.see(head, 50.0)
    pace.begin(block_s)
    return pace


@pytest.mark.parametrize(
    ("unseen_s", "block_s", "is_over"),
    [
        (0.0, 2.0, False),
        (19.9, 2.0, False),  # nine blocks are due: the last of the session is the newest
        (20.0, 2.0, True),
        (10_000.0, 0.0, False),  # a chain that mines on demand has no pace
    ],
)
def test_a_session_lasts_as_long_as_the_pace_of_blocks_says(
    unseen_s: float, block_s: float, is_over: bool
) -> None:
    assert a_pace(block_s).is_past(ENDS, 50.0 + unseen_s) is is_over


def test_a_chain_that_failed_to_answer_once_ends_nothing() -> None:
    assert not a_pace(2.0, ENDS + 1).is_past(ENDS, 51.9)


def test_blocks_that_come_slower_than_they_say_are_waited_for() -> None:
    pace = a_pace(2.0)
    pace.see(HEAD + 2, 60.0)  # two of them took 10 s

    assert not pace.is_past(ENDS, 99.9)
    assert pace.is_past(ENDS, 100.0)
