"""The gateway's command line on a real chain: from `init` to the last token taken back."""

import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import app
from localnet.chain import TestAccount
from tests.clis import (
    CommandLine,
    MarketOnChain,
    each_command,
    help_of,
    market_on_chain,
    stranger,
)
from tests.contracts.world import SERVICE_ID

OWNER, SIGNER, OTHER = stranger(0), stranger(1), stranger(2)
SERVICE = "0x" + SERVICE_ID.hex()
TOKENS = 10**9
L = 60


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketOnChain]:
    with market_on_chain(tmp_path_factory.mktemp("market")) as market:
        yield market


def write_config(folder: Path, market: MarketOnChain, owner: TestAccount = OWNER) -> Path:
    path = folder / "gateway.toml"
    path.write_text(
        'data_dir = "data"\npublic_url = "https://gateway.example"\n'
        + market.chain_settings()
        + f'[keys]\nowner_key = "{owner.key}"\nsigning_key = "{SIGNER.key}"\n'
        + "[control]\nport = 0\n"
    )
    return path


@pytest.fixture
def cli(market: MarketOnChain, tmp_path: Path) -> Iterator[CommandLine]:
    """The command line beside a `gateway.toml`, on a chain put back afterwards."""
    write_config(tmp_path, market)
    with market.working_in(tmp_path):
        market.mint(OWNER, TOKENS)
        yield CommandLine(app)


@pytest.mark.parametrize("words", each_command(app), ids=" ".join)
def test_every_command_shows_an_example(words: list[str]) -> None:
    text = help_of(app, words)
    assert f"Example: gateway {' '.join(words)}" in text
    assert "--json" in text


@pytest.mark.anvil
def test_from_registration_to_the_last_token(cli: CommandLine, market: MarketOnChain) -> None:
    owner = "0x" + OWNER.raw.hex()
    assert "register the gateway first" in cli.refuse("delegate", SERVICE, 1_000)

    registered = cli.run("register", "--url", "https://api.example")
    assert registered["gateway"] == owner
    assert registered["signing"] == "0x" + SIGNER.raw.hex()
    assert cli.run("register")["gateway"] == owner  # again: rotates to the same key

    assert cli.run("fund", 5_000_000)["escrow"] == 5_000_000
    assert cli.run("deposit", 1_000_000)["escrow"] == 6_000_000
    assert cli.run("delegate", SERVICE, 1_000_000, "--fee-bps", 100)["cap"] == 1_000_000

    funds = cli.run("funds")
    assert funds["owner"] == funds["application"] == owner
    assert funds["escrow"] == 6_000_000
    assert funds["wallet"] == TOKENS - 6_000_000 - 1_000  # the delegation's fee
    assert funds["gas_wei"] > 0
    assert (funds["earned"], funds["withdrawal_pending"]) == (0, 0)
    amounts = {each["where"]: each["amount"] for each in funds["holdings"]}
    assert funds["escrow_needed"] == 2_000_000
    assert amounts["escrow, covers the caps"] == 2_000_000
    assert amounts["escrow, free"] == 4_000_000
    (allowed,) = [each for each in funds["holdings"] if "may be spent" in each["where"]]
    assert SERVICE in allowed["frees"]
    assert amounts["gas of the owner"] == funds["gas_wei"]

    assert cli.run("withdraw")["result"].startswith("collected")
    assert cli.run("delegate", SERVICE, 0)["cap"] == 0
    asked = cli.run("withdraw", 2_000_000)["result"]
    session = cli.run("funds")["withdrawal_session"]
    assert asked == f"asked back; run this again from session {session} on"
    assert cli.run("withdraw")["result"] == asked.replace("back", "back already")
    assert f"from session {session} on" in cli.run("funds")["frees"]["escrow"]
    market.anvil.mine(4 * L)
    assert cli.run("withdraw")["result"] == "withdrawn"
    after = cli.run("funds")
    assert (after["escrow"], after["wallet"]) == (4_000_000, TOKENS - 4_000_000 - 1_000)


@pytest.mark.anvil
def test_another_application_pays_and_another_gateway_is_delegated_to(
    cli: CommandLine, market: MarketOnChain, tmp_path: Path
) -> None:
    cli.run("register")
    market.mint(OTHER, TOKENS)
    folder = tmp_path / "application"
    folder.mkdir()
    config = write_config(folder, market, OTHER)
    gateway = "0x" + OWNER.raw.hex()

    assert cli.run("fund", 7, "--application", OTHER.address)["escrow"] == 7
    delegated = cli.run(
        "delegate", SERVICE, 5, "--gateway", gateway, "--config", config, "--key", OTHER.key
    )
    assert delegated["gateway"] == gateway
    assert cli.run("funds", "--config", config)["escrow"] == 7


@pytest.mark.anvil
def test_what_the_chain_refuses_comes_with_its_remedy(cli: CommandLine) -> None:
    cli.run("register")
    assert "get more tokens" in cli.refuse("fund", TOKENS + 1)
    assert "deposit more, or ask for less" in cli.refuse("withdraw", 1)
    assert "list the service first" in cli.refuse("delegate", "0x" + "11" * 32, 1)
    assert "service has 1 bytes instead of 32" in cli.refuse("delegate", "0x11", 1)
    assert "application is not hexadecimal" in cli.refuse("fund", 1, "--application", "me")


def by_id(keys: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """API keys by their ids; those of one second are listed in any order."""
    return {each["id"]: each for each in keys}


@pytest.mark.anvil
def test_keys_are_made_shown_by_their_ids_and_revoked(cli: CommandLine) -> None:
    made = cli.run("keys", "create", "web shop", "--in-flight-max", 3)
    other = cli.run("keys", "create", "theirs", "--application", OTHER.address)
    assert made["key"].startswith("lode_sk_")
    assert made["application"] == "0x" + OWNER.raw.hex()
    assert other["application"] == "0x" + OTHER.raw.hex()

    listed = by_id(cli.run("keys", "list")["keys"])
    assert listed.keys() == {made["id"], other["id"]}
    assert listed[made["id"]]["in_flight_max"] == 3
    assert made["key"] not in str(listed)
    assert "sha256" not in listed[made["id"]]

    revoked = cli.run("keys", "revoke", made["id"])
    assert revoked["id"] == made["id"]
    listed = by_id(cli.run("keys", "list")["keys"])
    assert listed[made["id"]]["revoked_at"] == revoked["revoked_at"]
    assert listed[other["id"]]["revoked_at"] is None
    assert "see `gateway keys list`" in cli.refuse("keys", "revoke", "key_none")
    assert "application has 2 bytes" in cli.refuse("keys", "create", "x", "--application", "0x1234")


@pytest.mark.anvil
def test_what_a_key_may_spend_is_set_changed_and_lifted(cli: CommandLine) -> None:
    made = cli.run(
        "keys", "create", "shop", "--rpm", 60, "--tpm", 9_000, "--daily-budget", 5,
        "--monthly-budget", 70, "--models", "a, b", "--expires", "2031-01-31T12:00:00+01:00",
    )  # fmt: skip
    (row,) = cli.run("keys", "list")["keys"]
    terms = {
        "requests_per_minute": 60, "tokens_per_minute": 9_000, "daily_budget": 5,
        "monthly_budget": 70, "models": ["a", "b"], "expires_at": 1_927_623_600,
    }  # fmt: skip
    assert {name: row[name] for name in terms} == terms

    changed = cli.run("keys", "update", made["id"], "--rpm", 0, "--models", "any", "--tpm", 1)
    lifted = {"requests_per_minute": None, "models": None, "tokens_per_minute": 1}
    assert {name: changed[name] for name in terms} == {**terms, **lifted}
    assert cli.run("keys", "update", made["id"], "--expires", "never")["expires_at"] is None
    assert "expires: 'soon' is no time" in cli.refuse("keys", "create", "x", "--expires", "soon")
    assert "models: " in cli.refuse("keys", "create", "x", "--models", "")
    assert "see `gateway keys list`" in cli.refuse("keys", "update", "key_none", "--rpm", 1)

    (used,) = cli.run("usage")["keys"]
    assert used["id"] == made["id"]
    assert (used["today"], used["daily_budget"], used["cost"]) == (0, 5, 0)


@pytest.mark.anvil
def test_status_without_a_running_gateway_reads_its_logs(cli: CommandLine) -> None:
    status = cli.run("status")
    assert status["running"] is False
    assert status["receipts_waiting"] == 0


def test_init_makes_keys_a_config_that_loads_and_overwrites_nothing(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse")
    cli, folder = CommandLine(app), tmp_path / "new"

    made = cli.run("init", "--directory", folder, "--password-file", password)

    config = tomllib.loads(Path(made["config"]).read_text())
    assert config["gateway_id"] == config["application"] == made["owner"]
    assert made["owner"] != made["signing"]
    for name in ("gateway.toml", "owner.json", "signing.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert len(config["control"]["admin_token"]) >= 32
    assert config["control"]["admin_token"] not in str(made)
    again = cli.refuse("init", "--directory", folder, "--password-file", password)
    assert "choose another --directory" in again
    assert "address_book" in cli.refuse("funds", "--config", made["config"])


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    cli = CommandLine(app)
    missing = tmp_path / "missing.toml"
    assert cli.refuse("funds", "--config", missing) == (
        f"settings: {missing} is not there: make it with `init`, or mend --config"
    )
    assert "GATEWAY_PASSWORD" in cli.refuse("init", "--directory", tmp_path)
    empty = tmp_path / "gateway.toml"
    empty.write_text("")
    assert "set chain.address_book" in cli.refuse("serve", "--config", empty)


@pytest.mark.anvil
def test_keys_and_chains_that_do_not_fit_are_refused(
    cli: CommandLine, market: MarketOnChain, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.toml"
    text = config.read_text()
    config.write_text(text.replace(OWNER.key, "0x" + "00" * 32))
    refused = cli.refuse("register")
    assert "not a secp256k1 private key" in refused
    config.write_text("\n".join(line for line in text.splitlines() if "_key" not in line))
    assert "set keys.owner_keystore, or run `gateway init`" in cli.refuse("register")
    config.write_text(text.replace(market.anvil.url, "http://127.0.0.1:1"))
    assert "ChainUnavailableError" in cli.refuse("register")
    book = tmp_path / "book.json"
    book.write_text(market.book.read_text().replace("31337", "1"))
    config.write_text(text.replace(str(market.book), str(book)))
    refused = cli.refuse("register")
    assert "a raw owner key is taken on the local network (chain 31337) only" in refused
    assert OWNER.key[2:] not in refused


@pytest.mark.anvil
def test_a_listener_that_cannot_start_says_which_setting_to_mend(
    cli: CommandLine, tmp_path: Path
) -> None:
    cli.run("register")
    config = tmp_path / "gateway.toml"
    config.write_text(config.read_text() + '[server.tls]\ncertificate = "none.pem"\n')
    assert "set both server.tls.certificate and server.tls.key" in cli.refuse("serve")
