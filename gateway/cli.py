"""Command line of the gateway node."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts import AddressBook, ChainError, Market
from gateway import offline
from gateway.accounts import IN_FLIGHT_MAX, KeyStore
from gateway.app import run_node
from gateway.errors import GatewayError
from gateway.keys import load_keyring, load_owner, load_signing
from gateway.operations import Operator, read_funds
from gateway.settings import Settings
from node.command import run_command
from node.errors import OperatorError
from node.keystore import create_keystore, read_password
from node.output import Output
from node.settings import parse_hex
from node.telemetry import setup_logging

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Serve OpenAI's API over many suppliers, paid by the relay.\n\n"
    "Example: gateway init && gateway register && gateway serve",
)
keys_app = typer.Typer(no_args_is_help=True, help="API keys of the gateway's clients.")
app.add_typer(keys_app, name="keys")

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


def _run(config: Path | None, json: bool, work: Work) -> None:
    """Run a command under the settings of a file, `gateway.toml` where it is there."""
    output = Output(json)

    path = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)

    async def run() -> dict[str, object]:
        return await work(Settings.load(path), output)

    run_command(output, run, ChainError, GatewayError)


def _chain_id(settings: Settings) -> int:
    return AddressBook.load(settings.chain.address_book).chain_id


def _resolve(settings: Settings, key: str | None) -> Settings:
    """Fill in the gateway's id and application, which default to the owner's address."""
    if settings.gateway_id and settings.application and key is None:
        return settings
    owner = "0x" + load_owner(settings.keys, _chain_id(settings), key).address.hex()
    return settings.model_copy(
        update={
            "gateway_id": settings.gateway_id or owner,
            "application": settings.application or owner,
        }
    )


def _operation(
    config: Path | None, key: str | None, json: bool,
    act: Callable[[Settings, Operator], Awaitable[dict[str, object]]],
) -> None:  # fmt: skip
    """Run a command that sends transactions as the owner."""

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        resolved = _resolve(settings, key)
        owner = load_owner(settings.keys, _chain_id(settings), key)
        async with await Market.open(settings.chain) as market:
            with output.progress("waiting for the chain"):
                return await act(resolved, Operator(market, owner, settings.chain.policy()))

    _run(config, json, work)


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
    """Show where the gateway's money is and what frees it.

    Example: gateway funds --json
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        resolved = _resolve(settings, key)
        async with await Market.open(settings.chain) as market:
            return await read_funds(
                market,
                parse_hex("gateway_id", resolved.gateway_id, 20),
                parse_hex("application", resolved.application, 20),
            )

    _run(config, json, work)


@app.command()
def serve(config: Config = None, key: Key = None, json: Json = False) -> None:
    """Serve clients until stopped.

    Example: gateway serve --config gateway.toml
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        setup_logging()
        resolved = _resolve(settings, key)
        keyring = load_keyring(settings.keys, _chain_id(settings))
        async with await Market.open(settings.chain) as market:
            await run_node(
                resolved, market, keyring, parse_hex("gateway_id", resolved.gateway_id, 20),
                load_signing(settings.keys, market.book.chain_id),
                lambda port, control: output.line(
                    f"serving {settings.server.tls.scheme}://{settings.server.host}:{port}/v1 "
                    f"(control http://{settings.control.host}:{control}/docs)"
                ),
            )  # fmt: skip
        return {"stopped": True}

    _run(config, json, work)


@app.command()
def status(config: Config = None, json: Json = False) -> None:
    """Show session, models, usage by supplier, and receipts still waiting.

    Example: gateway status --json
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        found = await offline.read_status(settings)
        offline.show_status(output, found)
        return found

    _run(config, json, work)


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    application: Annotated[str, typer.Option(help="Who pays; unset: your own.")] = "",
    in_flight_max: Annotated[int, typer.Option(min=1)] = IN_FLIGHT_MAX,
    config: Config = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Create an API key; it is shown this once.

    Example: gateway keys create "web shop"
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        named = application or settings.application or _resolve(settings, key).application
        payer = parse_hex("application", named, 20)
        api_key, row = _keys(settings).create(name, payer, in_flight_max)
        return {"key": api_key, "id": row.id, "application": row.application}

    _run(config, json, work)


@keys_app.command("list")
def list_keys(config: Config = None, json: Json = False) -> None:
    """List API keys by their ids; the keys themselves are not kept.

    Example: gateway keys list
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        rows = [row.model_dump(exclude={"sha256"}) for row in _keys(settings).list()]
        columns = ["id", "name", "shown", "application", "revoked_at"]
        output.table("API keys", columns, [[row[each] for each in columns] for row in rows])
        return {"keys": rows}

    _run(config, json, work)


@keys_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="From `gateway keys list`.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Revoke an API key; a running gateway refuses it within a second.

    Example: gateway keys revoke key_1f2e3d4c5b6a7988
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        row = _keys(settings).revoke(key_id)
        return {"id": row.id, "revoked_at": row.revoked_at}

    _run(config, json, work)


def _keys(settings: Settings) -> KeyStore:
    return KeyStore(settings.data_dir / "keys.db")


def main() -> Any:
    """Entry point of the `gateway` console script."""
    return app()


if __name__ == "__main__":
    main()
