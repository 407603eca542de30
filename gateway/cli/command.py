"""What every command of the gateway takes, and how it runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from contracts import AddressBook, ChainError
from gateway.errors import GatewayError
from gateway.keys import load_owner
from gateway.settings import Settings
from node.command import run_command
from node.output import Output

Config = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file; default gateway.toml"),
]
Key = Annotated[
    str | None, typer.Option("--key", help="Owner's raw key, hex; local network (31337) only.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Work = Callable[[Settings, Output], Awaitable[dict[str, object]]]
DEFAULT_CONFIG = Path("gateway.toml")


def run(config: Path | None, json: bool, work: Work) -> None:
    """Run a command under the settings of a file, `gateway.toml` where it is there."""
    output = Output(json)

    async def load_and_work() -> dict[str, object]:
        return await work(Settings.load(find_config(config)), output)

    run_command(output, load_and_work, ChainError, GatewayError)


def find_config(config: Path | None) -> Path | None:
    """The settings file that is meant: the one named, or `gateway.toml` where it is there."""
    return config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)


def chain_id(settings: Settings) -> int:
    """The chain that the configured contracts are on."""
    return AddressBook.load(settings.chain.address_book).chain_id


def resolve(settings: Settings, key: str | None) -> Settings:
    """Fill in the gateway's id and application, which default to the owner's address."""
    if settings.gateway_id and settings.application and key is None:
        return settings
    owner = "0x" + load_owner(settings.keys, chain_id(settings), key).address.hex()
    return fill_in(settings, owner, owner)


def fill_in(settings: Settings, gateway_id: str, application: str) -> Settings:
    """Settings that say whose they are, these where they do not say it themselves."""
    return settings.model_copy(
        update={
            "gateway_id": settings.gateway_id or gateway_id,
            "application": settings.application or application,
        }
    )
