"""What the commands do beside a running gateway: ask it, or read what it left on the disk."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import orjson

from gateway.access.api_keys import ApiKey
from gateway.access.budgets import Spending, round_up
from gateway.access.projects import Project
from gateway.books.ledger import Ledger
from gateway.books.totals import SupplierUsage
from gateway.settings import Settings
from gateway.settlement.funds import FundsView, describe_funds, sessions_left
from gateway.settlement.outbox import Outbox
from node.append_log import AppendLog, LogLocked
from node.errors import OperatorError
from node.http import ClientPool, HttpClientError, Timeout
from node.output import Output
from node.settings import parse_hex
from relay_mining import Address

CANNOT_ASK = (
    "the gateway is running and cannot be asked: set control.admin_token, and a control.port "
    "other than 0, then start it again"
)
TIMEOUT = Timeout(1.0, 5.0, 5.0, 5.0)


def write_config(owner: Address, password_file: Path | None) -> str:
    """The text of a new configuration file."""
    password = str(password_file.resolve()) if password_file else ""
    lines = [
        f'gateway_id = "0x{owner.hex()}"',
        f'application = "0x{owner.hex()}"',
        'data_dir = "data"',
        "",
        "[chain]",
        'rpc_urls = ["http://127.0.0.1:8545"]',
        'address_book = "addressbook.json"',
        "",
        "[keys]",
        'owner_keystore = "owner.json"',
        'signing_keystore = "signing.json"',
    ]
    if password:
        lines += [
            f"owner_password_file = {orjson.dumps(password).decode()}",
            f"signing_password_file = {orjson.dumps(password).decode()}",
        ]
    lines += ["", "[server]", 'host = "127.0.0.1"', "port = 8080", "", "[control]", "port = 8081"]
    lines += ["# Opens /admin and /v1 of the control plane; `gateway status` uses it."]
    lines += [f'admin_token = "{secrets.token_urlsafe(32)}"']
    return "\n".join(lines) + "\n"


async def read_status(settings: Settings) -> dict[str, object]:
    """The running gateway's word on itself, else what its logs add up to."""
    asked = await _ask(settings, "/v1/usage")
    if isinstance(asked, dict):
        return {"running": True, **asked}
    outbox = Outbox()
    try:
        async with AppendLog(settings.data_dir / "usage") as usage:
            ledger = Ledger(usage)
            ledger.replay(usage.replay())
        async with AppendLog(settings.data_dir / "receipts") as receipts:
            outbox.replay(receipts.replay())
    except LogLocked as error:
        raise OperatorError(CANNOT_ASK) from error
    return {"running": False, "receipts_waiting": len(outbox), **ledger.summary()}


async def read_signing_keys(settings: Settings) -> tuple[Address, ...] | None:
    """The keys that the running gateway holds; None where none runs.

    Raises OperatorError where one runs that cannot be asked.
    """
    found = await read_status(settings)
    if not found["running"]:
        return None
    return tuple(
        parse_hex("signing_keys", each, 20) for each in cast("list[str]", found["signing_keys"])
    )


async def read_suppliers(settings: Settings) -> list[dict[str, object]]:
    """Where each supplier stands; a gateway that does not run holds nothing against anybody."""
    asked = await _ask(settings, "/v1/suppliers")
    if not isinstance(asked, list):
        raise OperatorError("the gateway does not answer: start it, with control.admin_token set")
    return asked


async def _ask(settings: Settings, path: str) -> object:
    """What a page of the control plane says; None where it cannot be asked."""
    control = settings.control
    if control.admin_token is None or control.port == 0:
        return None
    headers = ((b"authorization", b"Bearer " + control.admin_token.get_secret_value().encode()),)
    url = f"http://{control.host}:{control.port}{path}"
    async with ClientPool() as pool:
        try:
            answer = await pool.request(b"GET", url, headers, b"", TIMEOUT)
        except HttpClientError:
            return None
    return orjson.loads(answer.body) if answer.status == 200 else None


def show_funds(output: Output, view: FundsView) -> dict[str, object]:
    """Every balance, for people; and as JSON, with what it comes to."""
    holdings = describe_funds(view)
    columns = ["where", "amount", "unit", "until", "frees"]
    output.table("Funds", columns, [[asdict(each)[name] for name in columns] for each in holdings])
    account = view.account
    frees = "gateway withdraw AMOUNT"
    if account.pending:
        frees = f"`gateway withdraw` from session {account.pending_session} on"
    return {
        "owner": view.owner,
        "application": view.application,
        "wallet": view.wallet,
        "gas_wei": view.owner_gas,
        "escrow": account.balance,
        "escrow_needed": view.needed,
        "sessions_left": sessions_left(view.free, view.needed, view.spent),
        "withdrawal_pending": account.pending,
        "withdrawal_session": account.pending_session,
        "earned": view.earned,
        "frees": {"escrow": frees, "earned": "gateway withdraw"},
        "holdings": [asdict(each) for each in holdings],
    }


USAGE = (
    "id", "name", "requests", "input_tokens", "output_tokens", "cost",
    "today", "daily_budget", "this_month", "monthly_budget",
)  # fmt: skip
BY_MODEL = ("requests", "input_tokens", "output_tokens", "cost")
ADDED = (*BY_MODEL, "today", "this_month")


def join_usage(found: dict[str, object], keys: Sequence[ApiKey]) -> list[dict[str, object]]:
    """What each key has used, spent and may spend; money in token base units, rounded up."""
    used = cast("dict[str, dict[str, int]]", found["keys"])
    spending = cast("dict[str, dict[str, int]]", found["spending"])
    rows = []
    for key in keys:
        usage = asdict(SupplierUsage()) | used.get(key.id, {})
        row = {**key.model_dump(), **Spending().shown(0), **usage, **spending.get(key.id, {})}
        row["cost"] = round_up(usage["cost"])
        rows.append({name: row[name] for name in USAGE})
    return rows


def join_projects(
    rows: Sequence[dict[str, object]], keys: Sequence[ApiKey], projects: Sequence[Project]
) -> list[dict[str, object]]:
    """What each project has used, spent and may spend: the sum of its keys' `join_usage`."""
    of = {key.id: key.project for key in keys}
    found = []
    for project in projects:
        mine = [row for row in rows if of[cast("str", row["id"])] == project.id]
        sums = {name: sum(cast("int", row[name]) for row in mine) for name in ADDED}
        shown = project.model_dump() | sums
        found.append({name: shown[name] for name in USAGE})
    return found


def join_models(days: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """What was used of each model, over the days."""
    found: dict[str, dict[str, Any]] = {}
    for day in days:
        model = cast("str", day["model"])
        row = found.setdefault(model, {"model": model, **dict.fromkeys(BY_MODEL, 0)})
        for name in BY_MODEL:
            row[name] += cast("int", day[name])
    return [found[name] for name in sorted(found)]


def read_days(found: dict[str, object]) -> list[dict[str, object]]:
    """Use by day, key and model; money in token base units, rounded up."""
    days = cast("list[dict[str, Any]]", found["days"])
    return [{**each, "cost": round_up(each["cost"])} for each in days]


def show_days(output: Output, rows: list[dict[str, object]]) -> None:
    """Use by day, key and model, for people."""
    columns = ["day", "key", "model", "requests", "input_tokens", "output_tokens", "cost"]
    output.table("Usage by day", columns, [[row[each] for each in columns] for row in rows])


def show_usage(output: Output, whose: str, rows: list[dict[str, object]]) -> None:
    """Usage by key or by project, for people."""
    output.table(f"Usage by {whose}", USAGE, [[row[each] for each in USAGE] for row in rows])


def show_models(output: Output, rows: list[dict[str, object]]) -> None:
    """Usage by model, for people."""
    columns = ["model", *BY_MODEL]
    output.table("Usage by model", columns, [[row[each] for each in columns] for row in rows])


def show_status(output: Output, found: dict[str, object]) -> None:
    """Totals by supplier, for people."""
    suppliers = cast("dict[str, dict[str, int]]", found["suppliers"])
    columns = [
        "tries", "requests", "faults", "input_tokens", "output_tokens", "units_served",
        "units_receipted",
    ]  # fmt: skip
    rows = [[name, *(usage[each] for each in columns)] for name, usage in suppliers.items()]
    output.table("Usage by supplier", ["supplier", *columns], rows)
