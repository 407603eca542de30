"""Redis as the place where replicas keep limits: one connection, one exchange at a time."""

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.access.limit_scripts import ADMIT, PUBLISH, Verdict, Words, read_verdict
from gateway.access.shared_limits import StoreAwayError

WAIT_S = 0.5
"""How long an exchange may take: so long a request waits before its replica decides alone."""
CHUNK = 500
"""Limiters published in one exchange."""
PREFIX = "lode:limits:"
BORN = PREFIX + "born"


class RedisStore:
    """The limits in one database of a Redis, which holds nothing that cannot be lost."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=WAIT_S,
            socket_connect_timeout=WAIT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._scripts: tuple[str, str] | None = None

    async def exchange(
        self, published: Sequence[tuple[str, Words]],
        asked: Sequence[tuple[list[str], Words]],
    ) -> list[Verdict]:  # fmt: skip
        """Publish limiters by name, then ask; a verdict for each (else StoreAwayError)."""
        try:
            for at in range(CHUNK, len(published), CHUNK):
                await self._send(published[at : at + CHUNK], ())
            return await self._send(published[:CHUNK], asked)
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            self._scripts = None
            await self.close()
            raise StoreAwayError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Let go of the connection; the next exchange makes another."""
        await self._redis.connection_pool.disconnect()

    async def _send(
        self, published: Sequence[tuple[str, Words]],
        asked: Sequence[tuple[list[str], Words]],
    ) -> list[Verdict]:  # fmt: skip
        async with asyncio.timeout(WAIT_S):
            if self._scripts is None:
                self._scripts = (
                    await self._redis.script_load(PUBLISH),
                    await self._redis.script_load(ADMIT),
                )
            publish, admit = self._scripts
            pipeline = self._redis.pipeline(transaction=False)
            for name, words in published:
                pipeline.evalsha(publish, 1, PREFIX + name, *words)
            for names, words in asked:
                keys = [BORN, *(PREFIX + each for each in names)]
                pipeline.evalsha(admit, len(keys), *keys, *words)
            replies = await pipeline.execute()
        return [read_verdict(each) for each in replies[len(published) :]]
