"""Run a program on the fastest event loop there is."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
GC_THRESHOLDS = (10_000, 20, 50)
"""New objects before a collection of the youngest; collections before one of the next age."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's loop maker where uvloop is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def raise_file_limit(wanted: int = 1 << 16) -> int:
    """Let this process open up to `wanted` files where it may; return how many it can open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        return limit
    return soft


def spare_collector() -> None:
    """Keep the garbage collector off what is loaded by now, and from coming after a few requests.

    A node's modules are some hundred thousand objects that live to its end; walking them stops
    the loop for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Return the result of `main`, run to its end on a fresh loop with room for many sockets."""
    raise_file_limit()
    spare_collector()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)
