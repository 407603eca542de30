"""The commands that account for everything: explain, receipts, reconcile, usage."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from contracts import Market
from gateway.access.audit_log import read_actions
from gateway.access.database import Database
from gateway.access.projects import ProjectStore
from gateway.books.bills import verify_bill, write_bill
from gateway.books.records import Records
from gateway.books.stories import CONSIDERED
from gateway.cli import offline
from gateway.cli.command import Config, Json, chain_id, resolve, run
from gateway.cli.keys import read_keys
from gateway.errors import GatewayError, RequestNotFoundError
from gateway.keys import load_keyring
from gateway.routing.relay import RelaySigner
from gateway.settings import Settings
from gateway.settlement.reconciling import Comparison
from node.command import run_command
from node.errors import OperatorError
from node.output import Output
from node.settings import parse_hex

receipts_app = typer.Typer(no_args_is_help=True, help="Bills, and whether they hold.")
RequestId = Annotated[str, typer.Argument(help="The `x-request-id` of its answer, req_...")]


def explain(request: RequestId, config: Config = None, json: Json = False) -> None:
    """Tell who was considered for a request, who was chosen and why, and what it cost.

    Example: gateway explain req_6f1c2d3e4b5a69788796a5b4c3d2e1f0
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        story = _read(Records(settings.data_dir), request)
        _show_story(output, story)
        return story

    run(config, json, work)


def _read(records: Records, request: str) -> dict[str, Any]:
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


@receipts_app.command("export")
def export_receipts(request: RequestId, config: Config = None, json: Json = False) -> None:
    """Write the bill of a request, which anybody can verify.

    Example: gateway receipts export req_6f1c2d3e4b5a69788796a5b4c3d2e1f0 --json > bill.json
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        records = Records(settings.data_dir)
        story = _read(records, request)
        async with await Market.open(settings.chain) as market:
            signer = RelaySigner(market.domain, load_keyring(settings.keys, chain_id(settings)))
            return {**story, "bill": write_bill(records.receipts_of(request), signer)}

    run(config, json, work)


@receipts_app.command("verify")
def verify_receipts(
    files: Annotated[list[Path], typer.Argument(help="Answers of GET /v1/requests/ID.")],
    signer: Annotated[str, typer.Option(help="The gateway's signing key must be this one.")] = "",
    salt: Annotated[str, typer.Option(help="What the supplier opened on the chain.")] = "",
    json: Json = False,
) -> None:
    """Check bills without asking anybody: signatures, salt, batch path, units and cost.

    Example: gateway receipts verify bill.json --signer 0x70997970c51812dc3a010c7d01b50e0d17dc79c8
    """

    output = Output(json)

    async def work() -> dict[str, object]:
        wanted = parse_hex("signer", signer, 20) if signer else None
        opened = parse_hex("salt", salt, 32) if salt else None
        units = cost = receipts = 0
        for path in files:
            bill = _load(path)
            found = verify_bill(bill, salt=opened)
            if wanted is not None and found.signer not in (wanted, None):
                raise OperatorError(f"{path} is signed by another key than --signer")
            units += found.units
            cost += found.cost
            receipts += found.receipts
        return {"bills": len(files), "receipts": receipts, "units": units, "cost": cost}

    run_command(output, work, GatewayError)


def _load(path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(path.read_bytes())
        bill: dict[str, Any] = document.get("bill", document)
    except (OSError, ValueError, AttributeError) as error:
        raise OperatorError(f"{path} holds no bill: {error}") from error
    return bill


def reconcile(
    flagged: Annotated[bool, typer.Option(help="Only what chance does not explain.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Compare receipts with the chain's claims, session by session, within the sampling error.

    Example: gateway reconcile --flagged
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        gateway = parse_hex("gateway_id", resolve(settings, None).gateway_id, 20)
        async with await Market.open(settings.chain) as market:
            found = await Records(settings.data_dir).reconcile(market, gateway)
        rows = [_show(each) for each in found if each.finding.is_flagged or not flagged]
        columns = list(rows[0]) if rows else ["session"]
        output.table("Receipts and claims", columns, [list(row.values()) for row in rows])
        return {
            "sessions": rows,
            "receipted": sum(each.receipted for each in found),
            "claimed": sum(each.claimed or 0 for each in found),
            "flagged": sum(each.finding.is_flagged for each in found),
        }

    run(config, json, work)


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
