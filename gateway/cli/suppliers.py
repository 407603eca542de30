"""The commands for suppliers: where each stands, and whom not to ask."""

from typing import Annotated

import typer

from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.cli import offline
from gateway.cli.command import Config, Json, run
from gateway.settings import Settings
from node.output import Output
from node.settings import parse_hex

suppliers_app = typer.Typer(no_args_is_help=True, help="Suppliers: standing, and the deny-list.")
Supplier = Annotated[str, typer.Argument(help="0x + 40 hex.")]
COLUMNS = (
    "supplier", "standing", "tries", "answers", "faults", "overclaims", "owed_units",
    "credit_units", "units_receipted",
)  # fmt: skip


@suppliers_app.command("list")
def list_suppliers(config: Config = None, json: Json = False) -> None:
    """Show where each supplier stands with the running gateway, and who is denied.

    Example: gateway suppliers list
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        found = await offline.read_suppliers(settings)
        output.table("Suppliers", COLUMNS, [[each[name] for name in COLUMNS] for each in found])
        with Database(settings.tables) as tables:
            return {"suppliers": found, "denied": _show(DenyList(tables))}

    run(config, json, work)


@suppliers_app.command("deny")
def deny_supplier(
    supplier: Supplier,
    reason: Annotated[str, typer.Option(help="For whoever reads the list.")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Ask a supplier no more, whatever it is drawn for; a running gateway follows within a second.

    Example: gateway suppliers deny 0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc --reason slow
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        with Database(settings.tables) as tables:
            denied = DenyList(tables)
            denied.deny(parse_hex("supplier", supplier, 20), reason)
            return {"denied": _show(denied)}

    run(config, json, work)


@suppliers_app.command("allow")
def allow_supplier(supplier: Supplier, config: Config = None, json: Json = False) -> None:
    """Take a supplier off the deny-list.

    Example: gateway suppliers allow 0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        with Database(settings.tables) as tables:
            denied = DenyList(tables)
            was_on = denied.allow(parse_hex("supplier", supplier, 20))
            return {"was_denied": was_on, "denied": _show(denied)}

    run(config, json, work)


def _show(denied: DenyList) -> dict[str, str]:
    return {"0x" + each.hex(): reason for each, reason in sorted(denied.rows().items())}
