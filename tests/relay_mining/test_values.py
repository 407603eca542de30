"""What a `value_class` is at run time; that it does not change is mypy's to say."""

from dataclasses import replace

import pytest

from relay_mining import Ack


def test_a_value_is_equal_by_its_fields_hashable_and_slotted() -> None:
    ack = Ack(b"a" * 32)
    assert ack == Ack(b"a" * 32) != replace(ack, root=b"b" * 32)
    assert {ack: 1}[Ack(b"a" * 32)] == 1
    with pytest.raises(AttributeError):
        object.__setattr__(ack, "other", 1)
