"""`gateway rotate-key`, and settings read again: the node first, then the chain, then the files."""

import logging
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from contracts import Market
from gateway.cli import app
from gateway.keys import load_keyring, load_missing
from gateway.reloading import open_reloader
from gateway.settings import KeySettings, Settings
from node.http import Request, Response
from node.keystore import LOCALNET_CHAIN_ID, WrongPassword, create_keystore
from relay_mining import Address, Clock, Signer
from tests.beside import serving
from tests.clis import CommandLine, MarketOnChain, market_on_chain, stranger
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway

OWNER = stranger(3)
TOKEN = "an admin token that is long enough"
BLOCKS_MIN = 4
"""Left in a session that a change is still recorded in."""


@contextmanager
def a_node(held: list[str]) -> Iterator[int]:
    """A control plane that says which keys its gateway holds."""

    async def page(request: Request) -> Response:
        assert request.headers.get(b"authorization") == b"Bearer " + TOKEN.encode()
        return Response(200, orjson.dumps({"signing_keys": held}))

    with serving(page) as port:
        yield port


@pytest.fixture
def market(tmp_path: Path) -> Iterator[MarketOnChain]:
    with market_on_chain(tmp_path / "market") as market:
        yield market


@contextmanager
def a_folder(folder: Path, market: MarketOnChain, port: int) -> Iterator[CommandLine]:
    """The command line in a folder with settings whose control plane is on a port."""
    (folder / "password").write_text("correct horse")
    create_keystore(folder / "signing.json", "correct horse")
    (folder / "gateway.toml").write_text(
        'data_dir = "data"\n' + market.chain_settings() + "[keys]\n"
        f'owner_key = "{OWNER.key}"\nsigning_keystore = "signing.json"\n'
        'signing_password_file = "password"\n'
        f'[control]\nport = {port}\nadmin_token = "{TOKEN}"\n'
    )
    before = Path.cwd()
    os.chdir(folder)
    yield CommandLine(app)
    os.chdir(before)


def ask_chain(market: MarketOnChain, work: Any) -> Any:
    async def run() -> Any:
        async with await Market.connect([market.anvil.url], market.book) as chain:
            return await work(chain)

    return anyio.run(run)


def on_record(market: MarketOnChain, ahead: int) -> str:
    """Who signs for the gateway in the running session or one after it."""

    async def read(chain: Market) -> str:
        number = (await chain.sessions.clock()).session_at((await chain.chain.head()).number)
        found = await chain.registry.gateway_key(OWNER.raw, number + ahead)
        assert found is not None
        return "0x" + found.hex()

    return ask_chain(market, read)  # type: ignore[no-any-return]


def go_on(market: MarketOnChain) -> None:
    """To the first block of the next session."""

    async def read(chain: Market) -> int:
        clock: Clock = await chain.sessions.clock()
        return clock.start(clock.session_at((await chain.chain.head()).number) + 1)

    market.anvil.mine_to(ask_chain(market, read))


@pytest.mark.anvil
def test_a_key_is_changed_step_by_step(market: MarketOnChain, tmp_path: Path) -> None:
    market.mint(OWNER, 10**9)
    held: list[str] = []
    with a_node(held) as port, a_folder(tmp_path, market, port) as cli:
        old = cli.run("register")["signing"]
        held.append(old)
        go_on(market)

        assert "send SIGHUP to `gateway serve`" in cli.refuse("rotate-key", "--wait-s", 0)
        assert on_record(market, 1) == old  # the node first, then the chain
        keys = Settings.load(Path("gateway.toml")).keys
        new = {"0x" + each.hex() for each in load_keyring(keys, LOCALNET_CHAIN_ID)} - {old}
        held += new
        refused = cli.refuse("rotate-key", "--wait-s", 0)
        assert "wait for the session in which it counts" in refused
        assert (on_record(market, 0), {on_record(market, 1)}) == (old, new)
        go_on(market)
        assert {cli.run("rotate-key")["signing"]} == new

        written = tomllib.loads(Path("gateway.toml").read_text())["keys"]
        assert "next_signing_keystore" not in written
        assert written["former_signing_keystores"] == [str(tmp_path / "signing.json")]
        keys = Settings.load(Path("gateway.toml")).keys
        assert {"0x" + each.hex() for each in load_keyring(keys, LOCALNET_CHAIN_ID)} == {old, *new}


@pytest.mark.anvil
def test_a_raw_key_is_not_rotated(market: MarketOnChain, tmp_path: Path) -> None:
    market.mint(OWNER, 10**9)
    with a_node([]) as port, a_folder(tmp_path, market, port) as cli:
        cli.run("register")
        path = Path("gateway.toml")
        path.write_text(path.read_text().replace('signing_keystore = "signing.json"', ""))
        assert "only keystores are rotated" in cli.refuse("rotate-key")


@pytest.mark.anyio
async def test_new_settings_are_taken_up_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    create_keystore(tmp_path / "one.json", "correct horse")
    create_keystore(tmp_path / "two.json", "correct horse")
    (tmp_path / "password").write_text("correct horse")
    keys = KeySettings(
        signing_keystore=tmp_path / "one.json", signing_password_file=tmp_path / "password"
    )
    old, named = Settings(keys=keys), list[dict[str, str]]()
    new = Settings(
        keys=keys.model_copy(update={"next_signing_keystore": tmp_path / "two.json"}),
        relays={"policy": "weighted", "stall_s": 7, "retry_share": 0.5, "credit_units": 1},
        queue={"length_max": 3},
        models={"a": "0x" + "11" * 32},
    )  # fmt: skip
    keyring: dict[Address, Signer] = {}
    async with a_gateway(tmp_path / "gateway", FakeSupplier("one")) as gateway:
        relays = gateway.plane.relays
        reloader = open_reloader(
            old, lambda: new, relays, keyring, LOCALNET_CHAIN_ID,
            lambda settings: named.append(settings.models),
        )  # fmt: skip
        with caplog.at_level(logging.INFO):
            await reloader.reload()

        assert relays.dispatcher.router.rules.policy == "weighted"
        assert relays.dispatcher.upstream.timeouts == new.relays.timeouts()
        assert relays.dispatcher.retries.share == 0.5
        assert relays.waiting.rules.length_max == 3
        assert named == [new.models]
        assert len(keyring) == 2
    assert caplog.records[-1].wait_for_a_restart == ["relays.credit_units"]  # type: ignore[attr-defined]


def test_keys_that_are_held_stay_shut_and_nobody_is_asked_for_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prompt(_: str) -> str:
        raise AssertionError("nobody is at the terminal")

    paths = [tmp_path / f"{name}.json" for name in ("one", "two", "three")]
    one, two, three = (create_keystore(each, "correct horse", scrypt_n=16) for each in paths)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", prompt)
    monkeypatch.delenv("GATEWAY_SIGNING_PASSWORD", raising=False)
    typed = KeySettings(
        signing_keystore=paths[0], next_signing_keystore=paths[1],
        former_signing_keystores=[paths[2]],
    )  # fmt: skip
    held = {one.address, two.address, three.address}
    assert load_missing(typed, LOCALNET_CHAIN_ID, held) == {}
    with pytest.raises(WrongPassword, match="name a file that holds it"):
        load_missing(typed, LOCALNET_CHAIN_ID, held - {two.address})
    (tmp_path / "password").write_text("correct horse")
    filed = typed.model_copy(update={"signing_password_file": tmp_path / "password"})
    assert set(load_missing(filed, LOCALNET_CHAIN_ID, {one.address, three.address})) == {
        two.address
    }
    assert set(load_keyring(filed, LOCALNET_CHAIN_ID)) == held


@pytest.mark.anyio
async def test_a_setting_is_not_taken_for_another_that_it_begins() -> None:
    from node.reloading import Reloader

    taken: list[str] = []
    old = Settings()
    new = old.model_copy(
        update={"relays": replace_setting(old.relays, "stall_s"), "queue": old.queue}
    )
    await Reloader(old, lambda: new, {"relays.stall": lambda _: taken.append("no")}).reload()

    assert taken == []


def replace_setting(section: Any, name: str) -> Any:
    return section.model_copy(update={name: 99.0})
