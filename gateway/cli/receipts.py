"""The commands about bills: writing one, and checking what an application was given."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from contracts import Market
from gateway.books.bills import verify_bill, write_bill
from gateway.books.records import Records
from gateway.books.statements import Expected, Statement
from gateway.cli.command import Config, Json, chain_id, run
from gateway.cli.records import RequestId, read_story
from gateway.errors import BillError, GatewayError
from gateway.keys import load_keyring
from gateway.routing.costs import restore_signed
from gateway.routing.relay import RelaySigner
from gateway.settings import Settings
from node.command import run_command
from node.errors import OperatorError
from node.output import Output
from node.settings import parse_hex

receipts_app = typer.Typer(no_args_is_help=True, help="Bills, and whether they hold.")


@receipts_app.command("export")
def export_receipts(request: RequestId, config: Config = None, json: Json = False) -> None:
    """Write the bill of a request, which anybody can verify.

    Example: gateway receipts export req_6f1c2d3e4b5a69788796a5b4c3d2e1f0 --json > bill.json
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        records = Records(settings.data_dir)
        story = read_story(records, request)
        async with await Market.open(settings.chain) as market:
            signer = RelaySigner(market.domain, load_keyring(settings.keys, chain_id(settings)))
            return {**story, "bill": write_bill(records.receipts_of(request), signer)}

    run(config, json, work)


@receipts_app.command("verify")
def verify_receipts(  # noqa: PLR0913, PLR0917 - options
    files: Annotated[list[Path], typer.Argument(help="Answers of GET /v1/requests/ID.")],
    answer: Annotated[
        Path | None, typer.Option(help="The bytes that the client received; with one bill.")
    ] = None,
    signer: Annotated[str, typer.Option(help="The gateway's signing key must be this one.")] = "",
    operator: Annotated[
        list[str] | None, typer.Option(help="No other supplier's key may have signed; repeatable.")
    ] = None,
    price_max: Annotated[
        int | None, typer.Option(min=0, help="Most for a million units, in token base units.")
    ] = None,
    chain_id: Annotated[int | None, typer.Option(help="The chain it must be paid on.")] = None,
    claims: Annotated[str, typer.Option(help="The contract Claims that it must be for.")] = "",
    salt: Annotated[str, typer.Option(help="What the supplier opened on the chain.")] = "",
    json: Json = False,
) -> None:
    """Check bills without asking anybody, and show what is left to compare with the chain.

    Example: gateway receipts verify bill.json --answer answer.json --price-max 2000000
    """

    output = Output(json)

    async def work() -> dict[str, object]:
        if answer is not None and len(files) > 1:
            raise OperatorError("--answer is of one request: give its bill alone")
        expected = Expected(
            signer=parse_hex("signer", signer, 20) if signer else None,
            operators=frozenset(parse_hex("operator", each, 20) for each in operator or ()),
            price_max=price_max,
            chain_id=chain_id,
            claims_contract=parse_hex("claims", claims, 20) if claims else None,
        )
        body_hash = sha256(restore_signed(_read(answer))).digest() if answer else None
        opened = parse_hex("salt", salt, 32) if salt else None
        statement = Statement(expected)
        for path in files:
            try:
                statement.add(verify_bill(_load(path), body_hash=body_hash, salt=opened))
            except BillError as error:
                raise BillError(f"{path}: {error}") from error
        return _show(statement, output)

    run_command(output, work, GatewayError)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error}") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(_read(path))
        bill: dict[str, Any] = document.get("bill", document)
    except (ValueError, AttributeError) as error:
        raise OperatorError(f"{path} holds no bill: {error}") from error
    return bill


def _show(statement: Statement, output: Output) -> dict[str, object]:
    """What the bills add up to, and all that the chain has, too."""
    rows: list[dict[str, Any]] = [
        {
            "session": session.number,
            "application": session.application,
            "gateway": session.gateway,
            "service": session.service,
            "supplier": supplier,
            "operator": operator,
            "price": price,
            "units": units,
        }
        for (session, supplier, operator, price), units in statement.sums().items()
    ]
    columns = list(rows[0]) if rows else ["session"]
    output.table("To compare with the chain", columns, [list(row.values()) for row in rows])
    bills, prices = statement.bills, [row["price"] for row in rows]
    return {
        "bills": len(bills),
        "receipts": sum(len(each.charges) for each in bills),
        "units": sum(each.units for each in bills),
        "cost": sum(each.cost for each in bills),
        "chain_id": bills[0].domain.chain_id,
        "claims_contract": bills[0].domain.verifying_contract,
        "signers": sorted({each.signer for each in bills if each.signer is not None}),
        "suppliers": sorted({row["supplier"] for row in rows}),
        "operators": sorted({row["operator"] for row in rows}),
        "price_min": min(prices, default=None),
        "price_max": max(prices, default=None),
        "sessions": rows,
    }
