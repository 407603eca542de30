"""The guard against being sent to one's own insides."""

import ipaddress

import pytest

from node.addresses import AddressGuard, is_public
from node.http import AddressRefused, ClientPool
from tests.node.loops import on_loops
from tests.node.wire import serving

INSIDE = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.0",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2001::1",
    "2001:db8::1",
    "fc00::",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "3fff::1",
    "4000::1",
]
OUTSIDE = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00::1",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2002:101:101::",
]


@pytest.mark.parametrize("text", INSIDE)
def test_inside_addresses_are_refused(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))
    assert not AddressGuard()(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_their_neighbours_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))
    assert AddressGuard()(ipaddress.ip_address(text))


def test_named_networks_are_allowed_and_nothing_beside_them() -> None:
    guard = AddressGuard(["127.0.0.0/8", "fd00::/64"])
    for text in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "1.1.1.1"):
        assert guard(ipaddress.ip_address(text))
    for text in ("10.0.0.1", "::1", "fd00:0:0:1::1", "169.254.169.254"):
        assert not guard(ipaddress.ip_address(text))
    with pytest.raises(ValueError, match="host bits"):
        AddressGuard(["127.0.0.1/8"])


@on_loops
async def test_spellings_of_loopback_do_not_get_past_the_client() -> None:
    async with serving() as server, ClientPool(allow_address=AddressGuard()) as pool:
        hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"]
        for host in [*hosts, "127.1", "0.0.0.0"]:
            with pytest.raises(AddressRefused):
                await pool.request("GET", f"http://{host}:{server.port}/")
        assert server.connections == 0
    async with serving() as server, ClientPool(allow_address=AddressGuard(["127.0.0.1"])) as pool:
        assert (await pool.request("GET", f"http://127.1:{server.port}/")).status == 200
