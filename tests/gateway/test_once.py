"""An idempotency key gets one charge and one answer, at the same time, later, after a kill."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.api_keys import KeyTerms
from gateway.api.file_store import DirectoryStore
from gateway.api.room import Room
from gateway.api.tape import Tape
from gateway.settlement.spool import Spool
from node.http import serve
from tests.factories import APPLICATION
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Clock, Gateway, a_gateway

pytestmark = pytest.mark.anyio
HI = [{"role": "user", "content": "hi"}]


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def post(
    gateway: Gateway, idempotency_key: str = "k1", key: str | None = None, **members: Any
) -> httpx.Response:
    body = {"model": MODEL, "messages": HI, "max_tokens": 50, **members}
    headers = {
        "authorization": f"Bearer {key or gateway.key}", "idempotency-key": idempotency_key,
    }  # fmt: skip
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.post(gateway.url + "/v1/chat/completions", json=body, headers=headers)


def same(first: httpx.Response, second: httpx.Response) -> bool:
    names = ("x-request-id", "content-type")
    return (
        (first.status_code, first.content) == (second.status_code, second.content)
        and [first.headers[n] for n in names] == [second.headers[n] for n in names]
        and "idempotent-replayed" in second.headers
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_request_is_charged_once_over_a_restart(
    tmp_path: Path, stream: bool
) -> None:
    fake = FakeSupplier("one")
    async with a_gateway(tmp_path, fake) as gateway:
        key = gateway.key
        first = await post(gateway, stream=stream)
        assert first.status_code == 200
        assert "idempotent-replayed" not in first.headers
        assert same(first, await post(gateway, stream=stream))
        await gateway.settled()
    async with a_gateway(tmp_path, fake) as gateway:
        assert same(first, await post(gateway, key=key, stream=stream))
        assert (await post(gateway, stream=stream)).status_code == 200  # of another API key
        await gateway.settled()
    assert (fake.served, len(fake.receipts)) == (2, 2)


@pytest.mark.parametrize("stream", [False, True])
async def test_requests_at_the_same_time_share_one_answer(tmp_path: Path, stream: bool) -> None:
    fake = FakeSupplier("one")
    async with a_gateway(tmp_path, fake) as gateway:
        answers = await asyncio.gather(*(post(gateway, stream=stream) for _ in range(8)))
        (first,) = [each for each in answers if "idempotent-replayed" not in each.headers]
        assert all(same(first, each) for each in answers if each is not first)
        assert fake.served == 1


async def test_as_many_more_wait_for_an_answer_as_may_run_and_whoever_leaves_makes_room(
    tmp_path: Path,
) -> None:
    fake = FakeSupplier("slow", pause=asyncio.Event())
    async with a_gateway(tmp_path, fake, terms=KeyTerms(in_flight_max=1)) as gateway:
        account = gateway.accounts.get(gateway.key_id)
        assert account is not None
        assert fake.pause is not None
        first = asyncio.create_task(post(gateway, stream=True))
        async with asyncio.timeout(10):
            while not fake.served:
                await asyncio.sleep(0.01)
            second = asyncio.create_task(post(gateway, stream=True))
            while account.held < 2:
                await asyncio.sleep(0.01)
            third = await post(gateway, stream=True)
            assert (third.status_code, third.headers["retry-after"]) == (429, "1")
            assert third.json()["error"]["code"] == "rate_limit_exceeded"
            second.cancel()
            while account.held == 2:
                await asyncio.sleep(0.01)
        fourth = asyncio.create_task(post(gateway, stream=True))
        while account.held < 2:
            await asyncio.sleep(0.01)
        fake.pause.set()
        assert same(await first, await fourth)
        assert (account.held, account.in_flight, fake.served) == (0, 0, 1)


async def test_a_key_is_for_one_body(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        assert (await post(gateway)).status_code == 200
        other = await post(gateway, seed=1)
        assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_used")
        for key in ("", "x" * 256):
            assert (await post(gateway, key and key, seed=2)).status_code == 400


async def test_a_client_that_leaves_finds_the_whole_answer_when_it_comes_back(
    tmp_path: Path,
) -> None:
    fake = FakeSupplier("slow", pause=asyncio.Event())
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        headers = {"idempotency-key": "k1"}
        stream = await client.chat.completions.create(
            model=MODEL, messages=HI, max_tokens=50, stream=True, extra_headers=headers
        )
        await anext(aiter(stream))
        await stream.close()
        assert fake.pause is not None
        fake.pause.set()
        again = await client.chat.completions.create(
            model=MODEL, messages=HI, max_tokens=50, stream=True, extra_headers=headers
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in again])
        assert text == "Hello, world"
        await gateway.settled()
        assert gateway.results == ["ok"]
        assert fake.served == 1


async def test_what_failed_is_run_again(tmp_path: Path) -> None:
    fake = FakeSupplier("one", "500")
    async with a_gateway(tmp_path, fake) as gateway:
        assert (await post(gateway)).status_code == 502
        fake.lie = ""
        gateway.standing.states.clear()
        assert (await post(gateway)).status_code == 200
        assert DirectoryStore(tmp_path / "answers").names(".begun") == []


async def test_a_stream_that_nobody_answered_is_run_again(tmp_path: Path) -> None:
    fake = FakeSupplier("one", "hang")
    async with a_gateway(tmp_path, fake, beat_s=0.05) as gateway:
        failed = await post(gateway, stream=True)
        assert (failed.status_code, b"waiting" in failed.content) == (200, True)
        assert b"upstream_timeout" in failed.content
        fake.lie = ""
        gateway.standing.states.clear()
        again = await post(gateway, stream=True)
        assert b"world" in again.content
        assert "idempotent-replayed" not in again.headers


async def test_an_error_of_the_gateway_s_own_leaves_no_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeSupplier("one")
    async with a_gateway(tmp_path, fake) as gateway:
        monkeypatch.setattr(Spool, "add", no_space)
        failed = await post(gateway)
        assert (failed.status_code, failed.json()["error"]["code"]) == (500, "internal_error")
        assert failed.headers["x-request-id"].startswith("req_")
        monkeypatch.undo()
        assert (await post(gateway)).status_code == 200


async def test_an_answer_that_the_disk_does_not_take_is_given_and_charged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeSupplier("one")
    async with a_gateway(tmp_path, fake) as gateway:
        monkeypatch.setattr(DirectoryStore, "put", no_space)
        for stream in (False, True):
            answer = await post(gateway, f"k{stream}", stream=stream)
            assert (answer.status_code, b"world" in answer.content) == (200, True)
            assert (await post(gateway, f"k{stream}", stream=stream)).status_code == 422
        assert fake.served == 2


async def test_a_disk_that_fails_does_not_end_the_forgetting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        tried = asyncio.Event()
        loop = asyncio.get_running_loop()

        def names(store: DirectoryStore, suffix: str = "") -> list[str]:
            loop.call_soon_threadsafe(tried.set)
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(DirectoryStore, "names", names)
        task = asyncio.create_task(gateway.once.run())
        await tried.wait()
        done, _ = await asyncio.wait({task}, timeout=0.2)
        assert not done
        task.cancel()


@pytest.mark.parametrize("restart", [False, True])
async def test_the_oldest_answers_make_room(tmp_path: Path, restart: bool) -> None:
    fake = FakeSupplier("one")
    async with a_gateway(tmp_path, fake) as gateway:
        key = gateway.key
        if not restart:
            gateway.once.room = Room(900, 10**6)
        for name in ("k1", "k2", "k3"):
            assert (await post(gateway, name)).status_code == 200
        once = gateway.once
        if restart:
            once.room = Room(900, 10**6)
            once.recover(())
        assert len(once.store.names()) == 2
        replayed = ["idempotent-replayed" in (await post(gateway, k, key)).headers
                    for k in ("k3", "k2", "k1")]  # fmt: skip
        assert replayed == [True, True, False]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=40))
def test_room_is_never_exceeded(files: list[tuple[str, int]]) -> None:
    room, kept = Room(100, 150), dict[str, tuple[str, int]]()
    for number, (owner, size) in enumerate(files):
        kept[str(number)] = owner, size
        for name in room.add(owner, str(number), size):
            del kept[name]
        taken = {each: sum(s for o, s in kept.values() if o == each) for each in "abc"}
        assert room.total == sum(taken.values()) <= 150
        assert max(taken.values()) <= 100
        assert str(number) in kept
    for name, (owner, _) in kept.items():
        room.remove(owner, name)
        room.remove(owner, name)
    assert room.total == 0


def test_room_is_made_by_who_takes_the_most() -> None:
    room = Room(100, 150)
    added = [("a", 40), ("a", 50), ("b", 20), ("b", 30), ("c", 50), ("b", 90)]
    gone = [room.add(owner, str(number), size) for number, (owner, size) in enumerate(added)]
    assert gone == [[], [], [], [], ["0"], ["2", "3", "1"]]


async def test_a_long_stream_is_kept_in_time_that_grows_with_it() -> None:
    tape = Tape(None)
    writer = tape.respond_stream(200, (), None)
    event, count = b"x" * 250, 40_000  # a tape that is copied for each outlasts the suite's timeout
    for _ in range(count):
        await writer.write(event)
    await writer.close(b"end")
    assert writer.body == event * count + b"end"


async def test_answers_are_forgotten_after_a_day(tmp_path: Path) -> None:
    clock, fake = Clock(), FakeSupplier("one")
    async with a_gateway(tmp_path, fake, clock=clock) as gateway:
        once = gateway.once
        assert (await post(gateway)).status_code == 200
        once.prune()
        assert len(once.store.names()) == 1
        clock.passed = 86_401
        once.prune()
        assert once.store.names() == []


CHILD = """
import asyncio, sys, time
from pathlib import Path
from dataclasses import replace
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import TIMEOUTS, a_gateway
from tests.gateway.test_once import post

async def main():
    fake, patient = FakeSupplier("one"), replace(TIMEOUTS, first_byte=600)
    async with a_gateway(Path(sys.argv[1]), fake, url=sys.argv[2], timeouts=patient) as node:
        print(node.key, flush=True)
        node.once.store.put = lambda name, data: print("charged", flush=True) or time.sleep(600)
        await post(node)

asyncio.run(main())
"""


@pytest.mark.parametrize("lie", ["", "hang"])
async def test_a_kill_in_the_middle_is_never_followed_by_a_second_charge(
    tmp_path: Path, lie: str
) -> None:
    fake = FakeSupplier("one", lie)
    async with AsyncExitStack() as stack:
        server = await serve(fake.handle, "127.0.0.1", 0)
        stack.push_async_callback(server.close, 0)
        url = f"http://127.0.0.1:{server.port}"
        child = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", CHILD, str(tmp_path), url], stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2], start_new_session=True, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        key = (await asyncio.to_thread(child.stdout.readline)).strip()
        if lie:
            async with asyncio.timeout(60):
                while not fake.served:
                    await asyncio.sleep(0.01)
        else:
            assert await asyncio.to_thread(child.stdout.readline) == "charged\n"
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert DirectoryStore(tmp_path / "answers").names(".begun")
        fake.lie = ""
        async with a_gateway(tmp_path, fake, url=url) as gateway:
            answer = await post(gateway, key=key)
            await gateway.settled()
            assert len(fake.receipts) == 1
            assert answer.status_code == (200 if lie else 422)


async def test_a_key_of_narrower_scope_gets_no_answer_that_it_may_not_ask_for(
    tmp_path: Path,
) -> None:
    fake = FakeSupplier("slow", pause=asyncio.Event())
    async with a_gateway(tmp_path, fake) as gateway:
        asked = [asyncio.create_task(post(gateway, stream=True)) for _ in range(2)]
        while not fake.served:
            await asyncio.sleep(0.01)
        gateway.keys.update(gateway.key_id, {"models": ["other"]})
        gateway.accounts.load(gateway.keys.list())
        assert fake.pause is not None
        fake.pause.set()
        found = sorted([each.status_code for each in await asyncio.gather(*asked)])
        assert found == [200, 403]  # the one that was let in before, and the one that joined it
        later = await post(gateway, stream=True)
        assert (later.status_code, later.json()["error"]["code"]) == (403, "model_not_allowed")
        gateway.keys.update(gateway.key_id, {"models": None})
        gateway.accounts.load(gateway.keys.list())
        assert "idempotent-replayed" in (await post(gateway, stream=True)).headers
        gateway.keys.revoke(gateway.key_id)
        gateway.accounts.load(gateway.keys.list())
        assert (await post(gateway, stream=True)).status_code == 401


async def test_the_official_client_sends_its_key(tmp_path: Path) -> None:
    fake = FakeSupplier("one", "500")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(
                model=MODEL, messages=HI, extra_headers={"Idempotency-Key": "k"}
            )
        other, _ = gateway.keys.create("other", APPLICATION)
        gateway.accounts.load(gateway.keys.list())
        assert (await post(gateway, key=other)).status_code == 502
