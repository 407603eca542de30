"""Every supplier that lies in its answers, before the gateway's own checks."""

from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from adversaries.mislabeller import MislabellingRelays
from adversaries.overclaimer import EXTRA_TOKENS, OverclaimingRelays
from adversaries.parrot import ParrotRelays
from adversaries.tamperer import TamperingRelays
from adversaries.truncator import EVENTS_SENT, TruncatingRelays
from node.http import ClientResponse
from relay_mining import RelayResponse, Status, decode_response_header, decode_stream_frame, recover
from tests.factories import DOMAIN, OPERATOR_SIGNER, WEIGHTS
from tests.supplier.market import PROMPT_TOKENS, FakeEngine, RelayWorld, a_body, relay_world

pytestmark = pytest.mark.anyio


async def ask(world: RelayWorld, *, stream: bool = False) -> tuple[bytes, ClientResponse]:
    """The hash of a request and the answer to it."""
    body = a_body(stream=stream)
    signed = world.sign(body)
    return DOMAIN.digest(signed.request), await world.post(body, signed)


def read_plain(request_hash: bytes, answer: ClientResponse) -> tuple[RelayResponse, bool]:
    """The response, and whether the supplier's signature is for the body that came."""
    header = answer.headers.get(b"lode-response")
    assert header is not None
    body_hash = sha256(answer.body).digest()
    signed = decode_response_header(header.decode(), request_hash, body_hash)
    signatory = recover(DOMAIN.digest(signed.response), signed.signature)
    return signed.response, signatory == OPERATOR_SIGNER.address


async def test_inflated_counts_are_signed_within_what_was_reserved(tmp_path: Path) -> None:
    async with relay_world(tmp_path, relay_server=OverclaimingRelays) as world:
        response, is_signed = read_plain(*await ask(world))

    assert is_signed
    assert response.output_tokens == 4 + EXTRA_TOKENS
    assert WEIGHTS.units(PROMPT_TOKENS, 0, 4) < response.units <= 10_000


async def test_a_tampered_body_is_not_the_signed_one(tmp_path: Path) -> None:
    async with relay_world(tmp_path, relay_server=TamperingRelays) as world:
        _, is_signed = read_plain(*await ask(world))

    assert not is_signed


async def test_a_truncated_stream_is_paid_for_what_was_sent(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=50)
    async with relay_world(tmp_path, relay_server=TruncatingRelays, engine=engine) as world:
        request_hash, answer = await ask(world, stream=True)

    at = answer.body.index(b": lode-response ")
    end = answer.body.index(b"\n\n", at) + 2
    streamed, frame, tail = answer.body[:at], answer.body[at:end], answer.body[end:]
    response = decode_stream_frame(frame, request_hash, sha256(streamed).digest()).response
    assert tail == b"data: [DONE]\n\n"
    assert response.status is Status.OK
    assert streamed.count(b"data: ") == EVENTS_SENT
    assert response.output_tokens == EVENTS_SENT


async def test_a_wrong_finish_reason_changes_no_units(tmp_path: Path) -> None:
    async with relay_world(tmp_path, relay_server=MislabellingRelays) as world:
        request_hash, answer = await ask(world)
        response, is_signed = read_plain(request_hash, answer)

    assert is_signed
    assert orjson.loads(answer.body)["choices"][0]["finish_reason"] == "length"
    assert response.units == WEIGHTS.units(PROMPT_TOKENS, 0, 4)


async def test_a_dead_engine_is_asked_once(tmp_path: Path) -> None:
    async with relay_world(tmp_path, relay_server=ParrotRelays) as world:
        answers = [await ask(world) for _ in range(3)]
        _, failed = await ask(world, stream=True)

    assert len(world.engine.bodies) == 1
    assert {each.body for _, each in answers} == {answers[0][1].body}
    assert all(is_signed for _, is_signed in map(read, answers))
    assert failed.status >= 500


def read(answer: tuple[bytes, ClientResponse]) -> tuple[RelayResponse, bool]:
    return read_plain(*answer)
