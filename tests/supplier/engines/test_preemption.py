"""Batch beside interactive requests at the embedded engine, as a process over real sockets."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from supplier.engines.embedded.scheduler import OTHERS_EVERY
from tests.supplier.engines.parts import DEMO, engine

pytestmark = pytest.mark.anyio

BATCH = 8
BATCH_TOKENS = 300
URGENT_TOKENS = 64
SLACK = 12
"""Steps that go by while a request is on its way to the engine, and events on theirs back."""


@dataclass
class Stream:
    """An answer as it comes."""

    client: httpx.AsyncClient
    number: int
    priority: int
    tokens: int
    seen: list[int] = field(default_factory=list)
    text: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> "Stream":
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": f"Tell me story number {self.number}."}],
            "max_tokens": self.tokens, "ignore_eos": True, "temperature": 0, "stream": True,
            "return_token_ids": True, "priority": self.priority,
        }  # fmt: skip
        async with self.client.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    self._take(orjson.loads(line[6:]))
        return self

    def _take(self, event: dict[str, Any]) -> None:
        for choice in event["choices"]:
            self.seen += choice.get("token_ids") or []
            self.text += choice["delta"].get("content") or ""
        if self.seen:
            self.begun.set()


async def test_an_interactive_request_beside_eight_batch_ones_waits_for_about_a_token() -> None:
    with engine(DEMO, "--max-num-seqs", str(BATCH)) as sync:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=sync.base_url, timeout=60, limits=limits) as client:
            alone = [await Stream(client, each, 1, BATCH_TOKENS).run() for each in range(BATCH)]
            urgent_alone = await Stream(client, 99, 0, URGENT_TOKENS).run()

            batch = [Stream(client, each, 1, BATCH_TOKENS) for each in range(BATCH)]
            tasks = [asyncio.create_task(each.run()) for each in batch]
            for each in batch:
                await each.begun.wait()
            urgent = Stream(client, 99, 0, URGENT_TOKENS)
            before = [len(each.seen) for each in batch]
            task = asyncio.create_task(urgent.run())
            await urgent.begun.wait()
            waited = [len(each.seen) - was for each, was in zip(batch, before, strict=True)]
            await task
            beside = [len(each.seen) - was for each, was in zip(batch, before, strict=True)]
            assert not any(each.done() for each in tasks)
            await asyncio.gather(*tasks)

    assert max(waited) <= SLACK
    assert max(beside) <= URGENT_TOKENS // OTHERS_EVERY + 2 * SLACK
    assert [(each.seen, each.text) for each in batch] == [(each.seen, each.text) for each in alone]
    assert (urgent.seen, urgent.text) == (urgent_alone.seen, urgent_alone.text)
    assert {len(each.seen) for each in batch} == {BATCH_TOKENS}


async def test_a_priority_is_a_whole_number() -> None:
    with engine(DEMO) as client:
        body = {"messages": [{"role": "user", "content": "hi"}], "priority": "high"}
        answer = client.post("/v1/chat/completions", json=body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "priority")
