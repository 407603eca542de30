"""The command that makes a supplier's keys and settings."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from node.keys import raw_key
from node.keystore import LOCALNET_CHAIN_ID, create_keystore, read_password
from supplier.cli.command import Command, Config, Json
from supplier.config_file import write_config
from supplier.settings import OWN_KINDS


@dataclass(frozen=True, slots=True)
class _Questions:
    """What was not given on the command line: asked for at a terminal, else the default."""

    is_asking: bool

    def take(self, text: str, given: str | None, default: str) -> str:
        """The value given, or the answer, or the default."""
        if given is not None or not self.is_asking:
            return default if given is None else given
        answer: str = typer.prompt(text, default=default, err=True, show_default=bool(default))
        return answer

    def choose(self, text: str, given: str | None, options: tuple[str, ...]) -> str:
        """One of the options, the first by default; asked again until it is."""
        while (answer := self.take(f"{text} ({' or '.join(options)})", given, options[0])) not in (
            options
        ):
            if given is not None or not self.is_asking:
                raise typer.BadParameter(f"{text} is {' or '.join(options)}")
        return answer


def init(  # noqa: PLR0913, PLR0917  options of a command line
    config: Config = None,
    json: Json = False,
    rpc: Annotated[str | None, typer.Option(help="default http://127.0.0.1:8545")] = None,
    address_book: Annotated[str | None, typer.Option(help="default addressbook.json")] = None,
    model: Annotated[str | None, typer.Option(help="model directory")] = None,
    served_model_name: Annotated[str | None, typer.Option(help="default lode-demo")] = None,
    engine: Annotated[
        str | None, typer.Option(help="embedded or vllm; with --engine-url any, as llama.cpp")
    ] = None,
    engine_url: Annotated[str | None, typer.Option(help="an engine already running")] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8800,
    public_url: Annotated[
        str | None, typer.Option(help="default http://HOST:PORT; `dial:`: dial gateways")
    ] = None,
    confirmations: Annotated[int, typer.Option(min=0)] = 2,
    password_file: Annotated[Path | None, typer.Option(help="of both keystores")] = None,
    owner_key: Annotated[str | None, typer.Option(help="raw, local network only")] = None,
    operator_key: Annotated[str | None, typer.Option(help="raw, local network only")] = None,
    ask: Annotated[
        bool | None, typer.Option("--ask/--no-ask", help="default: ask at a terminal")
    ] = None,
) -> None:
    """Make the keys of owner and operator and a commented config; asks for what is not given.

    Example: supplier init --model models/demo --password-file password.txt
    """
    command = Command(config, json)
    base = command.path.resolve().parent
    questions = _Questions(sys.stdin.isatty() and not json if ask is None else ask)

    async def work(command: Command) -> dict[str, object]:
        values: dict[str, object] = {
            "supplier_id": "",
            "services": [],
            "data_dir": f"{command.path.stem}-data",
            "rpc_urls": [questions.take("JSON-RPC endpoint", rpc, "http://127.0.0.1:8545")],
            "address_book": _absolute(
                questions.take("address book", address_book, "addressbook.json")
            ),
            "confirmations": confirmations,
            "kind": _engine_kind(questions, engine, engine_url),
            "model": _model_path(questions.take("model directory", model, "")),
            "served_model_name": questions.take("name to serve", served_model_name, "lode-demo"),
            "public_url": questions.take(
                "URL that gateways reach", public_url, f"http://{host}:{port}"
            ),
            "host": host,
            "port": port,
        }
        url = questions.take("URL of an engine that runs; empty: start one", engine_url, "")
        keys, addresses = _make_keys(base, password_file, owner_key, operator_key)
        url_line = f'url = "{url}"' if url else '# url = "http://127.0.0.1:8000"'
        write_config(command.path, values, {"keys": keys, "engine_url": url_line})
        operator = addresses["operator"]
        assert isinstance(operator, bytes)
        command.output.line(f"Next: send gas to 0x{operator.hex()}, gas and tokens to the owner, ")
        command.output.line(f"then `supplier stake AMOUNT --config {command.path}`")
        return {"config": str(command.path), **addresses}

    command.run(work)


def _engine_kind(questions: _Questions, engine: str | None, engine_url: str | None) -> str:
    """What the engine is; of one that runs already anything it is called."""
    if engine is not None and engine_url:
        return engine
    return questions.choose("engine", engine, OWN_KINDS)


def _absolute(path: str) -> str:
    return str(Path(path).resolve())


def _model_path(model: str) -> str:
    return _absolute(model) if model and Path(model).is_dir() else model


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
