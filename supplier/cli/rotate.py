"""The command that changes the operator key."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from contracts import Call, Market
from node.key_change import change_key
from node.keys import raw_key
from node.keystore import create_keystore, read_password
from node.rotation import RotationState
from node.settings_file import change_section
from relay_mining import Address
from supplier.cli.command import Command, Config, Json, Key
from supplier.keys import load_next_operator
from supplier.operation.live import read_live
from supplier.owner import Owner, read_funds


@dataclass(frozen=True, slots=True)
class _Rotation:
    """One run of the command."""

    program = "supplier serve"
    command: Command
    market: Market
    owner: Owner
    supplier: Address
    gas: int | None
    password_file: Path | None
    new_key: str | None

    async def state(self) -> RotationState:
        """How far it is, from settings, node and chain."""
        settings = self.command.settings()
        key = load_next_operator(settings.keys, self.market.book.chain_id)
        page = await read_live(settings.server)
        held = None if page is None else tuple(_address(each) for each in page["operators"])
        head = (await self.market.chain.head()).number
        number = (await self.market.sessions.clock()).session_at(head)
        registry = self.market.registry
        return RotationState(
            upcoming=None if key is None else key.address,
            held=held,
            now=await registry.operator(self.supplier, number, block=head),
            later=await registry.operator(self.supplier, number + 1, block=head),
            head=head,
        )

    def make_key(self) -> None:
        """A new keystore beside the settings, named in them."""
        path = self.command.path
        if self.new_key is not None:
            key = raw_key("operator", self.new_key, self.market.book.chain_id)
            change_section(path, "keys", {"next_operator_key": "0x" + key.reveal().hex()})
            return
        keys = self.command.settings().keys
        password_file = self.password_file or keys.operator_password_file
        password = read_password(
            password_file, "SUPPLIER_OPERATOR_PASSWORD", "password for the new keystore: "
        )
        store = path.resolve().parent / f"operator-{int(time.time())}.json"
        create_keystore(store, password)
        named = {"next_operator_keystore": store.name}
        if password_file is not None:
            named["next_operator_password_file"] = str(password_file.resolve())
        change_section(path, "keys", named)

    async def record(self, upcoming: Address) -> None:
        """Give the new key gas, and put it on record from the next session on."""
        chain = self.market.chain
        funds, _ = await read_funds(self.market, self.supplier)
        wanted = funds.operator_gas if self.gas is None else self.gas
        missing = wanted - await chain.balance(upcoming)
        if missing > 0:
            await self.owner.send(Call(upcoming, b"", missing))
        await self.owner.send(self.market.registry.set_operator(self.supplier, upcoming))

    def finish(self) -> None:
        """The new key takes the place of the old one in the settings; no keystore is deleted."""
        keys = self.command.settings().keys
        secret = keys.next_operator_key
        change_section(
            self.command.path,
            "keys",
            {
                "next_operator_key": None,
                "next_operator_keystore": None,
                "next_operator_password_file": None,
                "operator_key": None if secret is None else secret.get_secret_value(),
                "operator_keystore": _text(keys.next_operator_keystore),
                "operator_password_file": _text(keys.next_operator_password_file),
            },
        )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def rotate_key(
    config: Config = None,
    json: Json = False,
    key: Key = None,
    gas: Annotated[
        int | None, typer.Option(min=0, help="wei for the new key; default what the old one has")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="of the new keystore")] = None,
    new_key: Annotated[str | None, typer.Option(help="raw, local network only")] = None,
    wait_s: Annotated[float, typer.Option(min=0, help="longest wait for node and sessions")] = 3600,
) -> None:
    """Change the operator key at a session boundary; nothing served or claimed is lost.

    Waits for `serve` to be told (SIGHUP, as `systemctl reload`), and for the boundary. Run it again
    to go on where it stopped. The owner's key signs.

    Example: supplier rotate-key --password-file operator.password
    """

    async def work(command: Command) -> dict[str, object]:
        async with command.at_market() as here:
            rotation = _Rotation(
                command, here.market, here.owner(key), here.supplier, gas, password_file, new_key
            )
            clock = await here.market.sessions.clock()
            operator, session = await change_key(rotation, clock, command.output, wait_s)
        return {"operator": operator, "session": session}

    Command(config, json).run(work)


def _address(text: str) -> Address:
    return bytes.fromhex(text.removeprefix("0x"))
