"""How long a session is served while the chain is not seen."""

import pytest

from gateway.errors import NoSupplierError
from gateway.routing.market import is_over_by_pace
from gateway.routing.sessions import SessionTable
from tests.factories import APPLICATION
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway_session, a_service

HEAD, ENDS = 100, 110


@pytest.mark.parametrize(
    ("unseen_s", "block_s", "is_over"),
    [
        (0.0, 2.0, False),
        (19.9, 2.0, False),  # nine blocks are due: the last of the session is the newest
        (20.0, 2.0, True),
        (10_000.0, 0.0, False),  # a chain that mines on demand has no pace
    ],
)
def test_a_session_lasts_as_long_as_the_pace_of_blocks_says(
    unseen_s: float, block_s: float, is_over: bool
) -> None:
    assert is_over_by_pace(ENDS, HEAD, unseen_s, block_s) is is_over


def test_a_chain_that_failed_to_answer_once_ends_nothing() -> None:
    assert not is_over_by_pace(ENDS, ENDS + 1, 1.9, 2.0)


def test_a_closed_table_asks_to_be_tried_again_and_is_opened_again() -> None:
    session = a_gateway_session([(FakeSupplier("one"), "http://127.0.0.1:1")])
    table = SessionTable()
    table.replace(7, [session], {MODEL: a_service()})
    table.close()
    assert (table.is_ready, table.number) == (False, 7)
    with pytest.raises(NoSupplierError) as refused:
        table.find(APPLICATION, MODEL)
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    table.replace(8, [session], {MODEL: a_service()})
    assert table.find(APPLICATION, MODEL) is session
