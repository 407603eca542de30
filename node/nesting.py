"""How deep a parsed JSON value is nested, found without recursion."""

from typing import Any

CONTAINERS_MAX = 1_000_000


def is_deeper(value: object, depth_max: int) -> bool:
    """Whether a value is nested deeper than `depth_max` containers, or too wide to tell."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(depth_max):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
        if len(level) > CONTAINERS_MAX:
            break
    return True
