"""Odd answers, faults, a stop and the end of the day: every line ends in one file, once."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.batch_lines import BatchResult, read_lines, read_results
from gateway.api.batch_run import BatchRunner
from gateway.api.file_store import DirectoryStore
from gateway.api.openai import Endpoint
from gateway.errors import InvalidParameterError
from gateway.routing.relaying import Call, Relays
from node.http import Request, Response, StreamWriter
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway
from tests.gateway.test_batches import CHAT, an_input, begin, finished, lines_of, with_batches


def test_a_line_that_two_gateways_answered_counts_once_and_its_answer_before_an_error(
    tmp_path: Path,
) -> None:
    store = DirectoryStore(tmp_path)
    runner = BatchRunner(None, None, store)  # type: ignore[arg-type]
    for part, is_error in enumerate((True, False, True)):
        store.put(f"b.{part}.part", BatchResult(5, is_error, b"%d" % part).encode())
    assert runner.read_parts("b") == [BatchResult(5, False, b"1")]


def with_breaks(answer: bytes, line_break: bytes) -> bytes:
    return answer.replace(b',"', b"," + line_break + b'"')


@dataclass
class Odd(FakeSupplier):
    """Signs its third answer in an odd form."""

    form: Callable[[bytes], bytes] = bytes

    def spoil(self, answer: bytes) -> bytes:
        return self.form(answer) if self.served == 3 else answer


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("form", "is_json"),
    [
        (lambda answer: with_breaks(answer, b"\n"), True),
        (lambda answer: with_breaks(answer, b"\r"), True),
        (lambda answer: with_breaks(answer, b"\r\n"), True),
        (lambda answer: answer[:-1], False),
        (lambda answer: with_breaks(answer[:-1], b"\n"), False),
    ],
)
async def test_an_odd_answer_is_one_line_of_one_file(
    tmp_path: Path, form: Callable[[bytes], bytes], is_json: bool
) -> None:
    fake = Odd("one", form=form)
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway, width=1) as batches,
    ):
        batch = await begin(client, an_input(3))
        async with asyncio.timeout(30):
            while batch.id in batches._tasks:
                assert (await client.batches.list()).data[0].id == batch.id
        done = await client.batches.retrieve(batch.id)
        counts = done.request_counts
        assert (done.status, counts.completed, counts.failed) == (
            "completed", 2 + is_json, 1 - is_json,
        )  # fmt: skip
        lines = await lines_of(client, done.output_file_id)
        assert len(lines) == counts.completed
        assert {str(each["response"]["body"]["choices"]) for each in lines} == {
            str(lines[0]["response"]["body"]["choices"])
        }
        if not is_json:
            (said,) = await lines_of(client, done.error_file_id)
            assert said["custom_id"] == "line-2"
            assert said["response"]["body"]["error"]["code"] == "upstream_invalid"
        assert fake.served == 3


@pytest.mark.anyio
async def test_a_line_that_breaks_the_gateway_is_an_error_and_the_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    relay = Relays.relay

    async def break_at(relays: Relays, call: Call, endpoint: Endpoint) -> Any:
        if b"hi 1" in call.body:
            raise RuntimeError("a bug")
        return await relay(relays, call, endpoint)

    monkeypatch.setattr(Relays, "relay", break_at)
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        gateway.client() as client,
        with_batches(gateway),
    ):
        done = await finished(client, (await begin(client, an_input(3))).id)
        assert (done.request_counts.completed, done.request_counts.failed) == (2, 1)
        (error,) = await lines_of(client, done.error_file_id)
        response = error["response"]
        assert (response["status_code"], response["body"]["error"]["code"]) == (
            500, "internal_error",
        )  # fmt: skip
        (record,) = [each for each in caplog.records if each.message == "a line failed"]
        assert record.__dict__["request"] == response["request_id"]
        assert "a bug" in caplog.text


@pytest.mark.anyio
async def test_a_damaged_part_is_no_answer_and_no_batch_is_hidden_by_it(tmp_path: Path) -> None:
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        gateway.client() as client,
        with_batches(gateway) as batches,
    ):
        batches.runner.yield_above = 0
        batch = await begin(client, an_input(3))
        part = b'nonsense\n1\t0\n2\t1\t{}\n0\t0\t{"cut off'
        batches.runner.store.put(f"{batch.id}.0.part", part)
        assert [each.id async for each in await client.batches.list()] == [batch.id]
        counts = (await client.batches.retrieve(batch.id)).request_counts
        assert (counts.total, counts.completed, counts.failed) == (3, 0, 1)


@dataclass
class Halting(FakeSupplier):
    """Answers so many and no more, until it is told to go on."""

    most: int = 2
    is_held: bool = False

    async def relay(self, request: Request) -> Response | StreamWriter:
        if self.served == self.most:
            self.is_held = True
            await request.disconnected
            return Response(500)
        return await super().relay(request)


@pytest.mark.anyio
async def test_a_stop_keeps_every_line_that_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.batch_run.PART_S", 60)
    fake = Halting("one")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        async with with_batches(gateway, width=1) as batches:
            batch = await begin(client, an_input(5))
            async with asyncio.timeout(30):
                while not fake.is_held:
                    await asyncio.sleep(0.01)
            assert batches.runner.read_parts(batch.id) == []
        assert [each.number for each in batches.runner.read_parts(batch.id)] == [0, 1]
        fake.most = 5
        monkeypatch.setattr("gateway.api.batch_run.PART_S", 0.1)
        async with with_batches(gateway):
            done = await finished(client, batch.id)
        assert (done.request_counts.completed, fake.served) == (5, 5)


class LaterClock:
    """The time of the runner of batches, `ahead_s` seconds from now."""

    ahead_s = 0.0
    time_ns = staticmethod(time.time_ns)

    @classmethod
    def time(cls) -> float:
        return time.time() + cls.ahead_s


@pytest.mark.anyio
async def test_the_lines_that_an_expired_batch_has_left_are_among_its_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.batch_run.time", LaterClock)
    fake = Halting("one")
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway, width=1),
    ):
        batch = await begin(client, an_input(5))
        async with asyncio.timeout(30):
            while not fake.is_held:
                await asyncio.sleep(0.01)
        monkeypatch.setattr(LaterClock, "ahead_s", 86_401.0)
        done = await finished(client, batch.id)
        counts = done.request_counts
        assert (done.status, counts.total, counts.completed, counts.failed) == ("expired", 5, 2, 3)
        output = await lines_of(client, done.output_file_id)
        errors = await lines_of(client, done.error_file_id)
        assert [each["custom_id"] for each in output + errors] == [f"line-{i}" for i in range(5)]
        assert {each["response"] for each in errors} == {None}
        assert {str(each["error"]) for each in errors} == {
            "{'code': 'batch_expired', 'message': 'This request could not be executed before the "
            "completion window expired.'}"
        }


@pytest.mark.parametrize("depth", [63, 300, 900])
def test_a_line_that_is_nested_without_end_is_its_own_fault(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    body = b'{"custom_id":"a","method":"POST","url":"%b","body":{"model":%b}}'
    (line,) = read_lines(body % (CHAT.encode(), nested), CHAT)
    assert isinstance(line.error, InvalidParameterError)
    assert line.custom_id == "a"


@given(st.binary(max_size=60))
def test_any_part_is_read(part: bytes) -> None:
    for each in read_results(part):
        assert each.encode() in part
        assert b"\n" not in each.line
