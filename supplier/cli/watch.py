"""The command that proves for others."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from contracts import Market, TxSender, until_reachable
from node.errors import OperatorError
from node.telemetry import setup_logging
from supplier.app import stop_on_signals
from supplier.cli.command import Command, Config, Json
from supplier.keys import load_operator
from supplier.mining.bundles import BundleFolder
from supplier.mining.chain_view import ChainView
from supplier.mining.watchtower import Watchtower
from supplier.settings import Settings

NO_SUPPLIER = bytes(20)
"""A watchtower is drawn for no session."""


def watch(
    bundles: Annotated[
        Path, typer.Option(help="folder that nodes write to (settlement.bundles_dir)")
    ],
    config: Config = None,
    json: Json = False,
    patience: Annotated[
        int, typer.Option(min=0, max=99, help="percent of the proof window left to the node")
    ] = 50,
    log_level: str = "INFO",
) -> None:
    """Prove claims whose node does not, and is paid all the same; until SIGTERM or Ctrl-C.

    The key of the settings pays the gas; it is the watchtower's own and needs no stake.

    Example: supplier watch --config watch.toml --bundles /mnt/bundles
    """
    setup_logging(log_level)

    async def work(command: Command) -> dict[str, object]:
        if not bundles.is_dir():
            raise OperatorError(f"{bundles} is no folder: name the one nodes write bundles to")
        return {"proved": await _watch(command, command.settings(), bundles, patience)}

    Command(config, json).run(work)


async def _watch(command: Command, settings: Settings, bundles: Path, patience: int) -> int:
    stop = stop_on_signals()
    async with Market.unverified(settings.chain) as market:
        key = load_operator(settings.keys, market.book.chain_id)
        chain = settings.chain
        view = ChainView(market, NO_SUPPLIER, chain.confirmations, chain.poll_s)
        sender = TxSender(market.chain, key.reveal(), chain.policy())
        tower = Watchtower(view, sender, BundleFolder(bundles), patience)

        async def follow() -> None:
            await until_reachable(market.verify)
            await until_reachable(view.start)
            command.output.line(f"watching {bundles}, gas is paid by 0x{sender.address.hex()}")
            await tower.run()

        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow())
            await stop.wait()
            following.cancel()
    return tower.proved
