"""A stranger who opens many connections and never finishes a request, at gateway and supplier."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from adversaries.cheat import Cheat, Finding, Line
from adversaries.scene import Scene
from contracts import Market

CONNECTIONS = 300
DEADLINE_S = 120.0
HALF = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\nx-half: "
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
DRIP_S = 0.5


@dataclass(frozen=True, slots=True)
class Flood:
    """What is sent on each of many connections: a beginning, and then a byte now and then."""

    cheat: Cheat
    beginning: bytes
    drips: bool = False


def _cheat(name: str, does: str, line: Line) -> Cheat:
    return Cheat(
        name, "stranger", f"opens {CONNECTIONS} connections {does}", line, "connections closed"
    )


AT_GATEWAY = (
    Flood(
        _cheat("half-open streams", "to the gateway, half a request on each", Line.GATEWAY), HALF
    ),
    Flood(
        _cheat("trickled bodies", "to the gateway, a body a byte at a time on each", Line.GATEWAY),
        HEAD,
        drips=True,
    ),
)
AT_SUPPLIER = (
    Flood(
        _cheat(
            "half-open streams, at a supplier", "to a supplier, half a request on each",
            Line.SUPPLIER,
        ),
        HALF,
    ),
    Flood(
        _cheat(
            "trickled bodies, at a supplier", "to a supplier, a body a byte at a time on each",
            Line.SUPPLIER,
        ),
        HEAD,
        drips=True,
    ),
)  # fmt: skip


async def hold(host: str, port: int, flood: Flood) -> float:
    """Open a connection, never finish a request; seconds until the server hangs up."""
    reader, writer = await asyncio.open_connection(host, port)
    began = time.monotonic()
    try:
        writer.write(flood.beginning)
        while not await _is_closed(reader):
            if flood.drips:
                writer.write(b".")
    except ConnectionError:
        return time.monotonic() - began
    finally:
        writer.close()
    return time.monotonic() - began


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the server hangs up within the pause between two bytes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRIP_S):
            while await reader.read(1024):
                continue
            return True
    return False


async def pour(url: str, flood: Flood) -> Finding:
    """How long each of many unfinished requests was borne with."""
    place = urlsplit(url)
    host, port = str(place.hostname), int(place.port or 80)
    held = await asyncio.gather(*(hold(host, port, flood) for _ in range(CONNECTIONS)))
    met = (
        f"{flood.cheat.line.value}: {len(held)} of {CONNECTIONS} connections closed before any work"
    )
    return Finding(flood.cheat, met, f"{max(held):.0f} s", cost="a socket each, for that time")


async def run(scene: Scene) -> list[Finding]:
    """Flood both nodes while others are served; the load beside it must not fail."""
    async with await Market.connect([scene.rpc], scene.book) as market:
        supplier = (await market.registry.supplier(scene.suppliers[0])).url
    found: list[Finding] = []
    async with asyncio.timeout(DEADLINE_S):
        for at_gateway, at_supplier in zip(AT_GATEWAY, AT_SUPPLIER, strict=True):
            found += await asyncio.gather(
                pour(scene.base_url, at_gateway), pour(supplier, at_supplier)
            )
    return found
