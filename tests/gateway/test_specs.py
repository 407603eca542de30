"""Specs come from strangers: a hostile one is refused, and the next supplier's copy taken."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts import Market
from contracts.service import Service
from gateway.errors import UpstreamInvalidError
from gateway.routing.loading import SessionLoader
from gateway.routing.market import Refresher
from gateway.routing.sessions import SessionTable
from gateway.routing.specs import DEPTH_MAX, SpecLibrary, find_spec
from gateway.routing.upstream import read_error
from gateway.settlement.recounting import RecountWorker
from node.http import ClientPool, Request, Response, serve
from supplier.engines import (
    EngineSpec,
    compute_service_spec,
    encode_service_spec,
    hash_service_spec,
)
from tests.factories import SERVICE, WEIGHTS
from tests.supplier.engines.parts import DEMO

SPEC = compute_service_spec(DEMO, EngineSpec("demo", "embedded"))
DEEP = b'{"a":' * 1000 + b"1" + b"}" * 1000


def wrapped(depth: int) -> Any:
    """The service's spec beside a value that is nested so deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"services": [{"spec": orjson.loads(encode_service_spec(SPEC))}], "more": value}


@pytest.fixture
def own_limit() -> Iterator[None]:
    """The recursion limit that Python has of its own; web3 lifts it a hundredfold."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("own_limit")
@pytest.mark.parametrize("document", [orjson.loads(DEEP), wrapped(DEPTH_MAX), [], {}, 1, "x", None])
def test_a_document_without_the_spec_or_too_deep_is_refused(document: Any) -> None:
    with pytest.raises(UpstreamInvalidError):
        find_spec(document, hash_service_spec(SPEC))


def test_a_spec_is_found_in_what_is_not_too_deep() -> None:
    assert find_spec(wrapped(DEPTH_MAX - 1), hash_service_spec(SPEC)).name == "demo"


@pytest.mark.usefixtures("own_limit")
@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":{"message":"no","code":429}}', "no", "429"),
        (b'{"error":"no"}', "no", ""),
        (b'{"error":{"message":%b,"code":{}}}' % DEEP, "", ""),
        (b'{"error":[%b]}' % DEEP, "", ""),
        (DEEP, "", ""),
        (b"<html>", "", ""),
    ],
    ids=range(6),
)
def test_of_an_error_what_is_text_is_read(body: bytes, message: str, code: str) -> None:
    found = read_error(body)
    assert (found["message"], found["code"]) == (message, code)


async def hostile(request: Request) -> Response:
    return Response(200, DEEP)


async def honest(request: Request) -> Response:
    if request.path == b"/lode/v1/spec":
        return Response(200, orjson.dumps(wrapped(1)))
    return Response(200, (DEMO / Path(request.path.decode()).name).read_bytes())


@pytest.mark.anyio
@pytest.mark.usefixtures("own_limit")
async def test_where_one_supplier_s_spec_is_hostile_the_next_one_s_is_taken() -> None:
    service = Service(bytes(20), hash_service_spec(SPEC), WEIGHTS, 0, bytes(20), "demo")
    servers = [await serve(each) for each in (hostile, honest)]
    worker = RecountWorker(30.0)
    try:
        async with ClientPool() as pool:
            library = SpecLibrary(pool, worker, {})
            urls = [f"http://127.0.0.1:{each.port}" for each in servers]
            view = await library.view(SERVICE, service, urls)
    finally:
        worker.close()
        for each in servers:
            await each.close(0)
    assert view.spec.name == "demo"


class Looks(Refresher):
    """A refresher whose first look fails, and whose second ends the test."""

    seen = 0

    async def step(self) -> None:
        self.seen += 1
        if self.seen == 1:
            raise RecursionError("what nobody foresaw")
        raise asyncio.CancelledError


@pytest.mark.anyio
async def test_a_look_that_fails_for_whatever_reason_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("gateway"), "propagate", True)
    nothing: Any = object()
    market: Market = nothing
    loader: SessionLoader = nothing
    looks = Looks(market, SessionTable(), loader, list, poll_s=0)

    with pytest.raises(asyncio.CancelledError):
        await looks.run()

    assert looks.seen == 2
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "what nobody foresaw" in str(record.exc_info[1])
