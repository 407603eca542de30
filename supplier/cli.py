"""Command line of the supplier: `supplier --help`."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts import ChainError, Market, Service
from node.command import run_command
from node.errors import OperatorError
from node.keys import raw_key
from node.keystore import LOCALNET_CHAIN_ID, create_keystore, read_password
from node.output import Output
from node.settings import parse_hex
from node.telemetry import setup_logging
from relay_mining import UnitWeights
from supplier.app import run
from supplier.config_file import set_value, write_config
from supplier.engine_process import compute_launch, free_port
from supplier.engines.spec import hash_service_spec
from supplier.keys import load_operator, load_owner
from supplier.live import describe_engine, read_live
from supplier.owner import Owner, Registration, read_funds
from supplier.services import compute_spec
from supplier.settings import Settings
from supplier.store import Store

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="Serve models and be paid.")
source_cli = typer.Typer(no_args_is_help=True, help="For owners of models: list services.")
cli.add_typer(source_cli, name="source")

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file; default supplier.toml")
]
Json = Annotated[bool, typer.Option("--json", help="end with one JSON object")]
Key = Annotated[str | None, typer.Option("--key", help="raw private key, local network only")]
DEFAULT_CONFIG = Path("supplier.toml")


@dataclass(slots=True)
class _Global:
    config: Path | None = None
    json: bool = False


_GLOBAL = _Global()


@cli.callback()
def options(config: Config = None, json: Json = False) -> None:
    """Serve models and be paid: init, stake, list, serve."""
    _GLOBAL.config, _GLOBAL.json = config, json


class Command:
    """One run of a command: its settings, its output, its market."""

    def __init__(self, config: Path | None, json: bool) -> None:
        self.output = Output(json or _GLOBAL.json)
        self.path = config or _GLOBAL.config or DEFAULT_CONFIG

    def run(self, work: Callable[["Command"], Coroutine[Any, Any, dict[str, object]]]) -> None:
        """Run to the end and print the result; exit status 1 with a sentence on failure."""
        run_command(self.output, lambda: work(self), ChainError)

    def settings(self) -> Settings:
        """The settings in effect; a file that was named has to be there."""
        is_named = self.path is not DEFAULT_CONFIG
        return Settings.load(self.path if is_named or self.path.exists() else None)

    def owner(self, market: Market, settings: Settings, key: str | None) -> Owner:
        """Whoever holds the owner's key, or the raw key given."""
        secret = load_owner(settings.keys, market.book.chain_id, key)
        return Owner(market, secret.reveal(), settings.chain.policy())


@cli.command()
def init(  # noqa: PLR0913, PLR0917  options of a command line
    config: Config = None,
    json: Json = False,
    rpc: Annotated[str, typer.Option(help="JSON-RPC endpoint")] = "http://127.0.0.1:8545",
    address_book: Annotated[Path, typer.Option(help="the contracts")] = Path("addressbook.json"),
    model: Annotated[str, typer.Option(help="model directory")] = "",
    served_model_name: Annotated[str, typer.Option()] = "lode-demo",
    engine: Annotated[str, typer.Option(help="embedded or vllm")] = "embedded",
    engine_url: Annotated[str, typer.Option(help="an engine already running")] = "",
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 8800,
    public_url: Annotated[str, typer.Option(help="default http://HOST:PORT")] = "",
    confirmations: Annotated[int, typer.Option()] = 2,
    password_file: Annotated[Path | None, typer.Option(help="of both keystores")] = None,
    owner_key: Annotated[str | None, typer.Option(help="raw, local network only")] = None,
    operator_key: Annotated[str | None, typer.Option(help="raw, local network only")] = None,
) -> None:
    """Make the keys of owner and operator and a commented config.

    Example: supplier init --model models/demo --password-file password.txt
    """
    command = Command(config, json)
    base = command.path.resolve().parent
    book = str(address_book.resolve())
    model_path = str(Path(model).resolve()) if model and Path(model).is_dir() else model

    async def work(command: Command) -> dict[str, object]:
        keys, addresses = _make_keys(base, password_file, owner_key, operator_key)
        values: dict[str, object] = {
            "supplier_id": "",
            "services": [],
            "public_url": public_url or f"http://{host}:{port}",
            "data_dir": f"{command.path.stem}-data",
            "rpc_urls": [rpc],
            "address_book": book,
            "confirmations": confirmations,
            "host": host,
            "port": port,
            "kind": engine,
            "model": model_path,
            "served_model_name": served_model_name,
        }
        url_line = f'url = "{engine_url}"' if engine_url else '# url = "http://127.0.0.1:8000"'
        write_config(command.path, values, {"keys": keys, "engine_url": url_line})
        return {"config": str(command.path), **addresses}

    command.run(work)


def _make_keys(
    base: Path, password_file: Path | None, owner_key: str | None, operator_key: str | None
) -> tuple[str, dict[str, object]]:
    """The lines of [keys], and the addresses."""
    lines: list[str] = []
    addresses: dict[str, object] = {}
    password = ""
    for name, raw in (("operator", operator_key), ("owner", owner_key)):
        if raw:
            key = raw_key(name, raw, LOCALNET_CHAIN_ID)
            lines.append(f'{name}_key = "0x{key.reveal().hex()}"')
        else:
            password = password or read_password(
                password_file, "SUPPLIER_PASSWORD", "password for the new keystores: "
            )
            path = base / f"{name}.json"
            key = create_keystore(path, password)
            lines.append(f'{name}_keystore = "{path.name}"')
            if password_file is not None:
                lines.append(f'{name}_password_file = "{password_file.resolve()}"')
        addresses[name] = key.address
    return "\n".join(lines), addresses


@cli.command()
def stake(
    amount: Annotated[int, typer.Argument(help="token base units")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
    payout: Annotated[str | None, typer.Option(help="address; default the owner")] = None,
    bond_cap: Annotated[
        int | None, typer.Option(help="most bond at risk a session; default the stake")
    ] = None,
    salt: Annotated[str | None, typer.Option(help="0x + 64 hex; default random")] = None,
) -> None:
    """Register this supplier, the first time, and stake on it.

    Example: supplier stake 1000000000 --bond-cap 500000000
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        async with await Market.open(settings.chain) as market:
            owner = command.owner(market, settings, key)
            if settings.supplier_id:
                supplier = settings.supplier()
            else:
                operator = load_operator(settings.keys, market.book.chain_id)
                registration = Registration(
                    operator=operator.address,
                    payout=parse_hex("payout", payout, 20) if payout else owner.address,
                    url=settings.public_url,
                    bond_cap=amount if bond_cap is None else bond_cap,
                )
                chosen = parse_hex("salt", salt, 32) if salt else secrets.token_bytes(32)
                supplier = await owner.register(registration, chosen)
                set_value(command.path, "supplier_id", "0x" + supplier.hex())
            receipt = await owner.stake(supplier, amount)
            funds, _ = await read_funds(market, supplier)
            return {
                "supplier": supplier,
                "stake": funds.stake,
                "transaction": receipt.transaction_hash,
            }

    Command(config, json).run(work)


@cli.command("list")
def list_(
    service: Annotated[str, typer.Argument(help="0x + 64 hex")],
    price: Annotated[int, typer.Option(help="token base units per million compute units")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
) -> None:
    """Post an ask for a service; it counts from the next epoch's roster on.

    Example: supplier list 0x5e...c1 --price 2000000
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            owner = command.owner(market, settings, key)
            service_id = parse_hex("service", service, 32)
            receipt = await owner.send(market.registry.set_listing(supplier, service_id, price))
        text = "0x" + service_id.hex()
        if text not in settings.services:
            set_value(command.path, "services", [*settings.services, text])
        return {"service": text, "price": price, "transaction": receipt.transaction_hash}

    Command(config, json).run(work)


@source_cli.command("list")
def source_list(  # noqa: PLR0913, PLR0917  options of a command line
    name: Annotated[str, typer.Argument(help="a human's name for the service")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
    request_units: Annotated[int, typer.Option(help="units of every relay")] = 0,
    input_units: Annotated[int, typer.Option(help="units of a prompt token")] = 1,
    cached_units: Annotated[int, typer.Option(help="units of a cached prompt token")] = 0,
    output_units: Annotated[int, typer.Option(help="units of a completion token")] = 4,
    source_bps: Annotated[int, typer.Option(help="the source's share, in 1/10000")] = 500,
    market: Annotated[str, typer.Option(help="roster contract; default posted asks")] = "",
) -> None:
    """List the model of this config as a service, as its source.

    Example: supplier source list lode-demo --input-units 1 --output-units 4 --source-bps 500
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        spec = compute_spec(settings.engine)
        async with await Market.open(settings.chain) as place:
            source = command.owner(place, settings, key)
            service = Service(
                source=source.address,
                spec_hash=hash_service_spec(spec),
                weights=UnitWeights(request_units, input_units, cached_units, output_units),
                source_bps=source_bps,
                market=parse_hex("market", market, 20) if market else bytes(20),
                name=name,
            )
            service_id = await source.list_service(service)
        return {"service": service_id, "spec": asdict(spec), "source": source.address}

    Command(config, json).run(work)


@cli.command()
def serve(config: Config = None, json: Json = False, log_level: str = "INFO") -> None:
    """Serve relays, claim and prove; until SIGTERM or Ctrl-C.

    Example: supplier serve --config supplier.toml
    """
    setup_logging(log_level)

    async def work(command: Command) -> dict[str, object]:
        def ready(facts: dict[str, Any]) -> None:
            server = command.settings().server
            url = f"{server.tls.scheme}://{server.host}:{facts['port']}"
            command.output.line(f"serving on {url}, engine at {facts['engine']}")

        await run(command.settings(), ready=ready)
        return {"stopped": True}

    Command(config, json).run(work)


@cli.command()
def engine(config: Config = None, json: Json = False) -> None:
    """Run the engine of this config alone, in the foreground.

    Example: supplier engine --config supplier.toml
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings().engine
        launch = compute_launch(settings, settings.port or free_port())
        process = await asyncio.create_subprocess_exec(*launch.argv)
        return {"exit_status": await process.wait()}

    Command(config, json).run(work)


@cli.command()
def status(
    config: Config = None,
    json: Json = False,
    limit: Annotated[int, typer.Option(help="sessions shown")] = 10,
) -> None:
    """Show how busy the engine is, and what was served, claimed and paid, session by session.

    Example: supplier status --limit 20
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        store = Store(settings.data_dir / "supplier.db")
        try:
            totals, sessions, actions = (
                store.totals(), store.sessions(limit), store.actions(limit)
            )  # fmt: skip
        finally:
            store.close()
        live = await read_live(settings.server)
        command.output.line(f"engine: {describe_engine(live)}")
        columns = ("number", "relays", "served", "receipted", "payable", "value", "paid", "outcome")
        command.output.table(
            "closed sessions", columns,
            [[getattr(each, name) for name in columns] for each in sessions],
        )  # fmt: skip
        return {
            "live": live,
            "totals": totals,
            "sessions": [each.model_dump() for each in sessions],
            "actions": [each.model_dump() for each in actions],
        }

    Command(config, json).run(work)


@cli.command()
def funds(config: Config = None, json: Json = False) -> None:
    """Show where the money is, until when, and what frees it.

    Example: supplier funds
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            found, account = await read_funds(market, supplier)
        command.output.table(
            "funds, in token base units",
            ("where", "amount", "what frees it"),
            [
                ("stake, free", found.free, "supplier unstake AMOUNT"),
                ("bonds of claims", found.reserved, "payment of the claims, within two sessions"),
                ("leaving", found.unstaking, f"supplier withdraw, session {found.unstake_session}"),
                ("earned", found.claimable, "supplier collect"),
                ("paid out", found.payout_balance, "yours"),
            ],
        )
        return {**asdict(found), "supplier": supplier, "payout": account.payout}

    Command(config, json).run(work)


@cli.command()
def unstake(
    amount: Annotated[int, typer.Argument(help="token base units")],
    config: Config = None,
    json: Json = False,
    key: Key = None,
) -> None:
    """Ask for stake back; `supplier withdraw` takes it some sessions later.

    Example: supplier unstake 500000000
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            owner = command.owner(market, settings, key)
            await owner.send(market.registry.request_unstake(supplier, amount))
            found, _ = await read_funds(market, supplier)
        return {"unstaking": found.unstaking, "from_session": found.unstake_session}

    Command(config, json).run(work)


@cli.command()
def withdraw(config: Config = None, json: Json = False, key: Key = None) -> None:
    """Take what `supplier unstake` asked for, once its time has come.

    Example: supplier withdraw
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            before, _ = await read_funds(market, supplier)
            if not before.unstaking:
                raise OperatorError("nothing is leaving: run `supplier unstake AMOUNT` first")
            owner = command.owner(market, settings, key)
            receipt = await owner.send(market.registry.finish_unstake(supplier))
        return {"withdrawn": before.unstaking, "transaction": receipt.transaction_hash}

    Command(config, json).run(work)


@cli.command()
def collect(config: Config = None, json: Json = False, key: Key = None) -> None:
    """Pay what was earned to the payout address; any key may.

    Example: supplier collect
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        async with await Market.open(settings.chain) as market:
            found, account = await read_funds(market, supplier)
            if not found.claimable:
                raise OperatorError("nothing to collect yet")
            owner = command.owner(market, settings, key)
            receipt = await owner.send(market.escrow.collect_for(account.payout))
        return {
            "collected": found.claimable,
            "payout": account.payout,
            "transaction": receipt.transaction_hash,
        }

    Command(config, json).run(work)


def main() -> None:
    """Entry point of the `supplier` console script."""
    cli()


if __name__ == "__main__":
    main()
