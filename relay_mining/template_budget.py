"""What one rendering of a hostile template may still take: steps, output, and depth.

Nothing here looks at a clock, so a template spends the same on every machine.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jinja2.runtime import Context, LoopContext, Macro
from jinja2.utils import Namespace

BUDGET = "__budget__"
"""The name under which a rendering's budget lies in its context."""

TURN = 32
"""Steps of one loop turn, call, filter or test."""
PART = 8
"""Steps of one element of a list or mapping."""
CALLS_DEEP_MAX = 32
DEPTH_MAX = 64
INTEGER_MAX = 2**63


class BudgetError(Exception):
    """A template does what chat templates do not, or too much of it."""


class Budget:
    """What is left of one rendering's steps and output."""

    __slots__ = ("_calls_deep", "_output", "_steps")

    def __init__(self, steps: int, output: int) -> None:
        self._calls_deep = 0
        self._steps = steps
        self._output = output

    def grant(self, steps_per_char: int, inputs: Any) -> None:
        """Add steps in proportion to the size of the inputs, which are the client's."""
        self._steps += steps_per_char * size_of(inputs, 1 << 62)

    def spend(self, steps: int) -> None:
        """Pay for so many steps (BudgetError where they are not there)."""
        self._steps -= steps
        if self._steps < 0:
            raise BudgetError("too many steps")

    def charge(self, *values: Any) -> None:
        """Pay for reading values through and through, shared parts each time they are met."""
        for value in values:
            self.spend(size_of(value, self._steps))

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Count one macro inside of another (BudgetError where they are too deep)."""
        if self._calls_deep == CALLS_DEEP_MAX:
            raise BudgetError("macros that call each other too deep")
        self._calls_deep += 1
        try:
            yield
        finally:
            self._calls_deep -= 1

    def meter_output(self, chunks: Iterable[str]) -> Iterator[str]:
        """Yield chunks of the output up to its limit (BudgetError beyond it)."""
        for chunk in chunks:
            self._output -= len(chunk)
            if self._output < 0:
                raise BudgetError("too much output")
            yield chunk


def size_of(value: Any, limit: int) -> int:
    """Characters and elements in a value; stops counting at `limit`."""
    size = 0
    stack = [(value, 0)]
    while stack and size <= limit:
        part, depth = stack.pop()
        size += PART if depth else 1
        if isinstance(part, (str, range)):
            size += len(part)
        elif isinstance(part, Mapping):
            stack += [(item, depth + 1) for pair in part.items() for item in pair]
        elif isinstance(part, (list, tuple, set, frozenset)):
            stack += [(item, depth + 1) for item in part]
        elif isinstance(part, int) and abs(part) >= INTEGER_MAX:
            raise BudgetError("a number that does not fit 64 bits")
        elif depth and isinstance(part, (Namespace, Macro, LoopContext, Iterator)):
            raise BudgetError("a namespace, macro or iterator inside of a value")
        if depth > DEPTH_MAX:
            raise BudgetError(f"values nested deeper than {DEPTH_MAX}")
    return size


def budget_of(context: Context) -> Budget:
    budget = context.parent.get(BUDGET)
    if not isinstance(budget, Budget):
        raise BudgetError("the template hides its budget")
    return budget
