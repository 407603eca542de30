"""The command line of every adversary that is a whole supplier."""

import argparse
import asyncio
from pathlib import Path

from node.telemetry import setup_logging
from supplier.app import run
from supplier.mining.miner import Miner
from supplier.server.relays import RelayServer
from supplier.settings import Settings


def serve(miner: type[Miner] = Miner, relays: type[RelayServer] = RelayServer) -> None:
    """Serve with the configuration of an honest supplier, and cheat."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    settings = Settings.load(parser.parse_args().config)
    setup_logging()
    asyncio.run(run(settings, miner=miner, relays=relays))
