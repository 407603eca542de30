"""Relays over real sockets: served and signed; every bad one refused, leaving nothing."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay_mining import (
    Cancel,
    SignedCancel,
    Signer,
    Status,
    decode_response_header,
    decode_stream_frame,
    encode_cancel,
    keccak,
)
from tests.factories import DOMAIN, GATEWAY_SIGNER, WEIGHTS, a_session, an_address
from tests.supplier.market import (
    CREDIT,
    PROMPT_TOKENS,
    FakeEngine,
    FakeMarket,
    RelayWorld,
    a_body,
    relay_world,
    until,
)

pytestmark = pytest.mark.anyio
STRANGER = Signer(keccak(b"a stranger's key"))


def split_stream(body: bytes) -> tuple[bytes, bytes, bytes]:
    """What was streamed, the frame and the tail of a signed stream."""
    at = body.index(b": lode-response ")
    end = body.index(b"\n\n", at) + 2
    return body[:at], body[at:end], body[end:]


def assert_untouched(world: RelayWorld) -> None:
    assert world.engine.bodies == []
    for book in world.books.sessions.values():
        assert book.relays == {}
        assert book.nonces == set()
        assert book.meter.reserved == 0
    assert all(each.line.outstanding == 0 for each in world.books.accounts.values())


async def test_a_plain_relay_is_forwarded_unchanged_and_signed(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        body = a_body()
        _, response = await world.relay(body)

        assert world.engine.bodies == [body]
        assert response.response.status is Status.OK
        assert response.response.units == WEIGHTS.units(PROMPT_TOKENS, 0, 4)


async def test_a_stream_is_signed_before_its_done(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        body = a_body(stream=True)
        signed = world.sign(body)
        answer = await world.post(body, signed)

        streamed, frame, tail = split_stream(answer.body)
        response = decode_stream_frame(
            frame, DOMAIN.digest(signed.request), sha256(streamed).digest()
        ).response
        assert tail == b"data: [DONE]\n\n"
        assert (response.status, response.output_tokens) == (Status.OK, 4)
        assert streamed.count(b"data: ") == 5


async def test_a_stream_is_cut_when_its_units_are_spent(tmp_path: Path) -> None:
    budget = WEIGHTS.units(PROMPT_TOKENS, 0, 2)
    async with relay_world(tmp_path, engine=FakeEngine(tokens=50)) as world:
        body = a_body(stream=True, max_tokens=1)
        signed = world.sign(body, max_units=budget)
        streamed, frame, _ = split_stream((await world.post(body, signed)).body)
        response = decode_stream_frame(
            frame, DOMAIN.digest(signed.request), sha256(streamed).digest()
        ).response

    assert (response.status, response.units) == (Status.LENGTH, budget)
    assert streamed.count(b"data: ") == 2


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "wrong signer": ({"signer": STRANGER}, 401, "wrong_signer"),
    "other body": ({"body_hash": bytes(32)}, 401, "wrong_signer"),
    "expired": ({"expiry": 1}, 400, "relay_expired"),
    "expires too late": ({"expiry": 2**63}, 400, "relay_expired"),
    "other supplier": ({"supplier": an_address("other")}, 421, "wrong_supplier"),
    "old session": ({"session": a_session(number=6)}, 409, "wrong_session"),
    "future session": ({"session": a_session(number=8)}, 409, "wrong_session"),
    "not a member": (
        {"session": a_session(application=an_address("not drawn"))}, 403, "not_a_member"
    ),
    "other service": (
        {"session": replace(a_session(), service=bytes(32))}, 409, "wrong_session"
    ),
    "one unit short": (
        {"max_units": WEIGHTS.units(0, 0, 8) - 1}, 422, "max_units_too_small"
    ),
    "over credit": ({"max_units": 1_000_001}, 402, "credit_exhausted"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_relay_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    fields, status, code = BAD[name]
    market = FakeMarket(strangers={an_address("not drawn")})
    async with relay_world(tmp_path, market=market) as world:
        body = a_body()
        answer = await world.post(body, world.sign(body, **fields))

        assert (answer.status, orjson.loads(answer.body)["error"]["code"]) == (status, code)
        assert answer.headers.get(b"lode-response") is None
        assert_untouched(world)


async def test_a_gateway_that_sees_the_head_later_is_served_over_the_boundary(
    tmp_path: Path,
) -> None:
    """In the session that it still sees, where that was open here; its receipts are taken."""
    async with relay_world(tmp_path) as world:
        market, body, old = world.market, a_body(), a_session(number=7)
        await world.relay(session=old)
        market.current, market.is_new = 8, True
        late = await world.relay(session=old)
        assert (await world.deliver(world.receipt(*late))).status == 200
        never_open = a_session(number=7, application=an_address("another"))
        assert (await world.post(body, world.sign(body, session=never_open))).status == 409

        market.is_new = False
        assert (await world.post(body, world.sign(body, session=old))).status == 409


@pytest.mark.parametrize("header", [b"", b"AAAA", b"!" * 300, b"A" * 340])
async def test_a_malformed_header_is_refused(tmp_path: Path, header: bytes) -> None:
    async with relay_world(tmp_path) as world:
        answer = await world.pool.request(
            b"POST", world.url + "/v1/chat/completions", ((b"lode-request", header),), a_body()
        )
        assert (answer.status, b"malformed_relay" in answer.body) == (400, True)
        assert_untouched(world)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"max_tokens":-1}', b'{"n":"2"}', b'{"max_tokens":4294967296}']
)
async def test_a_malformed_body_is_refused(tmp_path: Path, body: bytes) -> None:
    async with relay_world(tmp_path) as world:
        answer = await world.post(body, world.sign(body))
        assert (answer.status, b"malformed_relay" in answer.body) == (400, True)
        assert_untouched(world)


@pytest.mark.parametrize(("size", "status"), [(10 << 20, 200), ((10 << 20) + 1, 413)])
async def test_a_body_is_bounded(tmp_path: Path, size: int, status: int) -> None:
    async with relay_world(tmp_path) as world:
        body = a_body()
        body += b" " * (size - len(body))
        answer = await world.post(body, world.sign(body))

        assert answer.status == status
        if status == 413:
            assert_untouched(world)


@pytest.mark.parametrize(("depth", "status"), [(32, 200), (33, 400), (100_000, 400)])
async def test_a_bodys_nesting_is_bounded(tmp_path: Path, depth: int, status: int) -> None:
    async with relay_world(tmp_path) as world:
        body = a_body()[:-1] + b',"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
        answer = await world.post(body, world.sign(body))

        assert answer.status == status
        if status == 400:
            assert orjson.loads(answer.body)["error"]["code"] == "malformed_relay"
            assert_untouched(world)


@pytest.mark.parametrize(("fee_bps", "status"), [(0, 200), (1_000, 200), (1_001, 403)])
async def test_a_gateway_fee_above_what_is_accepted_is_refused(
    tmp_path: Path, fee_bps: int, status: int
) -> None:
    async with relay_world(tmp_path, market=FakeMarket(fee_bps=fee_bps)) as world:
        body = a_body()
        answer = await world.post(body, world.sign(body))

        assert answer.status == status
        if status == 403:
            assert b"1001 basis points" in answer.body
            assert b"fee_too_high" in answer.body
            assert_untouched(world)


async def test_an_unsigned_request_and_an_unknown_path_are_refused(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        assert (await world.post(a_body(), None)).status == 400
        body = a_body()
        elsewhere = world.sign(body, path=b"/v1/models")
        assert (await world.post(body, elsewhere, b"/v1/models")).status == 404
        assert_untouched(world)


async def test_a_replay_is_refused_and_the_first_is_counted_once(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        body = a_body()
        signed = world.sign(body)
        assert (await world.post(body, signed)).status == 200
        again = await world.post(body, signed)

        assert (again.status, b"replayed_relay" in again.body) == (409, True)
        assert len(world.engine.bodies) == 1


async def test_the_slice_is_spent_in_weight(tmp_path: Path) -> None:
    market = FakeMarket(cap=3 * 20_000, target_leaves=1)  # a slice of 20,000 units, tau the same
    async with relay_world(tmp_path, market=market) as world:
        await world.relay()
        body = a_body()
        answer = await world.post(body, world.sign(body))

        assert (answer.status, b"slice_spent" in answer.body) == (429, True)


async def test_a_counted_prompt_must_be_covered(tmp_path: Path) -> None:
    async with relay_world(tmp_path, prompt_tokens=7) as world:
        body = a_body()
        exact = WEIGHTS.worst_case(7, 8)
        assert (await world.post(body, world.sign(body, max_units=exact - 1))).status == 422
        assert (await world.post(body, world.sign(body, max_units=exact))).status == 200


async def test_an_overdue_receipt_stops_the_credit_until_it_comes(tmp_path: Path) -> None:
    now = [__import__("time").time()]
    async with relay_world(tmp_path, clock=lambda: now[0]) as world:
        served = await world.relay()
        now[0] += CREDIT.receipt_due_s + 1
        body = a_body()
        signed = world.sign(body)
        assert (await world.post(body, signed)).status == 402
        assert (await world.deliver(world.receipt(*served))).status == 200
        assert (await world.post(body, signed)).status == 200


@pytest.mark.parametrize(
    ("fault", "status", "signed_as"),
    [
        ("500", 502, Status.UPSTREAM_ERROR),
        ("garbage", 502, Status.UPSTREAM_ERROR),
        ("400", 400, Status.REFUSED),
    ],
)
async def test_an_engine_that_fails_is_signed_as_unpaid(
    tmp_path: Path, fault: str, status: int, signed_as: Status
) -> None:
    async with relay_world(tmp_path, engine=FakeEngine(fault=fault)) as world:
        body = a_body()
        signed = world.sign(body)
        answer = await world.post(body, signed)
        header = answer.headers.get(b"lode-response")
        assert header is not None
        response = decode_response_header(
            header.decode(), DOMAIN.digest(signed.request), sha256(answer.body).digest()
        ).response

        assert (answer.status, response.status, response.units) == (status, signed_as, 0)
        assert world.books.sessions[signed.session.id].meter.reserved == 0


async def test_relays_are_refused_while_there_is_no_engine(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        url = world.station.url
        world.station.move(None)
        body = a_body()
        answer = await world.post(body, world.sign(body))
        assert (answer.status, orjson.loads(answer.body)["error"]["code"]) == (503, "supplier_busy")
        assert_untouched(world)
        world.station.move(url)
        await world.relay(body)


async def test_an_engine_that_is_too_slow_is_a_timeout(tmp_path: Path) -> None:
    engine = FakeEngine(gate=asyncio.Event())
    async with relay_world(tmp_path, engine=engine, engine_timeout_s=0.05) as world:
        body = a_body()
        answer = await world.post(body, world.sign(body))
        assert (answer.status, b"engine_timeout" in answer.body) == (504, True)


async def test_an_engine_that_dies_in_a_stream_is_signed_as_unpaid(tmp_path: Path) -> None:
    async with relay_world(tmp_path, engine=FakeEngine(fault="dies")) as world:
        body = a_body(stream=True)
        signed = world.sign(body)
        streamed, frame, _ = split_stream((await world.post(body, signed)).body)
        response = decode_stream_frame(
            frame, DOMAIN.digest(signed.request), sha256(streamed).digest()
        ).response
        assert (response.status, response.units) == (Status.UPSTREAM_ERROR, 0)


async def cancel(world: RelayWorld, request_hash: bytes, signer: Signer) -> Any:
    word = Cancel(request_hash)
    body = encode_cancel(SignedCancel(word, signer.sign(DOMAIN.digest(word))))
    return await world.pool.request(b"POST", world.url + "/lode/v1/cancel", (), body)


async def test_a_cancel_stops_the_engine_and_signs_the_prefix(tmp_path: Path) -> None:
    engine = FakeEngine(tokens=9, gate=asyncio.Event())
    async with relay_world(tmp_path, engine=engine) as world:
        body = a_body(stream=True, max_tokens=9)
        signed = world.sign(body)
        request_hash = DOMAIN.digest(signed.request)
        answer = asyncio.create_task(world.post(body, signed))
        await until(lambda: bool(world.relays.open) and world.engine.bodies != [])
        await until(lambda: world.relays.metrics.first_byte_s._sum.get() > 0)
        await asyncio.sleep(0.05)  # both events are on their way

        assert (await cancel(world, request_hash, STRANGER)).status == 401
        assert (await cancel(world, request_hash, GATEWAY_SIGNER)).status == 200
        streamed, frame, _ = split_stream((await answer).body)
        response = decode_stream_frame(frame, request_hash, sha256(streamed).digest()).response

        assert response.status is Status.CLIENT_ABORT
        assert response.output_tokens == streamed.count(b"data: ")
        assert response.units == WEIGHTS.units(PROMPT_TOKENS, 0, response.output_tokens)
        await until(lambda: engine.left == 1)


async def test_a_gateway_that_disconnects_stops_the_engine_and_may_ask_again(
    tmp_path: Path,
) -> None:
    engine = FakeEngine(tokens=9, gate=asyncio.Event())
    async with relay_world(tmp_path, engine=engine) as world:
        body = a_body(stream=True, max_tokens=9)
        signed = world.sign(body)
        from relay_mining import encode_request_header

        headers = ((b"lode-request", encode_request_header(signed).encode()),)
        url = world.url + "/v1/chat/completions"
        async with world.pool.stream(b"POST", url, headers, body) as stream:
            await anext(stream.chunks())
            stream.abort()
        await until(lambda: engine.left == 1 and not world.relays.open)

        again = await cancel(world, DOMAIN.digest(signed.request), GATEWAY_SIGNER)
        assert again.status == 200
        assert again.headers.get(b"lode-response") is not None


async def test_strangers_cannot_make_it_ask_the_chain_without_end(tmp_path: Path) -> None:
    stranger = an_address("not drawn")
    market = FakeMarket(strangers={stranger})
    async with relay_world(tmp_path, market=market) as world:
        body = a_body()
        for _ in range(5):
            signed = world.sign(body, session=a_session(application=stranger))
            assert (await world.post(body, signed)).status == 403
        assert market.asked == 1


async def test_the_spec_and_its_files_are_shown(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        service = a_session().service.hex()
        spec = await world.pool.request(b"GET", world.url + "/lode/v1/spec")
        assert orjson.loads(spec.body)["services"][0]["spec"] == {"name": "m"}
        file = await world.pool.request(
            b"GET", f"{world.url}/lode/v1/spec/{service}/tokenizer.json"
        )
        assert file.body == b"{}"
        metrics = await world.pool.request(b"GET", world.url + "/metrics")
        assert b"supplier_funnel_units" in metrics.body
