"""Whether gateways reach this server at its URL on the chain, as far as one can tell here."""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from node.addresses import is_public
from node.http import ClientPool, HttpClientError, Timeout
from node.keystore import LOCALNET_CHAIN_ID
from relay_mining import Address
from supplier.operation.doctor.finding import Finding, failed, ok, skipped, warning
from supplier.operation.outside import Reach

ANSWER = Timeout(connect=5.0, first_byte=5.0, read=5.0, total=10.0)
FORWARD = "forward the port to this machine, or mend DNS and public_url"
DIAL = "let this machine open connections to it, or name its address in dial.urls"


async def check_reach(pool: ClientPool, url: str, supplier: Address, is_serving: bool) -> Finding:
    """Open the advertised URL as a gateway would, certificate and name included."""
    try:
        answer = await pool.request(b"GET", f"{url.rstrip('/')}/lode/v1/health", timeout=ANSWER)
        page = orjson.loads(answer.body)
    except HttpClientError as error:
        if not is_serving:
            return skipped("reachability", "`supplier serve` is not running; ask again when it is")
        return failed("reachability", f"{url} does not answer: {error}", FORWARD)
    except orjson.JSONDecodeError:
        page = None
    found = page.get("supplier") if isinstance(page, dict) else None
    if not isinstance(found, str):
        return failed("reachability", f"{url} is answered by something else", FORWARD)
    if found != "0x" + supplier.hex():
        return failed("reachability", f"{url} is answered by the supplier {found}", FORWARD)
    return ok("reachability", f"{url} is answered by this supplier, opened from this machine")


def check_address(url: str, chain_id: int) -> Finding:
    """Whether the advertised host is one that gateways connect to: a public address."""
    host = urlsplit(url).hostname or ""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        return failed("address", f"{host} does not resolve: {error}", "mend DNS or public_url")
    private = sorted(each for each in found if not is_public(ipaddress.ip_address(each)))
    if chain_id == LOCALNET_CHAIN_ID:
        return ok("address", f"{host}, on a local network")
    if private:
        says = f"{host} is {', '.join(private)}, which gateways elsewhere do not connect to"
        return failed("address", says, "advertise a public address in public_url")
    if url.startswith("http://"):
        return warning(
            "address", "prompts and answers travel in clear",
            "get a certificate and advertise https",
        )  # fmt: skip
    return ok("address", f"{host} is {', '.join(sorted(found))}")


def judge_lines(live: dict[str, Any] | None) -> Iterator[Finding]:
    """Of a supplier that dials its gateways: which of them have its lines, and why others not."""
    if live is None:
        yield skipped("reachability", "`supplier serve` is not running; ask again when it is")
        return
    gateways = live.get("gateways", [])
    if not gateways:
        yield skipped("reachability", "no application has funds behind a gateway for its services")
    is_reached = any(each["lines"] for each in gateways)
    for each in gateways:
        name = f"gateway {each['url']}"
        if each["lines"]:
            yield ok(name, f"it has {each['lines']} lines of this supplier's")
            continue
        judge = warning if is_reached else failed
        yield judge(name, f"it has no line: {each['error'] or 'it is being dialled'}", DIAL)


def judge_reaches(reaches: Sequence[Reach], is_serving: bool) -> Iterator[Finding]:
    """What gateways say when they are asked to open the URL on the chain: from outside."""
    if not is_serving:
        yield skipped("from outside", "`supplier serve` is not running; ask again when it is")
        return
    if not reaches:
        yield skipped("from outside", "no application has funds behind a gateway for its services")
    is_reached = any(each.is_reached for each in reaches)
    for each in reaches:
        name = f"gateway {each.url}"
        if each.is_reached is None:
            yield skipped(name, each.why)
        elif each.is_reached:
            yield ok(name, "it reaches this supplier, as it says")
        else:
            judge = warning if is_reached else failed
            yield judge(name, f"it does not reach this supplier: {each.why}", FORWARD)


def judge_visits(sessions: list[tuple[int, int]], current: int) -> Finding:
    """What the last sessions say of reachability from outside: `(number, relays)`, newest first."""
    for number, relays in sessions:
        if relays:
            return ok("visits", f"gateways had {relays} relays served in session {number}, "
                      f"{current - number} before this one")  # fmt: skip
    return skipped("visits", "no gateway has had a relay served yet: `supplier explain` says why")
