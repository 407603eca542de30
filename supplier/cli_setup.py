"""The command that makes a supplier's keys and settings."""

from pathlib import Path
from typing import Annotated

import typer

from node.keys import raw_key
from node.keystore import LOCALNET_CHAIN_ID, create_keystore, read_password
from supplier.command import Command, Config, Json
from supplier.config_file import write_config


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
