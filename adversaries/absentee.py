"""A supplier that sells its units and serves none of them: whatever it is asked, its engine fails.

    python -m adversaries.absentee --config supplier.toml

No check shows it to the chain, where it cannot be told from one that nobody asks. What that costs
it and others is measured where units are sold ahead: `python -m localnet.lies`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adversaries.program import serve
from adversaries.relays import LyingPool
from node.http import ClientResponse, ClientStream, HttpClientError
from supplier.server.relays import RelayServer


class DeadPool(LyingPool):
    """Reaches no engine."""

    async def request(self, *arguments: Any, **options: Any) -> ClientResponse:
        """No answer."""
        raise HttpClientError("the engine is not asked")

    @asynccontextmanager
    async def stream(self, *arguments: Any, **options: Any) -> AsyncIterator[ClientStream]:
        """No stream."""
        raise HttpClientError("the engine is not asked")
        yield


class AbsentRelays(RelayServer):
    """Takes every relay and fails it."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.pool = DeadPool(self.pool)


if __name__ == "__main__":
    serve(relays=AbsentRelays)
