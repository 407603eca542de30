"""A batch is made once, under its own terms, and where its key has room for it."""

import asyncio
import io
import threading
from pathlib import Path

import openai
import pytest

from gateway.api.batch_run import read_terms
from gateway.api.file_store import DirectoryStore
from gateway.api.files import META
from tests.factories import APPLICATION
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway
from tests.gateway.test_batches import an_input, begin, finished, lines_of, with_batches


@pytest.mark.anyio
@pytest.mark.parametrize("is_over", [False, True])
async def test_a_batch_that_is_seen_before_it_is_durable_is_begun_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_over: bool
) -> None:
    fake = FakeSupplier("one")
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway) as batches,
    ):
        seen, durable = threading.Event(), threading.Event()
        create = DirectoryStore.create

        def create_slowly(store: DirectoryStore, name: str, data: bytes) -> bool:
            is_new = create(store, name, data)
            if name.endswith(META):
                seen.set()
                assert durable.wait(30)
            return is_new

        monkeypatch.setattr(DirectoryStore, "create", create_slowly)
        making = asyncio.create_task(begin(client, an_input(8)))
        assert await asyncio.to_thread(seen.wait, 30)
        await batches.look()
        async with asyncio.timeout(30):
            while is_over and batches._tasks:
                await asyncio.sleep(0.01)
        durable.set()
        done = await finished(client, (await making).id)
        async with asyncio.timeout(30):
            while batches._tasks:
                await asyncio.sleep(0.01)
        assert (done.request_counts.completed, fake.served) == (8, 8)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["x" * 64, "x" * 65, "x" * 124, "x" * 128, "a.b"])
async def test_what_is_no_id_is_not_there(tmp_path: Path, name: str) -> None:
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        gateway.client() as client,
        with_batches(gateway),
    ):
        for call in (
            client.files.retrieve(name), client.files.content(name), client.files.delete(name),
            client.batches.retrieve(name), client.batches.cancel(name),
        ):  # fmt: skip
            with pytest.raises(openai.NotFoundError):
                await call


def refused(answer: pytest.ExceptionInfo[openai.RateLimitError]) -> tuple[object, ...]:
    headers = answer.value.response.headers
    return answer.value.code, headers.get("retry-after"), headers.get("x-should-retry")


@pytest.mark.anyio
async def test_a_key_has_its_share_of_the_files_and_leaves_others_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.files.FILES_MAX", 4)
    monkeypatch.setattr("gateway.api.files.KEY_FILES_MAX", 2)
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        gateway.client() as client,
        with_batches(gateway) as batches,
    ):
        batches.files.key_bytes_max = 30

        async def upload(client: openai.AsyncOpenAI, size: int) -> str:
            file = ("a", io.BytesIO(bytes(size)))
            made = await client.files.create(
                file=file, purpose="batch", extra_headers={"idempotency-key": str(size)}
            )
            return made.id

        first = await upload(client, 20)
        for size in (11, 12):
            with pytest.raises(openai.RateLimitError) as caught:
                await upload(client, size)
            assert refused(caught) == ("no_room", None, "false")
        await upload(client, 9)
        assert await upload(client, 20) == first
        with pytest.raises(openai.RateLimitError, match="2 files of 29 bytes"):
            await upload(client, 1)
        await client.files.delete(first)
        await upload(client, 10)
        for number in range(2):
            other, _ = gateway.keys.create(f"other {number}", APPLICATION)
            gateway.accounts.load(gateway.keys.list())
            async with gateway.client(other) as stranger:
                if number:
                    with pytest.raises(openai.RateLimitError) as caught:
                        await upload(stranger, 1)
                    assert refused(caught) == ("no_room", "60", None)
                else:
                    await upload(stranger, 30 - 1)
                    await upload(stranger, 1)


@pytest.mark.anyio
async def test_a_key_has_its_share_of_the_batches_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.batches.OPEN_MAX", 3)
    monkeypatch.setattr("gateway.api.batches.KEY_OPEN_MAX", 2)
    async with (
        a_gateway(tmp_path, FakeSupplier("one")) as gateway,
        gateway.client() as client,
        with_batches(gateway) as batches,
    ):
        batches.runner.yield_above = 0
        made = await asyncio.gather(
            *(begin(client, an_input(1)) for _ in range(4)), return_exceptions=True
        )
        begun = [each for each in made if not isinstance(each, BaseException)]
        assert [type(each) for each in made].count(openai.RateLimitError) == 2 == len(begun)
        other, _ = gateway.keys.create("other", APPLICATION)
        gateway.accounts.load(gateway.keys.list())
        async with gateway.client(other) as stranger:
            await begin(stranger, an_input(1))
            with pytest.raises(openai.RateLimitError) as caught:
                await begin(stranger, an_input(1))
            assert refused(caught) == ("no_room", "60", None)
            await client.batches.cancel(begun[0].id)
            await finished(client, begun[0].id)
            async with asyncio.timeout(30):
                while begun[0].id in batches._tasks:
                    await asyncio.sleep(0.01)
            await begin(stranger, an_input(1))


@pytest.mark.anyio
async def test_a_batch_pays_no_more_than_its_cap(tmp_path: Path) -> None:
    fake = FakeSupplier("one")
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway) as batches,
    ):
        batch = await begin(client, an_input(2), lode_price_max="1")
        done = await finished(client, batch.id)
        errors = await lines_of(client, done.error_file_id)
        codes = [each["response"]["body"]["error"]["code"] for each in errors]
        assert (codes, fake.served) == (["price_above_cap"] * 2, 0)
        assert done.to_dict()["lode-price-max"] == "1"
        with pytest.raises(openai.BadRequestError, match="lode-price-max"):
            await begin(client, an_input(2), lode_price_max="cheap")
        document = batches.documents.get(batch.id)
        del document["lode-price-max"]  # as documents were before it was kept
        assert not read_terms(document).headers


@pytest.mark.anyio
async def test_a_batch_and_a_file_that_are_sent_again_are_the_same_ones(tmp_path: Path) -> None:
    fake = FakeSupplier("one")
    async with (
        a_gateway(tmp_path, fake) as gateway,
        gateway.client() as client,
        with_batches(gateway),
    ):
        made = await asyncio.gather(
            *(begin(client, an_input(3), idempotency_key="k") for _ in range(4))
        )
        assert len({each.id for each in made}) == 1
        done = await finished(client, made[0].id)
        again = await begin(client, an_input(3), idempotency_key="k")
        assert (again.id, again.status) == (done.id, "completed")
        assert fake.served == 3
        files = [each.filename async for each in await client.files.list()]
        assert sorted(files) == [f"{done.id}_output.jsonl", "in.jsonl"]
        with pytest.raises(openai.UnprocessableEntityError, match="key was used"):
            await begin(client, an_input(4), idempotency_key="k")
        with pytest.raises(openai.BadRequestError, match="255"):
            await begin(client, an_input(3), idempotency_key="k" * 256)
        other, _ = gateway.keys.create("other", APPLICATION)
        gateway.accounts.load(gateway.keys.list())
        async with gateway.client(other) as stranger:
            theirs = await begin(stranger, an_input(3), idempotency_key="k")
            assert theirs.id != done.id
            await finished(stranger, theirs.id)
