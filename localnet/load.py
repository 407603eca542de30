"""Requests through the stock `openai` client: plain, streamed, and streams whose reader leaves."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from openai import APIError, AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

QUESTIONS = (
    "What is the capital of Japan?",
    "Tell me a story.",
    "What is the opposite of loud?",
    "List three objects.",
    "Hello, how are you?",
    "Where is Emma?",
    "What is the capital of Peru?",
    "Who are you?",
)
CHUNKS_BEFORE_LEAVING = 5


@dataclass(slots=True)
class Tally:
    """What the client saw."""

    outcomes: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    first_answer: str = ""

    @property
    def requests(self) -> int:
        """All requests sent."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class Load:
    """A closed loop of `workers` clients against one gateway."""

    base_url: str
    api_key: str
    model: str
    workers: int = 2
    max_tokens: int = 48

    async def run(self, until: Callable[[Tally], bool]) -> Tally:
        """Send requests until `until` says that it is enough, and return what came back."""
        tally = Tally()
        async with AsyncOpenAI(base_url=self.base_url, api_key=self.api_key) as client:
            workers = [self._work(client, tally, until) for _ in range(self.workers)]
            await asyncio.gather(*workers)
        return tally

    async def send(self, client: AsyncOpenAI, tally: Tally, number: int) -> None:
        """Send request `number`, whose kind follows from it, and tally what came of it."""
        kinds = (self._plain, self._streamed, self._plain, self._abandoned)
        await self._try(kinds[number % len(kinds)], client, tally, number)

    async def _work(
        self, client: AsyncOpenAI, tally: Tally, until: Callable[[Tally], bool]
    ) -> None:
        while not until(tally):
            await self.send(client, tally, tally.requests)

    async def _try(
        self,
        send: Callable[[AsyncOpenAI, Tally, int], Awaitable[str]],
        client: AsyncOpenAI,
        tally: Tally,
        number: int,
    ) -> None:
        try:
            tally.outcomes[await send(client, tally, number)] += 1
        except (APIError, httpx.HTTPError) as error:  # a stream cut short raises the latter
            tally.outcomes[f"failed: {error.__class__.__name__}"] += 1
            await asyncio.sleep(0.2)

    async def _plain(self, client: AsyncOpenAI, tally: Tally, number: int) -> str:
        answer = await client.chat.completions.create(
            model=self.model, messages=_messages(number), max_tokens=self.max_tokens, seed=number
        )
        if answer.usage is not None:
            tally.tokens += answer.usage.total_tokens
        tally.first_answer = tally.first_answer or (answer.choices[0].message.content or "")
        return "plain"

    async def _streamed(self, client: AsyncOpenAI, tally: Tally, number: int) -> str:
        stream = await client.chat.completions.create(
            model=self.model,
            messages=_messages(number),
            max_tokens=self.max_tokens,
            seed=number,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            if chunk.usage is not None:
                tally.tokens += chunk.usage.total_tokens
        return "streamed"

    async def _abandoned(self, client: AsyncOpenAI, tally: Tally, number: int) -> str:
        stream = await client.chat.completions.create(
            model=self.model,
            messages=_messages(1),
            max_tokens=self.max_tokens,
            seed=number,
            stream=True,
        )
        read = 0
        async for _ in stream:
            read += 1
            if read == CHUNKS_BEFORE_LEAVING:
                break
        await stream.close()
        return "abandoned"


def _messages(number: int) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}]
