"""Clients that others wrote, installed apart by `make test-clients`, against a gateway."""

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

CLIENTS = os.environ.get("LODE_CLIENTS", "")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not CLIENTS, reason="`make test-clients` installs the clients"),
]
CALL = {"name": "city", "arguments": '{"name":"Oslo"}'}
DEADLINE_S = 120


class Willing(FakeSupplier):
    """A supplier whose model calls a function where it is told to."""

    def plain(self, signed: Any, body: dict[str, Any]) -> Any:
        self.calls = [CALL] if body.get("tool_choice") else []
        return super().plain(signed, body)


async def run(*argv: str, **environ: str) -> str:
    """What a program says on standard output; it has to end well."""
    process = await asyncio.create_subprocess_exec(
        *argv, env={"PATH": os.environ["PATH"], **environ},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_langchain(tmp_path: Path) -> None:
    script = Path(__file__).with_name("langchain_smoke.py")
    async with a_gateway(tmp_path, Willing("one")) as gateway:
        said = await run(
            f"{CLIENTS}/bin/python", str(script), gateway.url + "/v1", gateway.key, MODEL
        )
        found = orjson.loads(said)
        await gateway.settled()
        assert gateway.ledger.requests.summary()["paid"] == 4

    assert found == {
        "plain": "Hello, world", "usage": 12, "streamed": "Hello, world", "tokens": 12,
        "called": ["city", {"name": "Oslo"}], "after": "Hello, world",
        "refused": "invalid_api_key",
    }  # fmt: skip


def describe_gateway(folder: Path, gateway: Gateway) -> None:
    """Tell `llm` of a model behind the gateway."""
    folder.mkdir()
    (folder / "extra-openai-models.yaml").write_text(
        f"- model_id: lode\n  model_name: {MODEL}\n  api_base: {gateway.url}/v1\n"
        "  api_key_name: lode\n"
    )


@pytest.mark.parametrize(
    "options", [(), ("--no-stream",), ("--no-stream", "-o", "max_tokens", "40")]
)
async def test_the_llm_command(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with a_gateway(tmp_path / "gateway", FakeSupplier("one")) as gateway:
        describe_gateway(tmp_path / "llm", gateway)
        said = await run(
            f"{CLIENTS}/bin/llm", "-m", "lode", "--key", gateway.key, *options, "hi",
            LLM_USER_PATH=str(tmp_path / "llm"), HOME=str(tmp_path),
        )  # fmt: skip
        await gateway.settled()
        assert gateway.ledger.requests.summary()["paid"] == 1

    assert said == "Hello, world\n"
