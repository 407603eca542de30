"""The command that changes the signing key."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from contracts import Call, Market
from gateway.cli import offline
from gateway.cli.command import Config, Json, Key, chain_id, find_config, resolve, run
from gateway.keys import load_next_signing, load_owner, load_signing, signing_source
from gateway.operations import Operator
from gateway.settings import Settings
from node.errors import OperatorError
from node.key_change import change_key
from node.keystore import create_keystore
from node.output import Output
from node.rotation import RotationState
from node.settings import parse_hex
from node.settings_file import change_section
from relay_mining import Address


@dataclass(frozen=True, slots=True)
class _Rotation:
    """One run of the command."""

    program = "gateway serve"
    path: Path
    market: Market
    operator: Operator
    gateway: Address

    def settings(self) -> Settings:
        """The settings as they are now."""
        return Settings.load(self.path)

    async def state(self) -> RotationState:
        """How far it is, from settings, node and chain."""
        settings = self.settings()
        key = load_next_signing(settings.keys, self.market.book.chain_id)
        head = (await self.market.chain.head()).number
        number = (await self.market.sessions.clock()).session_at(head)
        registry = self.market.registry
        return RotationState(
            upcoming=None if key is None else key.address,
            held=await offline.read_signing_keys(settings),
            now=await registry.gateway_key(self.gateway, number, block=head),
            later=await registry.gateway_key(self.gateway, number + 1, block=head),
            head=head,
        )

    def make_key(self) -> None:
        """A new keystore beside the settings, of the same password, named in them."""
        keys = self.settings().keys
        if keys.signing_keystore is None:
            raise OperatorError("only keystores are rotated: set keys.signing_keystore")
        store = self.path.resolve().parent / f"signing-{int(time.time())}.json"
        create_keystore(store, signing_source(keys).password())
        change_section(self.path, "keys", {"next_signing_keystore": store.name})

    async def record(self, upcoming: Address) -> None:
        """Give the new key the old one's gas again, and put it on record from the next session."""
        chain = self.market.chain
        old = load_signing(self.settings().keys, self.market.book.chain_id)
        missing = await chain.balance(old.address) - await chain.balance(upcoming)
        if missing > 0:
            await self.operator.send(Call(upcoming, b"", missing))
        await self.operator.send(self.market.registry.rotate_gateway_key(upcoming))

    def finish(self) -> None:
        """The new key takes the old one's place, which is kept for receipts undelivered."""
        keys = self.settings().keys
        former = [keys.signing_keystore, *keys.former_signing_keystores]
        change_section(
            self.path,
            "keys",
            {
                "next_signing_keystore": None,
                "signing_keystore": str(keys.next_signing_keystore),
                "former_signing_keystores": [str(each) for each in former],
            },
        )


def rotate_key(
    config: Config = None,
    key: Key = None,
    json: Json = False,
    wait_s: Annotated[float, typer.Option(min=0, help="Longest wait for node and session.")] = 3600,
) -> None:
    """Change the signing key at a session boundary; no relay and no receipt is lost.

    Waits for `serve` to be told (SIGHUP, as `systemctl reload`), and for the boundary. Run it again
    to go on where it stopped. The owner's key signs; the new keystore has the old one's password.

    Example: gateway rotate-key --wait-s 7200
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        path = find_config(config)
        if path is None:
            raise OperatorError("there is no gateway.toml here to name the new key in: --config")
        resolved = resolve(settings, key)
        owner = load_owner(settings.keys, chain_id(settings), key)
        async with await Market.open(settings.chain) as market:
            operator = Operator(market, owner, settings.chain.policy())
            gateway = parse_hex("gateway_id", resolved.gateway_id, 20)
            rotation = _Rotation(path, market, operator, gateway)
            clock = await market.sessions.clock()
            signing, session = await change_key(rotation, clock, output, wait_s)
        return {"signing": signing, "session": session}

    run(config, json, work)
