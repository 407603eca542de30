"""What every command of the supplier takes, and how it runs."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts import ChainError, Market
from node.command import run_command
from node.output import Output
from relay_mining import Address
from supplier.keys import load_owner
from supplier.owner import Owner
from supplier.settings import Settings

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file; default supplier.toml")
]
Json = Annotated[bool, typer.Option("--json", help="end with one JSON object")]
Key = Annotated[str | None, typer.Option("--key", help="raw private key, local network only")]
DEFAULT_CONFIG = Path("supplier.toml")


@dataclass(slots=True)
class _Global:
    config: Path | None = None
    json: bool = False


_GLOBAL = _Global()


def options(config: Config = None, json: Json = False) -> None:
    """Serve models and be paid: init, stake, list, serve."""
    _GLOBAL.config, _GLOBAL.json = config, json


@dataclass(frozen=True, slots=True)
class AtMarket:
    """A registered supplier at its market, as long as a command is there."""

    settings: Settings
    supplier: Address
    market: Market

    def owner(self, key: str | None) -> Owner:
        """Whoever holds the owner's key, or the raw key given."""
        return owner_of(self.market, self.settings, key)


class Command:
    """One run of a command: its settings, its output, its market."""

    def __init__(self, config: Path | None, json: bool) -> None:
        self.output = Output(json or _GLOBAL.json)
        self.path = config or _GLOBAL.config or DEFAULT_CONFIG

    def run(self, work: Callable[["Command"], Coroutine[Any, Any, dict[str, object]]]) -> None:
        """Run to the end and print the result; exit status 1 with a sentence on failure."""
        run_command(self.output, lambda: work(self), ChainError)

    def settings(self) -> Settings:
        """The settings in effect; a file that was named has to be there."""
        is_named = self.path is not DEFAULT_CONFIG
        return Settings.load(self.path if is_named or self.path.exists() else None)

    @asynccontextmanager
    async def at_market(self) -> AsyncIterator[AtMarket]:
        """The supplier of the settings at its market; raises OperatorError where there is none."""
        settings = self.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            yield AtMarket(settings, supplier, market)


def owner_of(market: Market, settings: Settings, key: str | None) -> Owner:
    """Whoever holds the owner's key of the settings, or the raw key given."""
    secret = load_owner(settings.keys, market.book.chain_id, key)
    return Owner(market, secret.reveal(), settings.chain.policy())
