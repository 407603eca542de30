"""What never becomes a request is refused as all else is: in OpenAI's shape, with an id."""

from dataclasses import replace
from pathlib import Path

import openai
import orjson
import pytest

from gateway.api.body import RequestLimits
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway
from tests.node.loops import until
from tests.node.wire import Wire

pytestmark = pytest.mark.anyio
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
TOO_LONG = RequestLimits().body_bytes_max + 1


async def refused(gateway: Gateway, sent: bytes) -> tuple[int, str, dict[bytes, bytes]]:
    """The status, code and headers that bytes are answered with."""
    wire = await Wire.open(gateway.server.port)
    wire.send(sent)
    status, headers = await wire.head()
    error = orjson.loads(await wire.rest())["error"]
    await wire.close()
    assert set(error) == {"message", "type", "param", "code"}
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"x-request-id"].startswith(b"req_")
    return status, error["code"], headers


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (POST + b"content-length: %d\r\n\r\n" % TOO_LONG, 413, "body_too_large"),
        (POST + b"content-length: x\r\n\r\n", 400, "invalid_http"),
        (POST + b"x: %b\r\n\r\n" % (b"y" * (65 << 10)), 431, "headers_too_large"),
        (POST + b"expect: tea\r\ncontent-length: 1\r\n\r\na", 417, "expectation_failed"),
        (POST + b"transfer-encoding: gzip\r\n\r\n", 501, "not_implemented"),
    ],
)
async def test_what_cannot_be_read(tmp_path: Path, sent: bytes, status: int, code: str) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        assert (await refused(gateway, sent))[:2] == (status, code)


async def test_what_comes_too_slowly_and_what_is_one_too_many(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        usual = gateway.server.limits
        gateway.server.limits = replace(usual, head_s=0.1)
        assert (await refused(gateway, b"POST /"))[:2] == (408, "request_timeout")
        await until(lambda: gateway.server.connections == 0)
        gateway.server.limits = replace(usual, connections_max=1)
        held = await Wire.open(gateway.server.port)
        held.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await held.answer())[0] == 200
        status, code, headers = await refused(gateway, POST)
        assert (status, code, headers[b"retry-after"]) == (503, "gateway_full", b"1")
        await held.close()


async def test_the_official_client_is_told_that_its_body_is_too_large(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, gateway.client() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.completions.create(model=MODEL, prompt="x" * TOO_LONG)
        assert (caught.value.status_code, caught.value.code) == (413, "body_too_large")
        assert (caught.value.request_id or "").startswith("req_")
