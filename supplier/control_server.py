"""What an operator asks of a running node: its commands, its page, its settings read again."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from contracts import until_reachable
from node.dashboard import site_handler
from node.http import serve
from node.reloading import Reloader, Target
from node.telemetry import metrics_handler
from supplier.dashboard import Board, Sources
from supplier.fleet import CONTROL, Control
from supplier.keys import load_operators
from supplier.mining.credit import compute_policy
from supplier.mining.settler import Settler
from supplier.parts import Node
from supplier.server.relays import RelayServer
from supplier.settings import Settings


def open_control(node: Node) -> Control:
    """What commands may ask of this node."""

    async def restart(request: dict[str, Any], say: Callable[[str], None]) -> None:
        await node.fleet.restart(str(request.get("engine")), say)

    async def change(request: dict[str, Any], say: Callable[[str], None]) -> None:
        in_place = request.get("in_place") is True
        await node.fleet.apply(node.reread(), say, in_place=in_place)

    return Control(node.settings.data_dir / CONTROL, {"restart": restart, "change": change})


def reload_on_hangup(node: Node, settler: Settler) -> None:
    """At SIGHUP read certificates and settings again."""

    async def take_keys(settings: Settings) -> None:
        chain_id = node.market.book.chain_id
        for key in await asyncio.to_thread(load_operators, settings.keys, chain_id):
            node.operators.add(key)

    def take_credit(settings: Settings) -> None:
        node.backing.books.credit = compute_policy(settings.credit)

    targets: dict[str, Target[Settings]] = {
        "admission": lambda settings: node.fleet.configure(settings.admission),
        "credit": take_credit,
        "engine": node.fleet.propose,
        "engines": node.fleet.propose,
        "services": node.fleet.propose,
        "keys": take_keys,
        "settlement": lambda settings: settler.configure(settings.settlement),
    }
    reloader = Reloader(node.settings, node.reread, targets)

    def reload() -> None:
        if node.tls is not None:
            node.tls.try_renew()
        reloader.begin()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


async def run_board(node: Node, relays: RelayServer) -> None:
    """Serve the admin port's page and the metrics, until cancelled."""
    board = await until_reachable(lambda: _open_board(node, relays))
    settings, handler = node.settings.server, metrics_handler(node.metrics.registry)
    server = await serve(
        site_handler(board.site, handler), settings.metrics_host, settings.metrics_port
    )
    try:
        await board.run()
    finally:
        board.close()
        await server.close(0.0)


async def _open_board(node: Node, relays: RelayServer) -> Board:
    """The page on the admin port, which looks at the node and changes nothing."""
    sources = Sources(
        node.view.supplier, node.view, node.backing.books, node.backing.store, node.fleet.summary,
        lambda: len(relays.open), node.settings.settlement.gas_units_per_claim,
    )  # fmt: skip
    return await Board.open(node.market, sources)
