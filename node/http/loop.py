"""Run a program on the fastest event loop there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's loop maker where uvloop is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Return the result of `main`, run to its end on a fresh loop."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)
