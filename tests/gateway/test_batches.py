"""Files and batches with the official client: every line answered once, after a kill too."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.batch_documents import BatchDocuments
from gateway.api.batch_lines import LINES_MAX, BatchResult, join_results, read_lines, read_results
from gateway.api.batch_run import TRIES_MAX, YIELD_S, BatchRunner
from gateway.api.batches import Batches
from gateway.api.file_store import DirectoryStore
from gateway.api.files import Files
from gateway.api.leases import HELD_S, Leases
from gateway.api.multipart import read_form
from gateway.api.openai import Endpoint
from gateway.errors import (
    InvalidParameterError,
    MalformedBodyError,
    NoSupplierError,
    RateLimitedError,
)
from gateway.routing.relaying import Call, Relays
from node.http import Request, Response, StreamWriter, serve
from tests.factories import APPLICATION
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

CHAT = "/v1/chat/completions"


def an_input(count: int, **members: Any) -> bytes:
    lines = [
        {"custom_id": f"line-{i}", "method": "POST", "url": CHAT, "body": {
            "model": MODEL, "messages": [{"role": "user", "content": f"hi {i}"}],
            "max_tokens": 50, **members,
        }}
        for i in range(count)
    ]  # fmt: skip
    return b"".join(orjson.dumps(each) + b"\n" for each in lines)


@asynccontextmanager
async def with_batches(
    gateway: Gateway, width: int = 4, holder: str = "", folder: Path | None = None
) -> AsyncIterator[Batches]:
    """What a started gateway has beside its relays."""
    relays, folder = gateway.plane.relays, folder or gateway.data_dir
    store = DirectoryStore(folder / "batches")
    files = Files(relays.admission, DirectoryStore(folder / "files"))
    runner = BatchRunner(relays, gateway.accounts, store, width=width)
    batches = Batches(relays.admission, files, BatchDocuments(store), runner, Leases(store, holder))
    gateway.plane.mount_all(b"/v1/files", files.answer)
    gateway.plane.mount_all(b"/v1/batches", batches.answer)
    task = asyncio.create_task(batches.run())
    try:
        yield batches
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def finished(client: openai.AsyncOpenAI, batch_id: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            batch = await client.batches.retrieve(batch_id)
            if batch.status not in ("in_progress", "cancelling"):
                return batch
            await asyncio.sleep(0.05)


async def begin(client: openai.AsyncOpenAI, data: bytes, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    file = await client.files.create(
        file=("in.jsonl", io.BytesIO(data)), purpose="batch", extra_headers=named
    )
    return await client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"a": "b"},
        extra_headers=named,
    )  # fmt: skip


async def lines_of(client: openai.AsyncOpenAI, file_id: str) -> list[Any]:
    """The lines of a file, by the line breaks of JSON lines alone."""
    content = (await client.files.content(file_id)).content
    return [orjson.loads(each) for each in content.removesuffix(b"\n").split(b"\n")]


@pytest.mark.anyio
async def test_a_batch_answers_each_line_once_and_says_what_failed(tmp_path: Path) -> None:
    fake = FakeSupplier("one")
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway),
    ):
        bad = orjson.dumps({"custom_id": "bad", "method": "POST", "url": CHAT, "body": {}})
        twice = an_input(1)
        batch = await begin(client, an_input(9) + bad + b"\nnonsense\n" + twice)
        done = await finished(client, batch.id)
        assert (done.status, done.metadata) == ("completed", {"a": "b"})
        counts = done.request_counts
        assert (counts.total, counts.completed, counts.failed) == (12, 9, 3)
        output = (await client.files.content(done.output_file_id)).text.splitlines()
        answers = [orjson.loads(each) for each in output]
        assert [each["custom_id"] for each in answers] == [f"line-{i}" for i in range(9)]
        for each in answers:
            body = each["response"]["body"]
            assert body["choices"][0]["message"]["content"] == "Hello, world"
            assert body["usage"]["cost"] > 0
        errors = (await client.files.content(done.error_file_id)).text.splitlines()
        codes = [orjson.loads(each)["response"]["body"]["error"]["code"] for each in errors]
        assert codes == ["missing_required_parameter", "invalid_value", "invalid_value"]
        assert [each.id async for each in await client.batches.list()] == [batch.id]
        await gateway.settled()
        assert len(fake.receipts) == fake.served == 9


@pytest.mark.anyio
async def test_files_are_their_keys_own(tmp_path: Path) -> None:
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        gateway.client() as client,
        with_batches(gateway),
    ):
        data = an_input(1) + b"\r\n--x\xff\x00"
        file = await client.files.create(file=("a.jsonl", io.BytesIO(data)), purpose="batch")
        assert (file.bytes, file.filename) == (len(data), "a.jsonl")
        assert (await client.files.content(file.id)).content == data
        other, _ = gateway.keys.create("other", APPLICATION)
        gateway.accounts.load(gateway.keys.list())
        async with gateway.client(other) as stranger:
            assert (await stranger.files.list()).data == []
            for call in (
                stranger.files.retrieve(file.id), stranger.files.delete(file.id),
                stranger.files.content(file.id), stranger.batches.retrieve("batch_1"),
            ):  # fmt: skip
                with pytest.raises(openai.NotFoundError):
                    await call
        assert [each.id for each in (await client.files.list()).data] == [file.id]
        assert (await client.files.delete(file.id)).deleted
        with pytest.raises(openai.BadRequestError, match="purpose"):
            await client.files.create(file=("a", io.BytesIO(b"x")), purpose="vision")
        with pytest.raises(openai.BadRequestError, match="endpoint"):
            await client.batches.create(
                input_file_id=file.id, endpoint="/v1/nothing",  # type: ignore[arg-type]
                completion_window="24h",
            )  # fmt: skip


@pytest.mark.anyio
async def test_a_cancelled_batch_keeps_what_was_answered(tmp_path: Path) -> None:
    fake = FakeSupplier("one")
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway, width=1),
    ):
        batch = await begin(client, an_input(200))
        async with asyncio.timeout(30):
            while fake.served < 3:
                await asyncio.sleep(0.01)
        await client.batches.cancel(batch.id)
        done = await finished(client, batch.id)
        assert done.status == "cancelled"
        output = (await client.files.content(done.output_file_id)).text.splitlines()
        counts = done.request_counts
        assert len(output) == counts.completed == fake.served < 200
        errors = await lines_of(client, done.error_file_id)
        assert len(errors) == counts.failed == counts.total - counts.completed
        assert errors[-1]["custom_id"] == "line-199"
        assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Counter[float]:
    """How often something paused for so many seconds."""
    sleep, seen = asyncio.sleep, Counter[float]()

    async def counted(seconds: float) -> None:
        seen[seconds] += 1
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", counted)
    return seen


async def held_up(lines: int, pauses: Counter[float]) -> None:
    """Return when each of the lines has looked again and again, and was not let through."""
    async with asyncio.timeout(30):
        while pauses[YIELD_S] < 5 * lines:
            await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_a_batch_waits_while_clients_wait(tmp_path: Path, pauses: Counter[float]) -> None:
    fake = FakeSupplier("one")
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway) as batches,
    ):
        batches.runner.yield_above = 1
        gateway.plane.relays.in_flight = 1
        batch = await begin(client, an_input(3))
        await held_up(3, pauses)
        assert fake.served == 0
        gateway.plane.relays.in_flight = 0
        assert (await finished(client, batch.id)).request_counts.completed == 3


@pytest.mark.anyio
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_batch_waits_while_no_session_is_open(
    tmp_path: Path, pauses: Counter[float], is_cancelled: bool
) -> None:
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        gateway.client() as client,
        with_batches(gateway) as batches,
    ):
        table = gateway.table
        number, sessions, models = table.number, [*table.sessions.values()], table.models
        table.close()
        batch = await begin(client, an_input(3))
        await held_up(3, pauses)
        assert batches.runner.read_parts(batch.id) == []
        if is_cancelled:
            await client.batches.cancel(batch.id)
            assert (await finished(client, batch.id)).status == "cancelled"
        else:
            table.replace(number, sessions, models)
            assert (await finished(client, batch.id)).request_counts.completed == 3


@pytest.mark.anyio
async def test_of_batches_that_are_over_the_last_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.batch_documents.KEPT_MAX", 2)
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        gateway.client() as client,
        with_batches(gateway) as batches,
    ):
        made = []
        for _ in range(4):
            made.append(await begin(client, an_input(1)))
            await finished(client, made[-1].id)
        batches.runner.yield_above = 0
        made.append(await begin(client, an_input(1)))  # which goes on for as long as one looks
        await batches.look()
        kept = {each.id async for each in await client.batches.list()}
        assert kept == {each.id for each in made[-2:]}
        with pytest.raises(openai.NotFoundError):
            await client.batches.retrieve(made[0].id)
        await batches.look()
        assert len(batches.documents._over) == 1


@pytest.mark.anyio
async def test_a_batch_whose_file_is_deleted_before_it_is_taken_up_again_has_failed(
    tmp_path: Path,
) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, gateway.client() as client:
        async with with_batches(gateway) as batches:
            batches.runner.yield_above = 0
            batch = await begin(client, an_input(3))
        await client.files.delete(batch.input_file_id)
        async with with_batches(gateway):
            done = await finished(client, batch.id)
        assert (done.status, done.output_file_id) == ("failed", None)
        assert (done.request_counts.total, done.failed_at is None) == (3, False)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [429, 503])
async def test_a_line_is_asked_until_it_is_let_in_and_holds_up_no_other(
    tmp_path: Path, pauses: Counter[float], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    pause_s = 0.0123
    monkeypatch.setattr("gateway.api.batch_run.WAIT_S_MAX", pause_s)
    relay, is_refused = Relays.relay, True

    async def refuse(relays: Relays, call: Call, endpoint: Endpoint) -> Any:
        if is_refused and b"hi 0" in call.body:
            raise RateLimitedError("later", 3600) if status == 429 else NoSupplierError("later")
        return await relay(relays, call, endpoint)

    monkeypatch.setattr(Relays, "relay", refuse)
    fake = FakeSupplier("one")
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway, width=1),
    ):
        batch = await begin(client, an_input(5))
        async with asyncio.timeout(30):
            while fake.served < 4 or pauses[pause_s] < 3 * TRIES_MAX:
                await asyncio.sleep(0.01)
        is_refused = False
        done = await finished(client, batch.id)
        assert (done.request_counts.completed, fake.served) == (5, 5)


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway
from tests.gateway.test_batches import an_input, begin, with_batches

async def main():
    fake = FakeSupplier("one")
    async with a_gateway(Path(sys.argv[1]), fake, url=sys.argv[2]) as node, node.client() as client:
        async with with_batches(node):
            print(node.key, (await begin(client, an_input(300))).id, flush=True)
            await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.anyio
async def test_kill_9_loses_no_line_and_doubles_none(tmp_path: Path) -> None:
    fake = FakeSupplier("one")
    killed = asyncio.Event()

    async def stop_in_the_middle(request: Request) -> Response | StreamWriter:
        if fake.served >= 150:
            await killed.wait()
        return await fake.handle(request)

    async with AsyncExitStack() as stack:
        server = await serve(stop_in_the_middle, "127.0.0.1", 0)
        stack.push_async_callback(server.close, 0)
        url = f"http://127.0.0.1:{server.port}"
        child = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", CHILD, str(tmp_path), url], stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2], start_new_session=True, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        stack.callback(child.stdout.close)
        stack.callback(child.kill)
        key, batch_id = (await asyncio.to_thread(child.stdout.readline)).split()
        store = DirectoryStore(tmp_path / "batches")
        async with asyncio.timeout(60):
            while not store.names(".part"):
                await asyncio.sleep(0.01)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        before = fake.served
        assert before < 300
        killed.set()
        gateway = await stack.enter_async_context(a_gateway(tmp_path, fake, url=url))
        client = await stack.enter_async_context(gateway.client(key))
        await stack.enter_async_context(with_batches(gateway))
        done = await finished(client, batch_id)
        assert (done.status, done.request_counts.completed) == ("completed", 300)
        output = (await client.files.content(done.output_file_id)).text.splitlines()
        names = Counter(orjson.loads(each)["custom_id"] for each in output)
        assert names == {f"line-{i}": 1 for i in range(300)}
        assert fake.served < 300 + before, "what was kept is not asked again"
        async with asyncio.timeout(10):
            while store.names(".part"):
                await asyncio.sleep(0.01)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.binary(max_size=9)), max_size=20))
def test_results_come_back_from_their_parts(found: list[tuple[int, bool, bytes]]) -> None:
    results = [BatchResult(n, failed, orjson.dumps(line.hex())) for n, failed, line in found]
    part = b"".join(each.encode() for each in results)
    assert list(read_results(part)) == results
    lines = join_results(results, is_error=False).splitlines()
    assert len(lines) == len({each.number for each in results if not each.is_error})


@pytest.mark.parametrize("count", [0, LINES_MAX + 1])
def test_lines_are_bounded(count: int) -> None:
    with pytest.raises(InvalidParameterError, match=f"{count} lines"):
        read_lines(b"{}\n" * count, CHAT)


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_form_is_read_or_refused(body: bytes, kind: bytes) -> None:
    for content_type in (kind, b"multipart/form-data; boundary=x"):
        try:
            read_form(content_type, body)
        except MalformedBodyError as error:
            assert error.status == 400


@given(st.binary(max_size=200).filter(lambda data: b"\r\n--b" not in b"\r\n" + data))
def test_a_form_holds_a_file_byte_for_byte(data: bytes) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + data
    form = read_form(b'multipart/form-data; boundary="b"', body + b"\r\n--b--\r\n")
    assert (form["file"].data, form["file"].filename) == (data, "a")


@pytest.mark.anyio
async def test_of_two_gateways_one_answers_a_batch_and_the_other_takes_over_where_it_dies(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "shared"
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(a_gateway(tmp_path / name, FakeSupplier(name)))
            for name in ("one", "two")
        ]
        row = one.keys.list()[0]
        two.accounts.load([row])
        first, second = [
            await stack.enter_async_context(with_batches(each, 2, name, shared))
            for each, name in ((one, "one"), (two, "two"))
        ]
        async with one.client() as here, two.client(one.key) as there:
            one.suppliers[0].lie = "hang"
            batch = await begin(here, an_input(8))
            await second.look()
            assert (await there.batches.retrieve(batch.id)).status == "in_progress"
            assert second.leases.take(batch.id) is False
            second.leases.now = lambda: time.time() + HELD_S + 1  # the first says nothing for long
            await second.look()
            await first.look()  # which sees that it has lost the batch
            done = await finished(there, batch.id)
            assert done.status == "completed"
            output = await there.files.content(done.output_file_id)
            lines = [orjson.loads(each)["custom_id"] for each in output.content.splitlines()]
            assert lines == [f"line-{i}" for i in range(8)]
            assert two.suppliers[0].served == 8
            async with asyncio.timeout(10):  # given back once the batch's end is written
                while list((shared / "batches").glob("*.lease")):
                    await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_a_batch_is_cancelled_at_any_gateway(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(a_gateway(tmp_path / name, FakeSupplier(name)))
            for name in ("one", "two")
        ]
        two.accounts.load([one.keys.list()[0]])
        first, _ = [
            await stack.enter_async_context(with_batches(each, 1, name, shared))
            for each, name in ((one, "one"), (two, "two"))
        ]
        async with one.client() as here, two.client(one.key) as there:
            batch = await begin(here, an_input(500))
            assert (await there.batches.cancel(batch.id)).status == "cancelling"
            await first.look()
            assert (await finished(there, batch.id)).status == "cancelled"


def test_a_lease_is_one_holders_until_it_runs_out(tmp_path: Path) -> None:
    store, now = DirectoryStore(tmp_path), [1000.0]
    one, two, three = [Leases(store, name, lambda: now[0]) for name in ("one", "two", "three")]
    assert one.take("batch")
    assert not two.take("batch")
    now[0] += HELD_S - 1
    assert one.renew("batch")
    now[0] += HELD_S - 1
    assert not two.take("batch")
    assert Leases(store, "one", lambda: now[0]).take("batch")  # the same one, started again
    now[0] += HELD_S + 1
    assert [two.take("batch"), three.take("batch")] == [True, False]
    assert not one.renew("batch")
    one.release("batch")
    assert two.renew("batch")
    two.release("batch")
    assert three.take("batch")
