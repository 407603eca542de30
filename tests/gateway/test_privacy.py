"""Prompts and answers stay in memory: neither the log nor the disk has a word of them."""

import logging
from pathlib import Path
from typing import Any

import openai
import pytest

from node.telemetry import JsonFormatter
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

pytestmark = pytest.mark.anyio

PROMPT, ANSWER = "heliotrope", "marmalade"
OWN = ("gateway", "node", "relay_mining")
"""Loggers of a gateway's process; the client, which is in this one too, has its own."""


async def ask(gateway: Gateway, stream: bool, **headers: str) -> None:
    asked: Any = {"messages": [{"role": "user", "content": PROMPT}], "model": MODEL}
    async with gateway.client() as client:
        try:
            found = await client.chat.completions.create(
                **asked, stream=stream, extra_headers=headers
            )
            if stream:
                assert ANSWER in str([chunk async for chunk in found])
        except openai.APIError:
            return


def words_on_disk(folder: Path) -> list[str]:
    """The files that have a word of a prompt or an answer in them."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    words = (PROMPT.encode(), ANSWER.encode())
    return [each.name for each in files if any(word in each.read_bytes() for word in words)]


@pytest.mark.parametrize("lie", ["", "500", "cut", "truncate", "hang", "context", "signature"])
async def test_no_word_of_a_prompt_or_an_answer_is_logged_or_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lie: str
) -> None:
    caplog.set_level(logging.DEBUG)
    fake = FakeSupplier("one", lie, words=[ANSWER, " ", ANSWER])
    async with a_gateway(tmp_path, fake) as gateway:
        for stream in (False, True):
            gateway.standing.states.clear()
            await ask(gateway, stream)
        await gateway.settled()
    own = (each for each in caplog.records if each.name.split(".")[0] in OWN)
    said = "\n".join(map(JsonFormatter().format, own))
    assert fake.served
    assert (PROMPT in said, ANSWER in said) == (False, False)
    assert words_on_disk(tmp_path) == []


async def test_what_an_idempotency_key_asks_to_keep_is_kept(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one", words=[ANSWER])) as gateway:
        await ask(gateway, False, **{"Idempotency-Key": "k"})
    assert len(words_on_disk(tmp_path)) == 1
