"""When a session is over, to a gateway that sees the chain's head a little later."""

from typing import Any

import pytest

from supplier.mining.chain_view import GRACE_BLOCKS, ChainView
from tests.factories import CLOCK, SUPPLIER


@pytest.mark.parametrize(
    ("blocks", "has_ended"),
    [(-1, False), (0, True), (GRACE_BLOCKS - 1, True), (GRACE_BLOCKS, False)],
)
def test_a_session_has_just_ended_for_some_blocks(blocks: int, has_ended: bool) -> None:
    nowhere: Any = None
    view = ChainView(nowhere, SUPPLIER, 0, 0.01)
    view.clock, view.head = CLOCK, CLOCK.start(8) + blocks

    assert view.has_just_ended(7) == has_ended
    assert not view.has_just_ended(6)
    assert not view.has_just_ended(8)
