"""Values that every relay makes anew: the type checker keeps them from changing, nothing else does.

A frozen dataclass asks for leave at each assignment of its own `__init__`, and takes five times as
long to make as a plain one. A relay makes some fifteen of them, with a hundred fields.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_class(cls: type[T]) -> type[T]:
    """Return a slotted, hashable dataclass that mypy takes for a frozen one."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
