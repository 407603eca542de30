"""A file of any size is downloaded at the client's pace, little of it in memory at a time."""

import tracemalloc
from pathlib import Path

import httpx
import pytest

from gateway.api.download import PIECE_BYTES
from gateway.api.file_store import DirectoryStore
from gateway.api.files import DATA, Files
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway

SIZE = 64 * PIECE_BYTES + 1


@pytest.mark.anyio
async def test_a_large_file_is_sent_in_pieces_and_to_its_end_though_it_is_deleted(
    tmp_path: Path,
) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        files = Files(gateway.plane.relays.admission, DirectoryStore(tmp_path / "files"))
        files.write("file-1", gateway.key_id, "out.jsonl", "batch_output", b"")
        with (tmp_path / "files" / f"file-1{DATA}").open("wb") as file:
            file.truncate(SIZE)
        gateway.plane.mount_all(b"/v1/files", files.answer)
        headers = {"authorization": f"Bearer {gateway.key}"}
        url = gateway.url + "/v1/files/file-1"
        tracemalloc.start()
        try:
            async with (
                httpx.AsyncClient(headers=headers) as client,
                client.stream("GET", url + "/content") as answer,
            ):
                assert answer.headers["content-length"] == str(SIZE)
                assert answer.headers["content-type"] == "application/octet-stream"
                assert (await client.delete(url)).status_code == 200
                taken = sum([len(each) async for each in answer.aiter_raw()])
                assert taken == SIZE
                assert (await client.get(url + "/content")).status_code == 404
            assert tracemalloc.get_traced_memory()[1] < SIZE // 4
        finally:
            tracemalloc.stop()
