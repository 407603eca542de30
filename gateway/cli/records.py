"""The commands that account for everything: explain, reconcile, usage, audit."""

from pathlib import Path
from typing import Annotated, Any

import typer

from contracts import Market
from gateway.access.audit_log import read_actions
from gateway.access.database import Database
from gateway.access.projects import ProjectStore
from gateway.books.records import Records, reconcile_logs
from gateway.books.stories import CONSIDERED
from gateway.cli import offline
from gateway.cli.command import Config, Json, resolve, run
from gateway.cli.keys import read_keys
from gateway.errors import RequestNotFoundError
from gateway.settings import Settings
from gateway.settlement.reconciling import Comparison
from node.errors import OperatorError
from node.output import Output
from node.settings import parse_hex

RequestId = Annotated[str, typer.Argument(help="The `x-request-id` of its answer, req_...")]


def explain(request: RequestId, config: Config = None, json: Json = False) -> None:
    """Tell who was considered for a request, who was chosen and why, and what it cost.

    Example: gateway explain req_6f1c2d3e4b5a69788796a5b4c3d2e1f0
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        story = read_story(Records(settings.data_dir), request)
        _show_story(output, story)
        return story

    run(config, json, work)


def read_story(records: Records, request: str) -> dict[str, Any]:
    """What became of a request; raises RequestNotFoundError, for what is no id too."""
    try:
        return records.explain(request)
    except ValueError as error:
        raise RequestNotFoundError(str(error)) from error


def _show_story(output: Output, story: dict[str, Any]) -> None:
    for each in story["tries"]:
        columns = [*CONSIDERED]
        rows = [[one[name] for name in columns] for one in each["considered"]]
        output.table("Considered", columns, rows)
        output.line(f"chosen {each['supplier']}: {each['why']}")
        first = f", first byte {each['first_byte_ms']} ms" if each["first_byte_ms"] else ""
        output.line(
            f"  {each['disposition']} after {each['latency_ms']} ms{first}: "
            f"{each['units']} units at {each['price']} {each['detail']}"
        )
    columns = ["response", "supplier", "session", "units", "is_delivered"]
    rows = [[one[name] for name in columns] for one in story["receipts"]]
    output.table("Receipts", columns, rows)
    output.line(f"{story['disposition']}: {story['cost']} token base units")


def reconcile(
    flagged: Annotated[bool, typer.Option(help="Only what chance does not explain.")] = False,
    data_dir: Annotated[
        list[Path] | None, typer.Option(help="Another replica's data_dir, or a copy; repeatable.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Compare receipts with the chain's claims, session by session, within the sampling error.

    Example: gateway reconcile --flagged
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        gateway = parse_hex("gateway_id", resolve(settings, None).gateway_id, 20)
        folders = _find_receipts(settings, data_dir or [])
        async with await Market.open(settings.chain) as market:
            found = await reconcile_logs(folders, market, gateway)
        rows = [_show(each) for each in found.compared if each.finding.is_flagged or not flagged]
        columns = list(rows[0]) if rows else ["session"]
        output.table("Receipts and claims", columns, [list(row.values()) for row in rows])
        return {
            "sessions": rows,
            "receipted": sum(each.receipted for each in found.compared),
            "claimed": sum(each.claimed or 0 for each in found.compared),
            "flagged": sum(each.finding.is_flagged for each in found.compared),
            "left_out_until": found.removed_until if found.removed_until >= 0 else None,
        }

    run(config, json, work)


def _find_receipts(settings: Settings, others: list[Path]) -> set[Path]:
    """The logs of receipts of every replica; raises OperatorError where some are not given."""
    folders = {each.resolve() / "receipts" for each in (settings.data_dir, *others)}
    missing = sorted(str(each.parent) for each in folders if not each.is_dir())
    if missing:
        raise OperatorError(f"{', '.join(missing)} has no receipts; give a gateway's data_dir")
    if len(folders) < settings.replicas:
        raise OperatorError(
            f"replicas = {settings.replicas}, each with receipts of its own, and {len(folders)} "
            "given: name the data_dir of every other one, or a copy, with --data-dir"
        )
    return folders


def _show(each: Comparison) -> dict[str, object]:
    return {
        "session": each.session.number,
        "service": "0x" + each.session.service.hex(),
        "supplier": "0x" + each.supplier.hex(),
        "receipts": each.receipts,
        "units_receipted": each.receipted,
        "units_claimed": each.claimed,
        "error_max": each.error_max,
        "value": each.value,
        "finding": each.finding.value,
    }


def usage(
    daily: Annotated[bool, typer.Option(help="By day and model too.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what each API key, project and model has used, and spent of its budgets.

    Example: gateway usage --daily
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        status = await offline.read_status(settings)
        keys = read_keys(settings)
        found = offline.join_usage(status, keys)
        offline.show_usage(output, "API key", found)
        with Database(settings.tables) as tables:
            projects = offline.join_projects(found, keys, ProjectStore(tables).list())
        offline.show_usage(output, "project", projects)
        days = offline.read_days(status)
        models = offline.join_models(days)
        offline.show_models(output, models)
        if daily:
            offline.show_days(output, days)
        return {
            "keys": found, "projects": projects, "models": models, "days": days,
            "requests": status["requests"],
        }  # fmt: skip

    run(config, json, work)


def audit(config: Config = None, json: Json = False) -> None:
    """Show who changed keys and the deny-list, the newest change first.

    Example: gateway audit
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        with Database(settings.tables) as tables:
            found = read_actions(tables)
        columns = ["at", "actor", "action", "target", "detail"]
        output.table("Changes", columns, [[each[name] for name in columns] for each in found])
        return {"actions": found}

    run(config, json, work)
