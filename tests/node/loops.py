"""Run a test coroutine on uvloop and on asyncio's own loop, each with a deadline."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
DEADLINE_S = 30


def on_loops(test: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate an `async def` test: it runs once per event loop."""

    def runner(loop: str, **arguments: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(DEADLINE_S):
                await test(**arguments)
                for _ in range(3):  # closed transports take a turn or two to let go
                    await asyncio.sleep(0)

        with asyncio.Runner(loop_factory=LOOPS[loop]) as owner:
            owner.run(bounded())

    functools.update_wrapper(runner, test)
    own = list(inspect.signature(test).parameters.values())
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    runner.__signature__ = inspect.Signature([*own, loop])  # type: ignore[attr-defined]
    del runner.__wrapped__
    return pytest.mark.parametrize("loop", sorted(LOOPS))(runner)


async def until(predicate: Callable[[], object]) -> None:
    """Wait until `predicate` holds."""
    while not predicate():
        await asyncio.sleep(0.002)
