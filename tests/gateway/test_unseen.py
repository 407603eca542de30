"""How long a session is served while the chain is not seen."""

import pytest

from gateway.errors import NoSupplierError
from gateway.routing.sessions import SessionTable
from tests.factories import APPLICATION
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway_session, a_service


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
