"""Command line of the supplier: `supplier --help`."""

from collections.abc import Callable

import typer

from supplier.cli.command import options
from supplier.cli.engine import engine_cli
from supplier.cli.estimate import estimate_
from supplier.cli.keep import backup, restore, upgrade_check
from supplier.cli.leave import drain
from supplier.cli.money import earnings, funds
from supplier.cli.price import price_cli
from supplier.cli.rotate import rotate_key
from supplier.cli.serve import serve, status
from supplier.cli.setup import init
from supplier.cli.source import source_cli
from supplier.cli.stake import collect, list_, stake, unstake, update, withdraw
from supplier.cli.watch import watch
from supplier.cli.why import config_cli, doctor, explain

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Set up": (init, estimate_, stake, list_, update),
    "Serve": (serve, status, drain, watch),
    "Why": (doctor, explain),
    "Money": (funds, earnings, collect, unstake, withdraw),
    "Keep": (backup, restore, rotate_key, upgrade_check),
}
"""In the order of a supplier's life, by the panel of the help page they are shown in."""

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="Serve models and be paid.")
cli.callback()(options)
for panel, commands in COMMANDS.items():
    for command in commands:
        cli.command(command.__name__.rstrip("_").replace("_", "-"), rich_help_panel=panel)(command)
cli.add_typer(config_cli, name="config")
cli.add_typer(engine_cli, name="engine", rich_help_panel="Serve")
cli.add_typer(price_cli, name="price")
cli.add_typer(source_cli, name="source")


def main() -> None:
    """Entry point of the `supplier` console script."""
    cli()


if __name__ == "__main__":
    main()
