"""A real gateway that goes back to a copy of its tables, with what was spent since in its logs."""

import shutil
import subprocess

import httpx
import pytest
from openai import OpenAI

from localnet import LocalMarket, MarketPlan, Terms
from localnet.nodes import OK
from localnet.processes import wait_until
from localnet.provision import TOKEN
from tests.e2e.accounts import ask, ledger

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]

PLAN = MarketPlan(suppliers=1, terms=Terms(cap=80 * TOKEN, session_blocks=240))


def is_let_in(market: LocalMarket, key: str) -> bool:
    """Whether a key is one that the gateway knows."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"{market.base_url}/models", headers=headers).status_code == OK


def answer(market: LocalMarket, key: str) -> None:
    wait_until(lambda: is_let_in(market, key), "the key is not known")
    with OpenAI(base_url=market.base_url, api_key=key, max_retries=0) as client:
        assert ask(client)


def test_a_gateway_goes_on_from_a_copy_of_its_tables() -> None:
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("sqlite3 is not installed")
    with LocalMarket.start(PLAN) as market:
        tables = market.folder / "gateway" / "keys.db"
        web = market.run_gateway("keys", "create", "web", "--daily-budget", "1000000")["key"]
        leaked = market.run_gateway("keys", "create", "leaked")
        answer(market, web)
        keys = market.run_gateway("keys", "list")
        subprocess.run([program, tables, ".backup copy.db"], check=True, cwd=market.folder)

        late = market.run_gateway("keys", "create", "late")["key"]
        market.run_gateway("keys", "revoke", leaked["id"])
        answer(market, web)
        answer(market, late)
        wait_until(lambda: not is_let_in(market, leaked["key"]), "the key is not revoked")
        requests = ledger(market)
        used = market.run_gateway("usage", "--daily")

        market.gateway.stop()
        (market.folder / "copy.db").replace(tables)
        market.gateway.start_again()
        market.gateway.wait_ready(lambda: market.gateways[0].answers("readyz"))
        assert market.run_gateway("keys", "list") == keys
        assert ledger(market) == requests
        again = market.run_gateway("usage", "--daily")
        assert again["days"] == used["days"]
        assert again["keys"] == [each for each in used["keys"] if each["name"] != "late"]
        assert not is_let_in(market, late)
        answer(market, leaked["key"])  # to be revoked again
        answer(market, web)
