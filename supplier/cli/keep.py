"""The commands that keep a supplier going: backups, upgrades."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from contracts import Market, read_claims
from supplier.cli.command import Command, Config, Json
from supplier.cli.why import run_findings
from supplier.operation.backup import restore_backup, write_backup
from supplier.operation.doctor import Finding
from supplier.operation.funds import CLAIM_SESSIONS
from supplier.operation.ledger import read_books
from supplier.operation.rescue import Rescue, judge_rescue
from supplier.operation.upgrade_check import check_upgrade
from supplier.settings import Settings


def backup(
    target: Annotated[Path, typer.Argument(help="a new file")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Put settings, operator keystore and receipts into one file; `serve` may run meanwhile.

    Not in it: the keystore's password, the owner's key, the model, certificates. The settings are
    copied whole, with what they say of endpoints' API keys or a raw operator key: keep it private.

    Example: supplier backup /mnt/backup/supplier-$(date +%s).tar.gz
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        manifest = write_backup(settings, command.path, target)
        command.output.line(f"{manifest.receipts} receipts; later ones are not in it")
        return {"backup": str(target), "bytes": target.stat().st_size, **asdict(manifest)}

    Command(config, json).run(work)


def restore(
    source: Annotated[Path, typer.Argument(help="a file written by `supplier backup`")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Put a backup into a directory where no supplier is, and say what it can still earn.

    The old node must never run again beside the new one.

    Example: supplier restore supplier-1700000000.tar.gz --config /srv/lode/supplier.toml
    """

    async def work(command: Command) -> dict[str, object]:
        manifest = restore_backup(source, command.path)
        rescued = await _read_rescue(Settings.load(command.path))
        command.output.table(
            "sessions in the backup", ("session", "receipted units", "what can be done", "bond"),
            [(each.number, each.units, each.says, each.bond_at_risk) for each in rescued],
        )  # fmt: skip
        return {
            "config": str(command.path),
            "receipts": manifest.receipts,
            "created": manifest.created,
            "sessions": [asdict(each) for each in rescued],
        }

    Command(config, json).run(work)


async def _read_rescue(settings: Settings) -> list[Rescue]:
    """What the chain lets the restored receipts earn; nothing for one that never registered."""
    if not settings.supplier_id:
        return []
    supplier = settings.supplier()
    async with await Market.open(settings.chain) as market:
        books = read_books(settings, supplier, market.domain)
        clock, head = await market.sessions.clock(), (await market.chain.head()).number
        first = clock.start(max(0, clock.session_at(head) - CLAIM_SESSIONS))
        claims = await read_claims(market.chain, market.book, first, head)
    own = {each.claim.session.id: each for each in claims if each.claim.supplier == supplier}
    return [
        judge_rescue(book, own.get(book.session_id), head, clock)
        for book in sorted(books.sessions.values(), key=lambda each: each.key.number)
    ]


def upgrade_check(
    config: Config = None,
    json: Json = False,
    restart_s: Annotated[
        float, typer.Option(min=1, help="how long the engine takes to start")
    ] = 120.0,
) -> None:
    """Say whether this release may take the place of the one that runs, and when.

    Reads settings, receipt log and tables as the new node would; changes nothing but columns that
    the tables lack. Exit status 1 where it should wait or would not start.

    Example: supplier upgrade-check --restart-s 300 && systemctl restart lode-supplier
    """

    async def look(command: Command) -> list[Finding]:
        return [each async for each in check_upgrade(command.settings(), restart_s)]

    run_findings(Command(config, json), "upgrade", look)
