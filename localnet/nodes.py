"""The running nodes of a local market, and what they say of themselves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from localnet.chain import TestAccount
from localnet.processes import Node
from localnet.provision import Place, run_gateway

OK = 200


@dataclass(frozen=True, slots=True)
class SupplierNode:
    """One supplier of the market."""

    name: str
    config: Path
    supplier: bytes
    owner: TestAccount
    url: str
    """Where this machine reaches it; gateways perhaps do not."""
    page_url: str
    """Its own page, and its metrics under `/metrics`."""
    cheat: str
    """The adversary it runs; empty for an honest one."""
    node: Node


@dataclass(frozen=True, slots=True)
class GatewayNode:
    """One gateway of the market."""

    config: Path
    owner: TestAccount
    place: Place
    control_url: str
    api_key: str
    node: Node

    @property
    def base_url(self) -> str:
        """Where clients reach it."""
        return f"{self.place.url}/v1"

    def answers(self, page: str) -> bool:
        """Whether `healthz` or `readyz` says yes."""
        return status_of(f"{self.place.url}/{page}") == OK

    def session(self) -> int:
        """The session that it sees."""
        number: int = run_gateway(self.config, "status")["session"]
        return number


def session_of(url: str) -> int:
    """The session that the supplier at `url` sees."""
    return int(_health_of(url)["session"])


def has_lines(url: str) -> bool:
    """Whether the supplier at `url`, which dials, has a line to a gateway."""
    return any(each["lines"] for each in _health_of(url)["gateways"])


def _health_of(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/lode/v1/health", timeout=5.0).json()
    return found


def status_of(url: str) -> int:
    """The status of a GET; 0 while nobody answers."""
    try:
        return httpx.get(url, timeout=5.0).status_code
    except httpx.HTTPError:
        return 0
