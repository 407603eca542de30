"""Command line of the gateway node."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts import Market
from gateway.cli import offline
from gateway.cli.command import Config, Json, Key, chain_id, resolve, run
from gateway.cli.keys import keys_app
from gateway.cli.projects import projects_app
from gateway.cli.receipts import receipts_app
from gateway.cli.records import audit, explain, reconcile, usage
from gateway.cli.rotate import rotate_key
from gateway.cli.serve import serve
from gateway.cli.suppliers import suppliers_app
from gateway.keys import load_owner, load_signing
from gateway.operations import Operator
from gateway.settings import Settings
from gateway.settlement.funds import read_funds_view
from node.command import run_command
from node.errors import OperatorError
from node.keystore import create_keystore, read_password
from node.output import Output
from node.settings import parse_hex

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Serve OpenAI's API over many suppliers, paid by the relay.\n\n"
    "Example: gateway init && gateway register && gateway serve",
)
app.add_typer(keys_app, name="keys")
app.add_typer(projects_app, name="projects")
app.add_typer(receipts_app, name="receipts")
app.add_typer(suppliers_app, name="suppliers")


def _operation(
    config: Path | None, key: str | None, json: bool,
    act: Callable[[Settings, Operator], Awaitable[dict[str, object]]],
) -> None:  # fmt: skip
    """Run a command that sends transactions as the owner."""

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        resolved = resolve(settings, key)
        owner = load_owner(settings.keys, chain_id(settings), key)
        async with await Market.open(settings.chain) as market:
            with output.progress("waiting for the chain"):
                return await act(resolved, Operator(market, owner, settings.chain.policy()))

    run(config, json, work)


@app.command()
def init(
    directory: Annotated[Path, typer.Option(help="Where configuration and keys go.")] = Path(),
    password_file: Annotated[Path | None, typer.Option(help="First line: the password.")] = None,
    json: Json = False,
) -> None:
    """Make owner and signing keys and a configuration file; overwrites nothing.

    Example: gateway init --directory my-gateway
    """

    output = Output(json)

    async def work() -> dict[str, object]:
        password = read_password(password_file, "GATEWAY_PASSWORD", "Password for the new keys: ")
        path = directory / "gateway.toml"
        if path.exists():
            raise OperatorError(f"{path} exists: choose another --directory, or edit it")
        owner = create_keystore(directory / "owner.json", password)
        signing = create_keystore(directory / "signing.json", password)
        path.write_text(offline.write_config(owner.address, password_file))
        path.chmod(0o600)
        output.line(f"Next: send gas and tokens to 0x{owner.address.hex()}, then")
        output.line(f"  gateway register --config {path} --url https://your.host")
        return {"config": str(path), "owner": owner.address, "signing": signing.address}

    run_command(output, work)


@app.command()
def register(
    url: Annotated[str, typer.Option(help="Where clients reach this gateway.")] = "",
    config: Config = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Register on chain, or rotate to the configured signing key; counts from the next session.

    Example: gateway register --url https://api.example.com
    """

    async def act(settings: Settings, operator: Operator) -> dict[str, object]:
        signing = load_signing(settings.keys, operator.market.book.chain_id)
        receipt = await operator.register(signing.address, url or settings.public_url)
        return {
            "gateway": operator.owner.address,
            "signing": signing.address,
            "transaction": receipt.transaction_hash,
        }

    _operation(config, key, json, act)


def fund(
    amount: Annotated[int, typer.Argument(min=1, help="Token base units.")],
    application: Annotated[str, typer.Option(help="Whose escrow; unset: your own.")] = "",
    config: Config = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Deposit tokens into an application's escrow.

    Example: gateway fund 50000000
    """

    async def act(settings: Settings, operator: Operator) -> dict[str, object]:
        payer = parse_hex("application", application or settings.application, 20)
        receipt = await operator.deposit(payer, amount)
        account = await operator.market.escrow.account(payer)
        return {
            "application": payer,
            "escrow": account.balance,
            "transaction": receipt.transaction_hash,
        }

    _operation(config, key, json, act)


app.command("fund")(fund)
app.command("deposit", help="The same as fund.\n\nExample: gateway deposit 50000000")(fund)


@app.command()
def delegate(
    service: Annotated[str, typer.Argument(help="Service id, 0x + 64 hex.")],
    cap: Annotated[int, typer.Argument(min=0, help="Token base units a session; 0 revokes.")],
    gateway: Annotated[str, typer.Option(help="To whom; unset: your own gateway.")] = "",
    fee_bps: Annotated[int, typer.Option(min=0, max=10_000, help="The gateway's share.")] = 0,
    config: Config = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Let a gateway spend up to a cap of your escrow each session, from the next one on.

    Example: gateway delegate 0x5e41... 2000000
    """

    async def act(settings: Settings, operator: Operator) -> dict[str, object]:
        to = parse_hex("gateway", gateway or settings.gateway_id, 20)
        receipt = await operator.delegate(to, parse_hex("service", service, 32), cap, fee_bps)
        return {"gateway": to, "cap": cap, "transaction": receipt.transaction_hash}

    _operation(config, key, json, act)


@app.command()
def withdraw(
    amount: Annotated[int, typer.Argument(min=0, help="Token base units to ask back.")] = 0,
    config: Config = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Collect earnings; ask escrow back, or take what was asked two sessions ago.

    Example: gateway withdraw 1000000
    """

    async def act(settings: Settings, operator: Operator) -> dict[str, object]:
        return {"result": await operator.withdraw(amount)}

    _operation(config, key, json, act)


@app.command()
def funds(config: Config = None, key: Key = None, json: Json = False) -> None:
    """Show every balance of the gateway and its application, until when, and what frees it.

    Example: gateway funds --json
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        resolved = resolve(settings, key)
        async with await Market.open(settings.chain) as market:
            view = await read_funds_view(
                market,
                parse_hex("gateway_id", resolved.gateway_id, 20),
                parse_hex("application", resolved.application, 20),
            )
        return offline.show_funds(output, view)

    run(config, json, work)


for command in (serve, audit, explain, reconcile, usage):
    app.command()(command)


app.command("rotate-key")(rotate_key)


@app.command()
def status(config: Config = None, json: Json = False) -> None:
    """Show session, models, usage by supplier, and receipts still waiting.

    Example: gateway status --json
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        found = await offline.read_status(settings)
        offline.show_status(output, found)
        return found

    run(config, json, work)


def main() -> Any:
    """Entry point of the `gateway` console script."""
    return app()
