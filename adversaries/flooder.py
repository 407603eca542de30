"""A stranger who opens many connections to gateway and supplier and never finishes a request."""

import asyncio
import time
from urllib.parse import urlsplit

from adversaries.cheat import Cheat, Finding, Line
from adversaries.scene import Scene

CONNECTIONS = 300
DEADLINE_S = 60.0
CHEAT = Cheat(
    name="half-open streams",
    side="stranger",
    does=f"opens {CONNECTIONS} connections to the gateway and sends half a request on each",
    line=Line.GATEWAY,
    check="closed",
)
HALF = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\nx-half: "


async def hold(host: str, port: int) -> float:
    """Open a connection, send half a request; seconds until the server hangs up."""
    reader, writer = await asyncio.open_connection(host, port)
    began = time.monotonic()
    try:
        writer.write(HALF)
        await writer.drain()
        while await reader.read(1024):
            continue
    except ConnectionError:
        return time.monotonic() - began
    finally:
        writer.close()
    return time.monotonic() - began


async def flood(host: str, port: int) -> list[float]:
    """How long each of many half requests was borne with, in seconds."""
    async with asyncio.timeout(DEADLINE_S):
        return await asyncio.gather(*(hold(host, port) for _ in range(CONNECTIONS)))


async def run(scene: Scene) -> list[Finding]:
    """Flood the gateway while others are served; the load beside it must not fail."""
    place = urlsplit(scene.base_url)
    held = await flood(str(place.hostname), int(place.port or 80))
    met = f"gateway's check: {len(held)} of {CONNECTIONS} connections closed before any work"
    return [Finding(CHEAT, met, after=f"{max(held):.0f} s", cost="a socket each, for that time")]
