"""The supplier's command line on a real chain: from `init` to the last token taken back."""

import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from localnet.processes import ROOT
from node.settings import setting_names
from supplier.cli import cli as app
from supplier.config_file import set_value
from supplier.settings import EngineSettings, Settings
from tests.clis import (
    CommandLine,
    MarketOnChain,
    each_command,
    help_of,
    market_on_chain,
    stranger,
)
from tests.contracts.world import SERVICE_ID

OWNER, OPERATOR, PAYOUT = stranger(0), stranger(1), stranger(2)
SERVICE = "0x" + SERVICE_ID.hex()
MODEL = ROOT / "models" / "demo"
TOKENS = 10**9
STAKE = 50_000_000
L = 60


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketOnChain]:
    with market_on_chain(tmp_path_factory.mktemp("market")) as market:
        yield market


@pytest.fixture
def cli(market: MarketOnChain, tmp_path: Path) -> Iterator[CommandLine]:
    """The command line in a directory where `init` has run, on a chain put back afterwards."""
    with market.working_in(tmp_path):
        market.mint(OWNER, TOKENS)
        cli = CommandLine(app, {"SUPPLIER_CHAIN__POLL_S": "0.01"})
        cli.run(
            "init", "--rpc", market.anvil.url, "--address-book", market.book, "--model", MODEL,
            "--owner-key", OWNER.key, "--operator-key", OPERATOR.key, "--confirmations", 0,
        )  # fmt: skip
        yield cli


@pytest.mark.parametrize("words", each_command(app), ids=" ".join)
def test_every_command_shows_an_example(words: list[str]) -> None:
    text = help_of(app, words)
    assert f"Example: supplier {' '.join(words)}" in text
    assert "--json" in text


@pytest.mark.anvil
def test_from_the_first_stake_to_the_last_token(cli: CommandLine, market: MarketOnChain) -> None:
    assert "run `supplier stake` first" in cli.refuse("funds")

    staked = cli.run("stake", STAKE, "--bond-cap", 7, "--payout", PAYOUT.address)
    supplier = staked["supplier"]
    assert staked["stake"] == STAKE
    assert tomllib.loads(Path("supplier.toml").read_text())["supplier_id"] == supplier
    assert cli.run("stake", 1)["supplier"] == supplier  # more, on the same one

    listed = cli.run("list", SERVICE, "--price", 2_000_000)
    assert listed["price"] == 2_000_000
    assert tomllib.loads(Path("supplier.toml").read_text())["services"] == [SERVICE]
    cli.run("list", SERVICE, "--price", 3_000_000)
    assert tomllib.loads(Path("supplier.toml").read_text())["services"] == [SERVICE]

    funds = cli.run("funds")
    assert (funds["supplier"], funds["payout"]) == (supplier, "0x" + PAYOUT.raw.hex())
    assert (funds["stake"], funds["reserved"], funds["unstaking"]) == (STAKE + 1, 0, 0)
    assert (funds["owner_balance"], funds["claimable"]) == (TOKENS - STAKE - 1, 0)
    assert funds["operator_gas"] > 0

    assert "run `supplier unstake AMOUNT` first" in cli.refuse("withdraw")
    assert "nothing to collect yet" in cli.refuse("collect")
    leaving = cli.run("unstake", STAKE)
    assert leaving["unstaking"] == STAKE
    assert leaving["from_session"] > funds["current_session"]
    assert "wait for the session" in cli.refuse("withdraw")
    market.anvil.mine((leaving["from_session"] - funds["current_session"] + 1) * L)
    assert cli.run("withdraw")["withdrawn"] == STAKE
    after = cli.run("funds")
    assert (after["stake"], after["unstaking"]) == (1, 0)
    assert after["owner_balance"] == TOKENS - 1


@pytest.mark.anvil
def test_a_source_lists_the_model_of_the_config_once(cli: CommandLine) -> None:
    listed = cli.run("source", "list", "lode-demo", "--output-units", 4)
    again = cli.run("source", "list", "lode-demo", "--output-units", 4)
    other = cli.run("source", "list", "lode-demo", "--output-units", 5, "--key", PAYOUT.key)

    assert listed == again
    assert listed["spec"]["name"] == "lode-demo"
    assert listed["source"] == "0x" + OWNER.raw.hex()
    assert other["service"] != listed["service"]
    assert other["source"] == "0x" + PAYOUT.raw.hex()


@pytest.mark.anvil
def test_what_the_chain_refuses_comes_with_its_remedy(cli: CommandLine) -> None:
    assert "get more tokens" in cli.refuse("stake", TOKENS + 1)
    cli.run("stake", STAKE)
    assert "list the service first" in cli.refuse("list", "0x" + "11" * 32, "--price", 1)
    assert "ask for at least 1" in cli.refuse("list", SERVICE, "--price", 0)
    assert "service has 1 bytes instead of 32" in cli.refuse("list", "0x11", "--price", 1)
    assert "stake more, or wait" in cli.refuse("unstake", STAKE + 1)
    assert "give an amount above zero" in cli.refuse("stake", 0)
    assert "owner's key" in cli.refuse("unstake", 1, "--key", PAYOUT.key)
    salted = ("stake", 1, "--salt", "pepper", "--config", fresh())
    assert "salt is not hexadecimal" in cli.refuse(*salted)


def fresh() -> Path:
    """The same configuration before its first stake."""
    path = Path("fresh.toml")
    path.write_text(Path("supplier.toml").read_text())
    set_value(path, "supplier_id", "")
    return path


@pytest.mark.anvil
def test_status_of_a_supplier_that_has_not_served(cli: CommandLine) -> None:
    status = cli.run("status", "--limit", 3)
    assert (status["sessions"], status["actions"]) == ([], [])
    assert set(status["totals"].values()) == {0}


@pytest.mark.anvil
def test_a_service_that_is_not_the_model_here_is_not_served(cli: CommandLine) -> None:
    assert "run `supplier stake` first" in cli.refuse("serve")
    cli.run("stake", STAKE)
    assert "run `supplier list`" in cli.refuse("serve")
    cli.run("list", SERVICE, "--price", 1)
    assert "has the spec hash" in cli.refuse("serve")


@pytest.mark.anvil
def test_settings_that_do_not_fit_are_named(
    cli: CommandLine, market: MarketOnChain, tmp_path: Path
) -> None:
    config = tmp_path / "supplier.toml"
    text = config.read_text()
    config.write_text(text.replace(str(MODEL), str(tmp_path / "none")))
    assert "engine.model" in cli.refuse("source", "list", "x")
    config.write_text(text.replace(OWNER.key, "0xzz"))
    assert "the owner key is not hexadecimal" in cli.refuse("stake", 1)
    config.write_text("\n".join(line for line in text.splitlines() if "_key =" not in line))
    assert "set keys.owner_keystore, or run `supplier init`" in cli.refuse("stake", 1)
    config.write_text(text.replace(market.anvil.url, "http://127.0.0.1:1"))
    assert "ChainUnavailableError" in cli.refuse("stake", 1)
    config.write_text(text + '[server.tls]\ncertificate = "none.pem"\n')
    assert "set both server.tls.certificate and server.tls.key" in cli.refuse("serve")
    book = tmp_path / "book.json"
    book.write_text(market.book.read_text().replace("31337", "1"))
    config.write_text(text.replace(str(market.book), str(book)))
    refused = cli.refuse("stake", 1)
    assert OWNER.key[2:] not in refused


def test_init_makes_keystores_that_open_and_overwrites_nothing(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse")
    cli, config = CommandLine(app), tmp_path / "new" / "supplier.toml"
    arguments = ("init", "--config", config, "--password-file", password)

    made = cli.run(*arguments)

    assert made["owner"] != made["operator"]
    for name in ("supplier.toml", "owner.json", "operator.json"):
        assert stat.S_IMODE((config.parent / name).stat().st_mode) == 0o600
    assert "exists" in cli.refuse(*arguments)
    other = config.with_name("other.toml")
    assert "exists" in cli.refuse("init", "--config", other, "--password-file", password)


def test_init_asks_for_what_is_not_given(tmp_path: Path) -> None:
    config, password = tmp_path / "asked.toml", tmp_path / "password"
    password.write_text("correct horse")
    answers = ["http://rpc", "book.json", "embedding", "vllm", "qwen", "", "https://gpu", ""]
    arguments = ["init", "--config", str(config), "--ask", "--model", "m", "--engine-url", ""]
    arguments += ["--password-file", str(password), "--json"]

    done = CliRunner().invoke(app, arguments, input="\n".join([*answers, ""]))

    assert done.exit_code == 0, done.output
    settings = Settings.load(config)
    assert settings.chain.urls() == ("http://rpc",)
    assert settings.chain.address_book.name == "book.json"
    assert (settings.engine.kind, settings.engine.served_model_name) == ("vllm", "qwen")
    assert (settings.engine.model, settings.engine.url) == ("m", None)
    assert settings.public_url == "http://127.0.0.1:8800"  # an empty answer takes the default
    refused = CliRunner().invoke(app, ["init", "--engine", "abacus"])
    assert refused.exit_code != 0


def test_an_engine_that_runs_already_may_be_of_any_kind(tmp_path: Path) -> None:
    config, password = tmp_path / "supplier.toml", tmp_path / "password"
    password.write_text("correct horse")
    arguments = ["--engine", "llama.cpp", "--engine-url", "http://127.0.0.1:8080"]
    cli = CommandLine(app)

    cli.run("init", "--config", config, "--password-file", password, *arguments)

    assert Settings.load(config).engine.kind == "llama.cpp"
    with pytest.raises(ValidationError, match="started by you: set its url"):
        EngineSettings(kind="llama.cpp")
    with pytest.raises(ValidationError, match="kind"):
        EngineSettings(kind="Llama CPP", url="http://127.0.0.1:8080")


def test_every_setting_is_in_a_new_file_with_its_default(tmp_path: Path) -> None:
    config, password = tmp_path / "supplier.toml", tmp_path / "password"
    password.write_text("correct horse")
    CommandLine(app).run("init", "--config", config, "--password-file", password)
    text = config.read_text()
    names = [e.rpartition(".")[2] for e in setting_names(Settings) if not e.startswith("keys.")]
    assert [each for each in names if f"{each} = " not in text] == []

    lines = [
        line.removeprefix("# ") if re.match(r"# (\w+ = [^.]|\[)", line) else line
        for line in text.splitlines()
        if not line.startswith("# url")
    ]
    whole = tmp_path / "whole.toml"
    whole.write_text("\n".join(lines))
    assert Settings.load(whole).model_dump() == Settings.load(config).model_dump()


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    cli, missing = CommandLine(app), tmp_path / "missing.toml"
    assert cli.refuse("funds", "--config", missing) == (
        f"settings: {missing} is not there: make it with `init`, or mend --config"
    )
    assert "SUPPLIER_PASSWORD" in cli.refuse("init", "--config", missing)
    empty = tmp_path / "supplier.toml"
    empty.write_text("")
    assert "set chain.address_book" in cli.refuse("serve", "--config", empty)
