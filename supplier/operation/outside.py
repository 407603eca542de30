"""What gateways say of this supplier: whether they reach it, and where it stands with them.

Asked are those with most funds behind them for its services. What they answer is a stranger's word:
bounded, read strictly, and shown as theirs.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from contracts import Market
from node.addresses import AddressGuard
from node.http import ClientLimits, ClientPool, HttpClientError, Timeout
from node.keystore import LOCALNET_CHAIN_ID
from node.settings import parse_hex
from node.tls import load_client_tls
from relay_mining import Address
from supplier.dialling import GatewayFinder, Place
from supplier.settings import Settings

GATEWAYS_MAX = 5
PAGE_BYTES_MAX = 256 << 10
TEXT_MAX = 200
ANSWER = Timeout(connect=5.0, first_byte=12.0, read=5.0, total=15.0)
"""A gateway that opens this supplier's URL takes up to ten seconds for it."""


class StrangeAnswerError(Exception):
    """A gateway does not answer, or not what was asked."""


@dataclass(frozen=True, slots=True)
class Regard:
    """How one gateway regards this supplier; all but the URL as it says."""

    url: str
    standing: str = ""
    """`good`, `set aside`, `dropped`, `denied`; empty where it does not say."""
    credit_units: int = 0
    owed_units: int = 0
    tries: int = 0
    answers: int = 0
    faults: int = 0
    prices: tuple[str, ...] = ()
    """The rank of the price for each model it is asked for."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether one gateway reaches this supplier, as it says; None where it does not say."""

    url: str
    is_reached: bool | None
    why: str = ""


class Outside:
    """Asks the gateways that matter to a supplier."""

    def __init__(self, pool: ClientPool, places: Sequence[Place], supplier: Address) -> None:
        self._pool = pool
        self._urls = [each.url.rstrip("/") for each in places]
        self._name = "0x" + supplier.hex()

    async def regards(self) -> list[Regard]:
        """How each gateway regards this supplier."""
        return await asyncio.gather(*map(self._regard, self._urls))

    async def reaches(self) -> list[Reach]:
        """Whether each gateway reaches this supplier."""
        return await asyncio.gather(*map(self._reach, self._urls))

    async def _regard(self, url: str) -> Regard:
        try:
            return read_regard(url, await self._ask(f"{url}/suppliers/{self._name}"))
        except StrangeAnswerError as error:
            return Regard(url, error=str(error))

    async def _reach(self, url: str) -> Reach:
        try:
            page = await self._ask(f"{url}/reach/{self._name}")
        except StrangeAnswerError as error:
            return Reach(url, None, str(error))
        is_reached, why = page.get("is_reached"), page.get("why", "")
        if not isinstance(is_reached, bool) or not isinstance(why, str):
            return Reach(url, None, "it answers something else")
        return Reach(url, is_reached, why[:TEXT_MAX])

    async def _ask(self, url: str) -> dict[str, Any]:
        try:
            answer = await self._pool.request(b"GET", url, timeout=ANSWER)
            page = orjson.loads(answer.body)
        except HttpClientError as error:
            raise StrangeAnswerError(f"it does not answer: {error}") from error
        except orjson.JSONDecodeError as error:
            raise StrangeAnswerError("it answers something else") from error
        if answer.status != 200 or not isinstance(page, dict):
            raise StrangeAnswerError(f"it does not say (status {answer.status})")
        return page


def read_regard(url: str, page: dict[str, Any]) -> Regard:
    """A gateway's page on this supplier; raises StrangeAnswerError."""
    names = ("credit_units", "owed_units", "tries", "answers", "faults")
    try:
        standing, counts = page["standing"], [page[name] for name in names]
        prices = [(each["model"], each["rank"], each["of"]) for each in page["prices"]]
    except (KeyError, TypeError) as error:
        raise StrangeAnswerError("it answers something else") from error
    numbers = [*counts, *(number for _, *pair in prices for number in pair)]
    texts = [standing, *(model for model, *_ in prices)]
    if not all(type(each) is int for each in numbers) or not all(
        isinstance(each, str) for each in texts
    ):
        raise StrangeAnswerError("it answers something else")
    ranks = tuple(f"{rank} of {of} for {model[:TEXT_MAX]}" for model, rank, of in prices)
    named = dict(zip(names, counts, strict=True))
    return Regard(url, standing=standing[:TEXT_MAX], prices=ranks, **named)


async def find_gateways(market: Market, settings: Settings) -> tuple[Place, ...]:
    """The gateways with most covered funds behind them for the services of the settings.

    Raises ChainError.
    """
    services = [parse_hex("services", each, 32) for each in settings.services]
    urls = {parse_hex("dial.urls", each, 20): named for each, named in settings.dial.urls.items()}
    finder = GatewayFinder(market, services, GATEWAYS_MAX, urls)
    clock, head = await market.sessions.clock(), await market.chain.head()
    return await finder.find(clock.session_at(head.number), head.number)


def gateway_pool(settings: Settings, chain_id: int) -> ClientPool:
    """Connections to gateways; off the local network, to public addresses only."""
    is_local = chain_id == LOCALNET_CHAIN_ID
    return ClientPool(
        ClientLimits(body_bytes_max=PAGE_BYTES_MAX),
        load_client_tls(settings.dial.tls, "dial.tls"),
        None if is_local else AddressGuard(settings.dial.allow_networks),
    )
