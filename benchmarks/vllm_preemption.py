"""How often a greedy answer of vLLM's changes when it is evicted from the cache and computed again.

A batch request (priority 1) streams; then interactive ones (0) come, which with it need more cache
than there is, and without it do not. So what vLLM evicts is the batch request, each time its
counter of preemptions moves. Token ids are compared with those of the same request asked alone. As
computing beside others may change them too, the same is done with one interactive request, for
which there is room, and asked alone once more.

Run: LODE_VLLM=.make/vllm/bin/vllm python -m benchmarks.vllm_preemption --minutes 30
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.__main__ import machine
from localnet.provision import MODEL
from tests.vllm.parts import ENVIRONMENT, NEVER_END, engine_metric, start_vllm

BLOCK, BLOCKS, CONTEXT = 32, 22, 512
"""The cache: tokens of a block, blocks, one of them vLLM's own; and tokens of a request at most."""
BATCH_TOKENS, INTERACTIVE_TOKENS = 400, 96
CROWD = 5
"""Interactive requests: 5 of 128 tokens take 20 blocks, and the batch request up to 14."""
TRIES_MAX = 5
"""A crowd that comes when the batch request is nearly done evicts nothing, and is sent again."""
REQUEST_S_MAX = 120.0
ASKS = (
    "Tell me a story about {}.", "What is the capital of {}?", "What is the opposite of {}?",
    "Write a list of {}.", "Say something about {}.", "Who likes {}?", "Where is {}?",
    "Why is there {}?", "Describe {}.", "What do you know of {}?",
)  # fmt: skip
THINGS = ("a cat", "Japan", "hot", "fruit", "rain", "the sea", "music", "France", "a dog", "night")
PROMPTS = tuple(ask.format(thing) for ask in ASKS for thing in THINGS)
ALONE, BESIDE, EVICTED = "asked alone again", "beside one other", "evicted and computed again"


@dataclass(slots=True)
class Comparison:
    """Answers of one kind, held against those of the same requests alone."""

    compared: int = 0
    same: int = 0
    preemptions: int = 0
    left_at: list[int] = field(default_factory=list)
    """The first token that was another, of each answer that was."""

    def add(self, alone: list[int], answer: list[int], preemptions: int) -> None:
        """Take in one answer."""
        self.compared += 1
        self.preemptions += preemptions
        if alone == answer:
            self.same += 1
        else:
            self.left_at.append(
                next(
                    (
                        at
                        for at, pair in enumerate(zip(alone, answer, strict=False))
                        if len({*pair}) > 1
                    ),
                    min(len(alone), len(answer)),
                )
            )

    def row(self, name: str) -> str:
        """As a row of the table."""
        left = f"{statistics.median(self.left_at):.0f}" if self.left_at else "-"
        return f"| {name} | {self.compared} | {self.preemptions} | {self.same} | {left} |"


@dataclass(frozen=True, slots=True)
class Server:
    """The vLLM that is asked."""

    client: httpx.AsyncClient
    url: str

    def preemptions(self) -> int:
        """How many there were so far."""
        return round(engine_metric(self.url, "vllm:num_preemptions_total"))

    async def stream(
        self, prompt: str, tokens: int, priority: int
    ) -> AsyncGenerator[list[int], None]:
        """The token ids of a greedy answer as they come."""
        body: dict[str, Any] = {
            "model": MODEL, "messages": [{"role": "user", "content": prompt}], "stream": True,
            "max_tokens": tokens, "temperature": 0.0, "logit_bias": NEVER_END,
            "priority": priority, "return_token_ids": True,
        }  # fmt: skip
        url = self.url + "/v1/chat/completions"
        async with self.client.stream("POST", url, json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    for choice in orjson.loads(line[6:])["choices"]:
                        yield choice.get("token_ids") or []

    async def answer(self, prompt: str, crowd: int) -> tuple[list[int], int]:
        """A batch request's answer, with how often it was evicted; a crowd comes in its midst."""
        before = self.preemptions()
        ids: list[int] = []
        async with (
            asyncio.TaskGroup() as tasks,
            aclosing(self.stream(prompt, BATCH_TOKENS, 1)) as parts,
        ):
            async for part in parts:
                ids += part
                while ids and crowd:
                    tasks.create_task(self._interrupt(crowd))
                    crowd -= 1
        assert len(ids) == BATCH_TOKENS, f"{len(ids)} tokens came"
        return ids, self.preemptions() - before

    async def _interrupt(self, number: int) -> None:
        async with aclosing(self.stream(THINGS[number], INTERACTIVE_TOKENS, 0)) as parts:
            async for _ in parts:
                pass


async def compare(url: str, seconds: float) -> dict[str, Comparison]:
    """Ask request after request, each four times, until the time is over."""
    until = time.monotonic() + seconds
    found = {name: Comparison() for name in (ALONE, BESIDE, EVICTED)}
    async with httpx.AsyncClient(timeout=REQUEST_S_MAX) as client:
        server = Server(client, url)
        for prompt in PROMPTS:
            if time.monotonic() > until:
                break
            alone, _ = await server.answer(prompt, 0)
            for name, crowd in ((ALONE, 0), (BESIDE, 1), (EVICTED, CROWD)):
                answer, preemptions = await server.answer(prompt, crowd)
                tries = 1
                while name == EVICTED and not preemptions and tries < TRIES_MAX:
                    answer, preemptions = await server.answer(prompt, crowd)
                    tries += 1
                assert (preemptions > 0) == (name == EVICTED), f"{preemptions} when {name}"
                found[name].add(alone, answer, preemptions)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=30.0,
        help=f"after which no more of the {len(PROMPTS)} requests is begun",
    )  # fmt: skip
    parser.add_argument("--dtype", default="bfloat16", help="of vLLM's arithmetic")
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    flags = {
        "--scheduling-policy": "priority", "--dtype": options.dtype, "--block-size": BLOCK,
        "--num-gpu-blocks-override": BLOCKS, "--max-model-len": CONTEXT,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        vllm = start_vllm(Path(folder), *(str(word) for flag in flags.items() for word in flag))
        try:
            found = asyncio.run(compare(vllm.wait().url, 60 * options.minutes))
        finally:
            vllm.node.stop()
    print(f"{machine()}, {options.dtype}, greedy, {BATCH_TOKENS} tokens\n")
    print("| the request | answers | evictions | identical | first other token, median |")
    print("|---|---|---|---|---|")
    for name, each in found.items():
        print(each.row(name))


if __name__ == "__main__":
    main()
