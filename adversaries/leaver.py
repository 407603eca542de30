"""A client that leaves its streams at every position, in the hope of answers nobody bills.

Whoever leaves is found out by the gateway, whose Cancel makes the supplier sign the prefix it has
sent; the prefix is receipted like any answer, to the last token.
"""

import asyncio

import orjson

from adversaries.cheat import Cheat, Finding, Line
from adversaries.scene import Scene
from node.http import ClientPool, HttpClientError

POSITIONS = 48
PAUSE_S = 0.2
CHEAT = Cheat(
    name="leaves at every position",
    side="client",
    does=f"leaves streams after 0 to {POSITIONS - 1} events",
    line=Line.GATEWAY,
    check="client_abort",
)


async def leave_at(pool: ClientPool, scene: Scene, position: int) -> int:
    """Ask for a stream and leave after `position` events; how many were read."""
    body = orjson.dumps(
        {
            "model": scene.model,
            "messages": [{"role": "user", "content": "Tell me a story."}],
            "max_tokens": POSITIONS,
            "min_tokens": POSITIONS,
            "seed": position,
            "stream": True,
        }
    )
    headers = (
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + scene.api_key.encode()),
    )
    read = 0
    async with pool.stream(b"POST", scene.base_url + "/chat/completions", headers, body) as stream:
        async for chunk in stream.chunks():
            read += chunk.count(b"data: ")
            if read >= position:
                break
        stream.abort()
    return read


async def run(scene: Scene) -> list[Finding]:
    """Leave at every position; what came of it stands in the gateway's books, under its key."""
    async with ClientPool() as pool:
        for position in range(POSITIONS):
            try:
                await leave_at(pool, scene, position)
            except HttpClientError:
                await asyncio.sleep(PAUSE_S)
    return []
