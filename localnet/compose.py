"""The set-up jobs of compose.yaml; each may run again and leaves done what is done.

    python -m localnet.compose secrets
    python -m localnet.compose provision --rpc http://chain:8545 --suppliers 3
    python -m localnet.compose open --rpc http://chain:8545 --suppliers 3
    python -m localnet.compose provision-vllm --rpc http://chain:8545 --first 4

Under FOLDER each node has a directory of its own (`supplier-0`, `gateway-0`); what all may read,
the address book and the API key of the market's first application, is in `shared`, and the
databases' passwords are in `secrets`.
"""

import argparse
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from localnet.accounts import gateway_owner
from localnet.chain import DevChain
from localnet.opening import open_first_session
from localnet.provision import (
    DEMO_ENGINE,
    Done,
    EnginePlan,
    Place,
    Site,
    Terms,
)
from node.output import Output
from relay_mining import DIALS_OUT

ANY = "0.0.0.0"
"""Inside a container; compose.yaml decides what is published."""
SUPPLIER_PORT, PAGE_PORT, GATEWAY_PORT, CONTROL_PORT = 8800, 8801, 8080, 8081
GATEWAYS = ("gateway-0", "gateway-1")
"""Replicas of one gateway: the same keys and tables, and what each owes in its own directory."""
FRONT = "http://front:8080"
"""One port for all of them."""
POSTGRES_PASSWORD, REDIS_PASSWORD = "postgres_password", "redis_password"
REDIS_CONFIG = "redis.conf"
DIAL_SECTION = "\n[dial.urls]\n"
NAT = 2
"""The supplier that listens for nobody and dials the gateways, each replica by its name."""
TERMS = Terms(session_blocks=60, seed_offset=6, confirmations=6, claim_delay=30)
"""For containers that are killed: the chain forgets the five seconds since its state was written,
and a gateway that comes back within half a minute is in time with its last receipts."""
VLLM = EnginePlan(name="lode-demo-vllm", kind="vllm", url="http://vllm:8000")
"""An engine of another kind is another service."""


def make_secrets(folder: Path) -> None:
    """Draw the databases' passwords, unless they were drawn before."""
    folder.mkdir(exist_ok=True)
    _keep(folder / POSTGRES_PASSWORD, secrets.token_hex(24))
    password = _keep(folder / REDIS_PASSWORD, secrets.token_hex(24))
    _keep(folder / REDIS_CONFIG, f"requirepass {password}\n")


def _keep(path: Path, text: str) -> str:
    """What the file holds; `text`, if it is new."""
    if not path.exists():
        path.write_text(text)
        path.chmod(0o444)  # its readers are other users; nobody else has the volume
    return path.read_text()


def provision(
    site: Site, folder: Path, suppliers: range, members: int, say: Callable[[str], None]
) -> None:
    """Deploy, list the service, register and configure every node."""
    shared = folder / "shared"
    done = Done(shared / "done")
    site.deploy(members)
    site.mint(suppliers.stop)
    say("contracts are deployed, everybody has test tokens")
    service = site.list_service(shared)
    done.write("service", service.hex())
    for number in suppliers:
        _add_supplier(site, folder, number, service, DEMO_ENGINE)
        say(f"supplier-{number} is staked and listed")
    if not done.read("gateway"):
        key = _add_gateways(site, folder, service)
        (shared / "api_key").write_text(key)
        done.write("gateway", True)
    say(f"the gateway is registered and funded; API key in {shared / 'api_key'}")


def _add_gateways(site: Site, folder: Path, service: bytes) -> str:
    """One gateway, its settings for each replica; returns an API key."""
    first, *others = (folder / name / "gateway.toml" for name in GATEWAYS)
    place, control = Place(ANY, GATEWAY_PORT, FRONT), Place(ANY, CONTROL_PORT, "")
    database, limits = (
        (folder / "secrets" / name).read_text() for name in (POSTGRES_PASSWORD, REDIS_PASSWORD)
    )
    together = (
        f'database_url = "postgresql://lode:{database}@postgres/lode"',
        f'limits_url = "redis://:{limits}@redis:6379/0"',
        f"replicas = {len(GATEWAYS)}",
        f'shared_dir = "{folder / "gateways"}"',
    )
    key = site.add_gateway(first, service, place, control, together)
    for other in others:
        shutil.copy(first, other)
    return key


def provision_vllm(site: Site, folder: Path, number: int, say: Callable[[str], None]) -> None:
    """List the demo model behind vLLM as a service, with a supplier and a delegation."""
    done = Done(folder / "shared" / "done")
    site.mint(number + 1)
    service = site.list_service(folder / "shared" / VLLM.name, VLLM)
    _add_supplier(site, folder, number, service, VLLM)
    if not done.read(VLLM.name):
        site.delegate(folder / GATEWAYS[0] / "gateway.toml", service)
        done.write(VLLM.name, service.hex())
    say(f"supplier-{number} is staked and listed for {VLLM.name}")


def _add_supplier(
    site: Site, folder: Path, number: int, service: bytes, engine: EnginePlan
) -> None:
    name = f"supplier-{number}"
    done = Done(folder / "shared" / "done")
    if done.read(name):
        return
    config = folder / name / "supplier.toml"
    if number == NAT:
        place = Place("127.0.0.1", SUPPLIER_PORT, DIALS_OUT, PAGE_PORT, page_host=ANY)
    else:
        place = Place(ANY, SUPPLIER_PORT, f"http://{name}:{SUPPLIER_PORT}", PAGE_PORT)
    supplier = site.add_supplier(config, number, service, place, engine)
    if number == NAT:
        _dial_replicas(config)
    done.write(name, supplier.hex())


def _dial_replicas(config: Path) -> None:
    """Have a supplier dial each replica, not whichever the front picks; may run again."""
    urls = ", ".join(f'"http://{each}:{GATEWAY_PORT}/v1"' for each in GATEWAYS)
    text = config.read_text().partition(DIAL_SECTION)[0]
    config.write_text(f'{text}{DIAL_SECTION}"{gateway_owner().address}" = [{urls}]\n')


def open_market(site: Site, folder: Path, members: int, block_time_s: int) -> None:
    """Skip idle blocks until suppliers are in a roster; of a market that was open, none."""
    done = Done(folder / "shared" / "done")
    if done.read("open"):
        return  # its blocks are the windows of claims, and whoever has joined or left is no matter
    service = bytes.fromhex(done.read("service"))
    open_first_session(DevChain(site.rpc), site.book, service, members, block_time_s)
    done.write("open", True)


def main() -> None:
    """Run one job."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", choices=["secrets", "provision", "open", "provision-vllm"])
    parser.add_argument("--rpc", default="http://chain:8545")
    parser.add_argument("--folder", type=Path, default=Path("/market"))
    parser.add_argument("--suppliers", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="number of the first supplier")
    parser.add_argument("--members", type=int, default=3, help="suppliers in a session")
    parser.add_argument("--block-time", type=int, default=1, help="seconds")
    options = parser.parse_args()
    output = Output()
    site = Site(options.rpc, options.folder / "shared" / "addressbook.json", TERMS)
    if options.job == "secrets":
        make_secrets(options.folder / "secrets")
        return
    if options.job == "open":
        open_market(site, options.folder, options.suppliers, options.block_time)
        output.line("the first session is open")
        return
    if options.job == "provision-vllm":
        provision_vllm(site, options.folder, options.first, output.line)
        return
    numbers = range(options.first, options.first + options.suppliers)
    provision(site, options.folder, numbers, options.members, output.line)


if __name__ == "__main__":
    main()
