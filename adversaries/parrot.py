"""A supplier whose engine is dead after one answer, which it gives to everybody; of plain answers.

python -m adversaries.parrot --config supplier.toml
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from adversaries.relays import CheatingRelays, LyingPool
from node.http import ClientPool, ClientResponse, ClientStream, ConnectFailed
from supplier.server.serving import NOTHING, Outcome
from supplier.server.usage import Usage

CHEAT = Cheat(
    name="dead engine, cached answer",
    side="supplier",
    does="gives one old answer to every plain request, and lets streams fail",
    line=Line.AUDIT,
    check="contradicted",
)


class ParrotPool(LyingPool):
    """Asks the engine once."""

    def __init__(self, honest: ClientPool) -> None:
        super().__init__(honest)
        self.repeated = 0
        """How often the answer was given again."""
        self._answer: ClientResponse | None = None

    async def request(self, *arguments: Any, **options: Any) -> ClientResponse:
        """The first good answer, again and again."""
        if self._answer is not None:
            self.repeated += 1
            return self._answer
        answer = await super().request(*arguments, **options)
        if answer.status == 200:
            self._answer = answer
        return answer

    @asynccontextmanager
    async def stream(self, *arguments: Any, **options: Any) -> AsyncIterator[ClientStream]:
        """Nothing: the engine is dead."""
        raise ConnectFailed("the engine is dead")
        yield


class ParrotRelays(CheatingRelays):
    """Asks the engine through a pool that remembers."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.pool: ParrotPool = ParrotPool(self.pool)

    def work(self, outcome: Outcome) -> Usage:
        """The first answer, and nothing since."""
        return NOTHING if self.pool.repeated else outcome.tokens


if __name__ == "__main__":
    serve(relays=ParrotRelays)
