"""The two set-up jobs of compose.yaml; each may run again and leaves done what is done.

    python -m localnet.compose provision --rpc http://chain:8545 --suppliers 3
    python -m localnet.compose open --rpc http://chain:8545 --suppliers 3

Under FOLDER each node has a directory of its own (`supplier-0`, `gateway`); what all may read, the
address book and the API key of the market's first application, is in `shared`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from localnet.chain import DevChain
from localnet.opening import open_first_session
from localnet.provision import DEFAULT_TERMS, Done, Place, Site, Terms
from node.output import Output

ANY = "0.0.0.0"
"""Inside a container; compose.yaml decides what is published."""
SUPPLIER_PORT, GATEWAY_PORT, CONTROL_PORT = 8800, 8080, 8081


def provision(
    site: Site, folder: Path, suppliers: range, members: int, say: Callable[[str], None]
) -> None:
    """Deploy, list the service, register and configure every node."""
    shared = folder / "shared"
    done = Done(shared / "done.json")
    site.deploy(members)
    site.mint(suppliers.stop)
    say("contracts are deployed, everybody has test tokens")
    service = site.list_service(shared)
    done.write("service", service.hex())
    for number in suppliers:
        name = f"supplier-{number}"
        if not done.read(name):
            place = Place(ANY, SUPPLIER_PORT, f"http://{name}:{SUPPLIER_PORT}")
            config = folder / name / "supplier.toml"
            done.write(name, site.add_supplier(config, number, service, place).hex())
        say(f"{name} is staked and listed")
    if not done.read("gateway"):
        place = Place(ANY, GATEWAY_PORT, f"http://gateway:{GATEWAY_PORT}")
        control = Place(ANY, CONTROL_PORT, f"http://gateway:{CONTROL_PORT}")
        key = site.add_gateway(folder / "gateway" / "gateway.toml", service, place, control)
        (shared / "api_key").write_text(key)
        done.write("gateway", True)
    say(f"the gateway is registered and funded; API key in {shared / 'api_key'}")


def open_market(site: Site, folder: Path, members: int, block_time_s: int) -> None:
    """Skip idle blocks until suppliers are in a roster."""
    service = bytes.fromhex(Done(folder / "shared" / "done.json").read("service"))
    open_first_session(DevChain(site.rpc), site.book, service, members, block_time_s)


def main() -> None:
    """Run one job."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", choices=["provision", "open"])
    parser.add_argument("--rpc", default="http://chain:8545")
    parser.add_argument("--folder", type=Path, default=Path("/market"))
    parser.add_argument("--suppliers", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="number of the first supplier")
    parser.add_argument("--members", type=int, default=3, help="suppliers in a session")
    parser.add_argument("--session-blocks", type=int, default=DEFAULT_TERMS.session_blocks)
    parser.add_argument("--block-time", type=int, default=1, help="seconds")
    options = parser.parse_args()
    output = Output()
    terms = Terms(session_blocks=options.session_blocks)
    site = Site(options.rpc, options.folder / "shared" / "addressbook.json", terms)
    if options.job == "open":
        open_market(site, options.folder, options.suppliers, options.block_time)
        output.line("the first session is open")
        return
    numbers = range(options.first, options.first + options.suppliers)
    provision(site, options.folder, numbers, options.members, output.line)


if __name__ == "__main__":
    main()
