"""Connecting to an origin: resolve, check the address, connect to that very address."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl as tls
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from node.http.errors import AddressRefused, ConnectFailed

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressFilter = Callable[[IpAddress], bool]
Protocol = TypeVar("Protocol", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what a connection may be shared by."""

    tls: bool
    host: str
    port: int
    """0 where the host dials us: its connections are lines."""


@dataclass(frozen=True, slots=True)
class Connector:
    """Opens connections to one origin."""

    origin: Origin
    context: tls.SSLContext | None
    allow_address: AddressFilter | None

    async def connect(self, make: Callable[[], Protocol]) -> Protocol:
        """A protocol of `make`, connected; raises ConnectFailed or AddressRefused."""
        loop, origin = asyncio.get_running_loop(), self.origin
        failure: OSError | None = None
        for address in await self._resolve(loop):
            try:
                _, protocol = await loop.create_connection(
                    make, address, origin.port, ssl=self.context,
                    server_hostname=origin.host if self.context else None,
                )  # fmt: skip
            except OSError as error:  # ssl.SSLError is one
                failure = error
            else:
                return protocol
        raise ConnectFailed(f"cannot connect to {origin.host}: {failure}") from failure

    async def _resolve(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        host, port = self.origin.host, self.origin.port
        try:
            ipaddress.ip_address(host)
        except ValueError:
            try:
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:  # names that IDNA cannot write are the latter
                raise ConnectFailed(f"cannot resolve {host}: {error}") from error
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        else:
            addresses = [host]
        if self.allow_address is None:
            return addresses
        allowed = [a for a in addresses if self.allow_address(ipaddress.ip_address(a))]
        if not allowed:
            raise AddressRefused(f"{host} resolves to no allowed address")
        return allowed
