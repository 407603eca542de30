"""The nodes' command lines in this process, on a chain with a deployed market."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import typer
from typer.main import get_command
from typer.testing import CliRunner

from contracts import Market, TxSender
from localnet.chain import TestAccount, test_account
from tests.contracts.anvil import Anvil, start_anvil
from tests.contracts.world import DEPLOYER, POLICY, build

STRANGERS = 6
"""Of anvil's accounts these and later ones play no part in the market of `world.build`."""


@dataclass
class CommandLine:
    """A command line whose every call ends in one JSON object."""

    app: typer.Typer
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: object, status: int = 0) -> dict[str, Any]:
        """The result of a command that works, and ends with `status`."""
        found, result = self._invoke(arguments)
        assert found == status, result
        assert "error" not in result, result
        return result

    def refuse(self, *arguments: object) -> str:
        """`code: message` of a command that is refused with a sentence."""
        status, result = self._invoke(arguments)
        assert status == 1, result
        assert result.keys() == {"error"}
        error = result["error"]
        assert error["message"], result
        return f"{error['code']}: {error['message']}"

    def _invoke(self, arguments: tuple[object, ...]) -> tuple[int, dict[str, Any]]:
        argv = [*map(str, arguments), "--json"]
        done = CliRunner().invoke(self.app, argv, env=dict(self.environment))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        lines = done.stdout.splitlines()
        assert len(lines) == 1, done.output  # what is for people goes to standard error
        result: dict[str, Any] = json.loads(lines[0])
        return done.exit_code, result


def each_command(app: typer.Typer) -> list[list[str]]:
    """The words of every command, groups gone through."""

    def walk(command: Any, words: list[str]) -> Iterator[list[str]]:
        if not hasattr(command, "commands"):
            yield words
            return
        for name, inner in command.commands.items():
            yield from walk(inner, [*words, name])

    return list(walk(get_command(app), []))


def help_of(app: typer.Typer, words: list[str]) -> str:
    """What `--help` prints."""
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    return done.stdout


@dataclass
class MarketOnChain:
    """A chain, its address book, and hands to give people tokens."""

    anvil: Anvil
    book: Path

    def mint(self, account: TestAccount, amount: int) -> None:
        async def work() -> None:
            async with await Market.connect([self.anvil.url], self.book) as market:
                sender = TxSender(market.chain, DEPLOYER, POLICY)
                await sender.send(market.token.mint(account.raw, amount))

        anyio.run(work)

    @contextmanager
    def working_in(self, folder: Path) -> Iterator[None]:
        """Work in a folder, on a chain that is put back afterwards."""
        snapshot, before = self.anvil.rpc("evm_snapshot"), Path.cwd()
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            self.anvil.rpc("evm_revert", snapshot)

    def chain_settings(self) -> str:
        """The [chain] of a configuration file."""
        return (
            f'[chain]\nrpc_urls = ["{self.anvil.url}"]\naddress_book = "{self.book}"\n'
            "confirmations = 0\npoll_s = 0.01\n"
        )


@contextmanager
def market_on_chain(folder: Path) -> Iterator[MarketOnChain]:
    """A market of its own; see `tests.contracts.world`."""
    anvil = start_anvil()
    try:
        book = folder / "addressbook.json"
        anyio.run(build, anvil, book)
        yield MarketOnChain(anvil, book)
    finally:
        anvil.stop()


def stranger(number: int) -> TestAccount:
    """One of anvil's accounts that the market does not know."""
    return test_account(STRANGERS + number)
