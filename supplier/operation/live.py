"""What a serving supplier says of itself, for the commands that run beside it."""

import ssl
from typing import Any

import orjson

from node.http import ClientPool, HttpClientError, Timeout
from supplier.settings import ServerSettings

ANSWER_S = 2.0
ANYWHERE = frozenset({"", "0.0.0.0", "::"})


async def read_live(settings: ServerSettings) -> dict[str, Any] | None:
    """The health page of the supplier of these settings; None where it does not answer.

    Its certificate is for its public name, which is not asked for here, and nothing secret is said.
    """
    host = "127.0.0.1" if settings.host in ANYWHERE else settings.host
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    url = f"{settings.tls.scheme}://{host}:{settings.port}/lode/v1/health"
    try:
        async with ClientPool(ssl=tls) as pool:
            answer = await pool.request(
                b"GET", url, timeout=Timeout(ANSWER_S, ANSWER_S, ANSWER_S, ANSWER_S)
            )
        page: dict[str, Any] = orjson.loads(answer.body)
    except (HttpClientError, orjson.JSONDecodeError):
        return None
    return page


def describe_engine(engine: dict[str, Any]) -> str:
    """One line on an engine: up or down, its relays, its queue, its key-value cache."""
    words = ["up" if engine["up"] else "down"]
    if engine["phase"] != "serving":
        words.append(engine["phase"])
    words.append(f"{engine['relays']} relays in hand")
    if "running" in engine:
        words += [
            f"{engine['running']} requests running",
            f"{engine['waiting']} waiting",
            f"{engine['kv_cache_used']:.0%} of the KV cache used",
        ]
    if engine["restarts"]:
        words.append(f"started again {engine['restarts']} times")
    return ", ".join(words)
