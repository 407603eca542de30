"""The [[engines]] of a supplier's file as an operator edits them; what the node says of them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from localnet import LocalMarket
from localnet.market import SupplierNode
from localnet.provision import MODEL, MODEL_DIR

HEADER = """
[[engines]]
name = "{name}"
model = "{model}"
served_model_name = "{served}"
watch_interval_s = 0.2
"""


def write_engines(config: Path, engines: Mapping[str, str]) -> None:
    """Put engines of the demo model, by name with more lines of each, where others stood."""
    head, _, rest = config.read_text().partition("[engine]\n")
    if not rest:
        head, _, rest = head.partition("\n[[engines]]")
    rest = rest[rest.index("\n[admission]") :]
    tables = "".join(
        HEADER.format(name=name, model=MODEL_DIR, served=MODEL) + lines
        for name, lines in engines.items()
    )
    config.write_text(head + tables + rest)


def engines_up(market: LocalMarket) -> dict[str, bool]:
    """The engines of the only supplier, and which of them are up."""
    live = market.supplier_status(market.suppliers[0])["live"]
    return {each["name"]: each["up"] for each in live["engines"]}


def limits(market: LocalMarket) -> set[int]:
    """How many relays its engines work on at once."""
    live = market.supplier_status(market.suppliers[0])["live"]
    return {each["limit"] for each in live["engines"]}


def engine_processes(supplier: SupplierNode) -> list[int]:
    """The process ids of a supplier's engines, without what these have started."""
    argv = ["pgrep", "-P", str(supplier.node.process.pid)]
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]
