"""Signals that come while a process is being started."""

import signal
from types import FrameType

import pytest

from localnet.processes import signals_held


class Ended(Exception):
    """Raised by the handler, as the demo's raises SystemExit."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_waits_for_the_end_of_the_block_and_is_not_lost(number: signal.Signals) -> None:
    def end(_: int, __: FrameType | None) -> None:
        raise Ended

    before = signal.signal(number, end)
    done = False
    try:
        with pytest.raises(Ended), signals_held():
            signal.raise_signal(number)
            done = True
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)
    assert done
