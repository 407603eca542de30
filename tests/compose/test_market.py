"""The market of compose.yaml, run for real: `make test-compose`."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI, OpenAIError

from localnet.chain import free_port
from localnet.processes import wait_until
from localnet.provision import MODEL

ROOT = Path(__file__).parents[2]
PROJECT = "lode-test"
RULES = (ROOT / "compose" / "prometheus" / "rules.yml").read_text().count("- alert:")

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1500)]


class Compose:
    """One project of compose.yaml, with ports of its own."""

    def __init__(self) -> None:
        names = ("GATEWAY_PORT", "CONTROL_PORT", "CHAIN_PORT", "PROMETHEUS_PORT")
        self.ports = {name: str(free_port()) for name in names}

    def run(self, *arguments: str, timeout_s: float = 900) -> str:
        """Run `docker compose` and return what it printed."""
        done = subprocess.run(
            ["docker", "compose", "-p", PROJECT, *arguments], cwd=ROOT, capture_output=True,
            text=True, timeout=timeout_s, check=False, env={**os.environ, **self.ports},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, text: str = "What is the capital of Japan?") -> str:
        """The answer of the stock client."""
        key = self.run("exec", "-T", "gateway", "cat", "/market/shared/api_key").strip()
        url = f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}/v1"
        with OpenAI(base_url=url, api_key=key) as client:
            answer = client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": text}], max_tokens=32
            )
        return answer.choices[0].message.content or ""

    def query(self, expression: str) -> float:
        """The sum that Prometheus answers."""
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}/api/v1/query"
        found = httpx.get(url, params={"query": f"sum({expression})"}).json()["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The market, up; nothing of it is left afterwards."""
    project = Compose()
    try:
        project.run("up", "--wait", "--quiet-pull")
        yield project
    finally:
        project.run("--profile", "*", "down", "-v", "--timeout", "20")


def answers(compose: Compose) -> Callable[[], bool]:
    """Whether the market answers now."""

    def ask() -> bool:
        try:
            return "Tokyo" in compose.ask()
        except OpenAIError:
            return False

    return ask


def test_it_answers_as_soon_as_it_is_up(compose: Compose) -> None:
    assert "Tokyo" in compose.ask()


def test_what_is_served_is_paid(compose: Compose) -> None:
    paid = 'supplier_funnel_token_base_units_total{stage="paid"}'

    def has_paid() -> bool:
        compose.ask("Tell me a story.")
        return compose.query(paid) > 0

    wait_until(has_paid, "no claim was paid", 300, pause_s=1.0)


def test_every_target_is_scraped_and_no_rule_is_broken(compose: Compose) -> None:
    wait_until(lambda: compose.query("up") == 4, "not every node is scraped", 60)
    url = f"http://127.0.0.1:{compose.ports['PROMETHEUS_PORT']}/api/v1/rules"
    rules = httpx.get(url).json()["data"]["groups"]

    assert sum(len(group["rules"]) for group in rules) == RULES
    assert all(rule["health"] == "ok" for group in rules for rule in group["rules"])


def test_each_alert_fires_when_it_should_and_not_before(compose: Compose) -> None:
    compose.run(
        "run", "--rm", "--no-deps", "--entrypoint", "promtool", "prometheus",
        "test", "rules", "/etc/lode/rules_test.yml",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["supplier-1", "chain", "gateway", "prometheus"])
def test_any_container_may_be_killed(compose: Compose, name: str) -> None:
    compose.run("kill", "-s", "KILL", name)
    compose.run("up", "--wait", "--no-build")

    wait_until(answers(compose), f"no answer after {name} was killed", 180, pause_s=1.0)


def test_the_market_goes_on_after_down_and_up(compose: Compose) -> None:
    before = compose.ports["CHAIN_PORT"]
    height = _height(before)
    compose.run("down", "--timeout", "30")
    began = time.monotonic()
    compose.run("up", "--wait", "--no-build")

    assert _height(before) >= height
    assert "Tokyo" in compose.ask()
    assert time.monotonic() - began < 600


def test_a_cheat_joins_and_is_slashed(compose: Compose) -> None:
    compose.run("--profile", "cheats", "up", "--wait", "--no-build")
    logs = compose.run("logs", "provision-cheat", "--no-log-prefix")

    assert "supplier-3 is staked and listed" in logs


def _height(port: str) -> int:
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
    return int(httpx.post(f"http://127.0.0.1:{port}", json=body).json()["result"], 16)
