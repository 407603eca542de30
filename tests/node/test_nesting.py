"""How deep a JSON value is nested, whatever it is."""

from typing import Any

import pytest

from node.nesting import is_deeper


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value, "b": 2}
    return value


@pytest.mark.parametrize(
    ("value", "is_deep"),
    [(1, False), ("text", False), (None, False), ([], False), (nested(3), False), (nested(4), True),
     (nested(100_000), True), ([1, nested(4)], True)],
    ids=lambda each: "" if isinstance(each, list | dict) else str(each),
)  # fmt: skip
def test_depth_is_told_without_recursion(value: Any, is_deep: bool) -> None:
    assert is_deeper(value, 3) is is_deep
