"""Hold the gateway's clients' listener against schemathesis: `python -m tests.gateway.try_api DIR`.

It is installed into the directory, apart from everything else. A whole gateway with a supplier that
signs for real serves on a free port; every answer must be one that `/openapi.json` describes. What
is tried asks for a model that is served. Further arguments go to schemathesis.
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson

from gateway.api.market_pages import FOLDER as MARKET
from gateway.routing.reaching import FOLDER as REACH
from gateway.routing.reaching import Reacher
from node.http import ClientPool, Response
from relay_mining import SignedRequest
from scripts.try_control import install
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway
from tests.gateway.test_batches import an_input, with_batches
from tests.gateway.test_market_pages import HISTORY, PastRosters, auctioned_pages

CONFIG = Path(__file__).with_name("schemathesis.toml")
FILES = 3


class AnySupplier(FakeSupplier):
    """Answers whatever is let in, be it a list of prompts."""

    def plain(self, signed: SignedRequest, body: dict[str, Any]) -> Response:
        """An answer that echoes nothing."""
        return super().plain(signed, {**body, "echo": False})


async def read_schema(gateway: Gateway) -> dict[str, Any]:
    """The gateway's document, whose models and ids are such as there are.

    Without `Idempotency-Key`: one that is drawn again is another request's, or gets its answer.
    """
    async with gateway.client() as client, httpx.AsyncClient() as bare:
        document: dict[str, Any] = (await bare.get(gateway.url + "/openapi.json")).json()
        asked = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}]
        )
        files = [
            (await client.files.create(file=("in.jsonl", an_input(2)), purpose="batch")).id
            for _ in range(FILES)
        ]
        batch = await client.batches.create(
            input_file_id=files[0], endpoint="/v1/chat/completions", completion_window="24h"
        )
    there = {
        "model": [MODEL], "id": [asked.headers["x-request-id"]], "file": files,
        "batch": [batch.id], "service": ["0x" + HISTORY.service(each).hex() for each in range(2)],
    }  # fmt: skip
    for each in (each for methods in document["paths"].values() for each in methods.values()):
        parameters = [p for p in each.get("parameters", ()) if p["name"] != "Idempotency-Key"]
        for parameter in parameters:
            if parameter["name"] in there:
                parameter["schema"] = {"enum": there[parameter["name"]]}
        each["parameters"] = parameters
        content = each.get("requestBody", {}).get("content", {}).get("application/json", {})
        members = content.get("schema", {}).get("properties", {})
        members |= {"model": {"enum": [MODEL]}} if "model" in members else {}
        members |= {"input_file_id": {"enum": files}} if "input_file_id" in members else {}
    return document


async def find_nobody(supplier: bytes) -> str:
    """The URL of a supplier that never registered."""
    return ""


async def attack(command: Path, folder: Path, options: list[str]) -> int:
    """Serve for as long as schemathesis runs every phase; its exit status."""
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            a_gateway(folder, AnySupplier("one"), observe_all=lambda event: None)
        )
        await stack.enter_async_context(with_batches(gateway))
        shown = auctioned_pages(gateway.plane.relays.admission, PastRosters())
        gateway.plane.mount(MARKET, shown.answer)
        pool = await stack.enter_async_context(ClientPool())
        gateway.plane.mount(REACH, Reacher(pool, find_nobody).answer)
        schema = folder / "openapi.json"
        schema.write_bytes(orjson.dumps(await read_schema(gateway)))
        process = await asyncio.create_subprocess_exec(
            str(command), "--config-file", str(CONFIG), "run", str(schema), "--url", gateway.url,
            "--header", f"Authorization: Bearer {gateway.key}", "--checks", "all",
            "--continue-on-failure", *options,
        )  # fmt: skip
        return await process.wait()


def main() -> int:
    """Run from the command line."""
    command = install(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(attack(command, Path(folder), sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
