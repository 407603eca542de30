"""Clients that go on asking while something is done to a market, and whatever failed for them."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from openai import APIError, OpenAI

from localnet import LocalMarket
from localnet.processes import wait_until
from localnet.provision import MODEL

CLIENTS = 2
REQUEST_S_MAX = 60.0
ANSWERS = 4


@dataclass
class Asker:
    """Asks without end; a client that retries nothing."""

    client: OpenAI
    tokens: int = 8
    bias: Mapping[str, int] = field(default_factory=dict)
    answers: int = 0
    failed: list[str] = field(default_factory=list)

    def wait_for_more(self) -> None:
        """Return when a few more were answered, or one failed."""
        goal = self.answers + ANSWERS
        wait_until(lambda: self.answers >= goal or bool(self.failed), "no more answers", 60.0)

    def ask(self) -> None:
        """Ask once, and note what came of it."""
        try:
            self.client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": "Hello!"}],
                max_tokens=self.tokens,
                logit_bias=dict(self.bias),
            )
        except APIError as error:
            self.failed.append(str(error))
        else:
            self.answers += 1


@contextmanager
def asking(
    market: LocalMarket, tokens: int = 8, bias: Mapping[str, int] | None = None
) -> Iterator[Asker]:
    """An asker of the market at work, some requests at a time, until the block ends."""
    over = threading.Event()

    def ask_on(asker: Asker) -> None:
        while not over.is_set():
            asker.ask()

    with OpenAI(
        base_url=market.base_url, api_key=market.api_key, max_retries=0, timeout=REQUEST_S_MAX
    ) as client:
        asker = Asker(client, tokens, bias or {})
        threads = [threading.Thread(target=ask_on, args=(asker,)) for _ in range(CLIENTS)]
        for each in threads:
            each.start()
        try:
            yield asker
        finally:
            over.set()
            for each in threads:
                each.join()
