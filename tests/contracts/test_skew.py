"""A clock is compared with blocks that were just made, and with no others."""

import logging

import pytest

from contracts import Block, SkewWatch

TIME = 1_700_000_000


class Clocks:
    """The wall clock and the elapsed time of a machine."""

    def __init__(self, offset_s: float = 0.0) -> None:
        self.offset_s = offset_s
        self.seconds = 0.0

    def now(self) -> float:
        return TIME + self.seconds + self.offset_s

    def elapsed(self) -> float:
        return self.seconds


def look(watch: SkewWatch, clocks: Clocks, number: int, *, age_s: float = 0.0) -> None:
    """See block `number`, made `age_s` ago, half a second after the look before."""
    clocks.seconds += 0.5
    watch.see(Block(number, int(TIME + clocks.seconds - age_s), bytes(32), bytes(32)))


@pytest.mark.parametrize(
    ("offset_s", "words"),
    [(-400.0, "400 s behind"), (35.0, "35 s ahead of"), (20.0, ""), (-20.0, "")],
)
def test_a_clock_that_is_off_is_said_once(
    offset_s: float, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Clocks(offset_s)
    watch = SkewWatch(clocks.now, clocks.elapsed)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            look(watch, clocks, number)

    assert watch.skew_s == pytest.approx(offset_s, abs=1.0)
    assert len(caplog.records) == (1 if words else 0)
    assert words in caplog.text


def test_the_age_of_the_first_block_and_of_one_that_stands_is_no_skew() -> None:
    clocks = Clocks()
    watch = SkewWatch(clocks.now, clocks.elapsed)
    for _ in range(3):
        look(watch, clocks, 7, age_s=900.0)

    assert watch.skew_s == 0.0


def test_a_block_that_came_while_nobody_looked_says_nothing_of_the_clock() -> None:
    clocks = Clocks()
    watch = SkewWatch(clocks.now, clocks.elapsed)
    look(watch, clocks, 7)
    clocks.seconds += 600.0
    look(watch, clocks, 8, age_s=500.0)

    assert watch.skew_s == 0.0


def test_a_clock_that_was_set_right_and_goes_wrong_again_is_said_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clocks = Clocks(-100.0)
    watch = SkewWatch(clocks.now, clocks.elapsed)
    with caplog.at_level(logging.WARNING):
        for number, offset_s in enumerate((-100.0, -100.0, 0.0, -100.0)):
            clocks.offset_s = offset_s
            look(watch, clocks, number)

    assert len(caplog.records) == 2


def test_a_clock_is_right_once_measured_and_until_it_is_set() -> None:
    clocks = Clocks()
    watch = SkewWatch(clocks.now, clocks.elapsed)
    look(watch, clocks, 1)
    assert not watch.is_right  # the first block may be of any age
    look(watch, clocks, 2)
    assert watch.is_right
    clocks.seconds += 86_400.0  # no block since, and nobody set it
    assert watch.is_right
    clocks.offset_s = 14 * 86_400.0
    assert not watch.is_right  # before the next block tells so
    look(watch, clocks, 3)
    look(watch, clocks, 4)
    assert not watch.is_right
    clocks.offset_s = 0.0
    assert watch.is_right
