"""Logs are JSON lines without secrets; metrics are what Prometheus reads."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from node.http import ClientPool
from node.keystore import PrivateKey
from node.telemetry import REDACTED, hide, metrics_handler, redact, setup_logging
from tests.node.loops import on_loops
from tests.node.wire import serving

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    root.handlers = []
    setup_logging(logging.DEBUG, stream)
    yield stream
    root.handlers, root.level = before, level
    logging.captureWarnings(False)


def last(stream: io.StringIO) -> dict[str, object]:
    line = json.loads(stream.getvalue().splitlines()[-1])
    assert isinstance(line, dict)
    return line


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        "0x" + KEY,
        KEY.upper(),
        f"key={KEY}!",
        f"Authorization: Bearer {KEY[:20]}",
        "authorization: bearer abc.def-ghi",
        "sk-lode-0123456789abcdef",
    ],
)
def test_likely_secrets_are_cut_out(text: str) -> None:
    clean = redact(text)
    assert REDACTED in clean
    assert KEY[:20] not in clean.lower()
    assert "abc.def" not in clean
    assert "0123456789abcdef" not in clean


def test_what_is_no_secret_stays() -> None:
    for text in ("", "0x" + "ab" * 20, "served 12 relays", "ab" * 31, "ab" * 33, "bearer"):
        assert redact(text) == text


def test_a_line_has_its_fields_and_hashes_pass_as_bytes(lines: io.StringIO) -> None:
    digest = bytes(range(32))
    logging.getLogger("supplier").info("claimed %d", 3, extra={"claim": digest, "value": 5})
    line = last(lines)
    assert (line["event"], line["claim"], line["value"]) == ("claimed 3", "0x" + digest.hex(), 5)
    assert (line["level"], line["logger"]) == ("info", "supplier")


def test_secrets_leave_by_no_door(lines: io.StringIO) -> None:
    key = PrivateKey(bytes.fromhex(KEY))
    hide("hunter22-password")
    log = logging.getLogger("x")
    fields = {
        "raw": key.reveal(),
        "operator": key,
        "password": "swordfish",
        "nested": {"api_key": "abcdefgh", "list": [key.reveal(), "0x" + KEY]},
        "text": "the password is hunter22-password",
    }
    log.warning("key %s", KEY, extra=fields)
    try:
        int(f"bad key {KEY} Bearer abcdef")
    except ValueError:
        log.exception("failed")
    text = lines.getvalue()
    for secret in (KEY, "swordfish", "abcdefgh", "hunter22-password", "abcdef\\"):
        assert secret not in text
    assert key.address.hex() in text
    assert len(text.splitlines()) == 2


def test_a_message_cannot_forge_a_line(lines: io.StringIO) -> None:
    logging.getLogger("x").info('a\n{"level": "error"}\u2028')
    assert len(lines.getvalue().splitlines()) == 1


@on_loops
async def test_metrics_are_served() -> None:
    registry = CollectorRegistry()
    Counter("relays", "Relays served.", registry=registry).inc(3)
    async with serving(metrics_handler(registry)) as server, ClientPool() as pool:
        url = f"http://127.0.0.1:{server.port}"
        answer = await pool.request("GET", url + "/metrics")
        assert (answer.status, b"relays_total 3.0" in answer.body) == (200, True)
        assert (answer.headers.get(b"content-type") or b"").startswith(b"text/plain; version=")
        assert (await pool.request("GET", url + "/")).status == 404
        assert (await pool.request("POST", url + "/metrics")).status == 405


def test_urls_of_questions_to_the_chain_stay_out_of_the_log(lines: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST %s", "https://rpc.example/v3/key")
    logging.getLogger("httpx").warning("kept")

    assert "rpc.example" not in lines.getvalue()
    assert last(lines)["event"] == "kept"
