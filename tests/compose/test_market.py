"""The market of compose.yaml, run for real: `make test-compose`."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from openai import OpenAI

from localnet.chain import free_port
from localnet.compose import GATEWAYS
from localnet.load import Tally
from localnet.processes import wait_until
from localnet.provision import MODEL
from tests.compose.panels import unanswered
from tests.compose.standins import prepare
from tests.compose.traffic import Traffic

ROOT = Path(__file__).parents[2]
PROJECT = "lode-test"
KILLED = ("prometheus", "postgres", "redis", "supplier-1", "gateway-1", "front", "chain")
"""One of each kind; Grafana keeps nothing and nobody asks it."""
TAKES_ANSWERS_WITH_IT = ("front",)
"""The one way in: without it nobody is answered, until it is back."""
RATE, BEFORE, DURING = 4.0, 20, 40
"""Requests a second; how many are sent before the kill, and how many without what was killed."""

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1500)]


def without(services: list[str], folder: Path) -> Path:
    """A file that leaves out services, whose images cannot be had."""
    path = folder / "absent.yaml"
    left_out: dict[str, object] = {name: {"profiles": ["absent"]} for name in services}
    path.write_text(yaml.safe_dump({"services": left_out}))
    return path


class Compose:
    """One project of compose.yaml, with ports of its own."""

    def __init__(self, folder: Path) -> None:
        names = ("GATEWAY", "CONTROL", "CHAIN", "PROMETHEUS", "GRAFANA")
        self.ports = {f"{name}_PORT": str(free_port()) for name in names}
        self.files = ["-f", "compose.yaml", "-f", str(without(prepare(), folder))]

    def run(self, *arguments: str, timeout_s: float = 900) -> str:
        """Run `docker compose` and return what it printed."""
        argv = ["docker", "compose", "-p", PROJECT, *self.files, *arguments]
        done = subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False,
            env={**os.environ, **self.ports},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def url(self) -> str:
        """Where clients reach the market."""
        return f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}/v1"

    def key(self) -> str:
        """The API key of the first application."""
        return self.run("exec", "-T", "gateway-0", "cat", "/market/shared/api_key").strip()

    def ask(self, text: str = "What is the capital of Japan?") -> str:
        """The answer of the stock client."""
        with OpenAI(base_url=self.url, api_key=self.key()) as client:
            answer = client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": text}], max_tokens=32
            )
        return answer.choices[0].message.content or ""

    @property
    def prometheus(self) -> str:
        """Prometheus' own address."""
        return f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}"

    def query(self, expression: str) -> float:
        """The sum that Prometheus answers."""
        parameters = {"query": f"sum({expression})"}
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params=parameters)
        found = answer.json()["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The market, up; nothing of it is left afterwards."""
    project = Compose(tmp_path_factory.mktemp("compose"))
    try:
        project.run("up", "--wait", "--quiet-pull")
        yield project
    finally:
        project.run("--profile", "*", "down", "-v", "--timeout", "20")


def failures(tally: Tally) -> int:
    """Requests that ended without what was asked for."""
    return sum(count for kind, count in tally.outcomes.items() if kind.startswith("failed"))


def goes_well(tally: Tally) -> bool:
    """Whether the next requests are all answered, as many of them as `BEFORE`."""
    failed, sent = failures(tally), tally.requests
    wait_until(lambda: tally.requests >= sent + BEFORE, "no answers at all", 180)
    return failures(tally) == failed


def test_it_answers_as_soon_as_it_is_up(compose: Compose) -> None:
    assert "Tokyo" in compose.ask()


def test_what_is_served_is_paid(compose: Compose) -> None:
    paid = 'supplier_funnel_token_base_units_total{stage="paid"}'

    def has_paid() -> bool:
        compose.ask("Tell me a story.")
        return compose.query(paid) > 0

    wait_until(has_paid, "no claim was paid", 300, pause_s=1.0)


def test_every_target_is_scraped_and_no_rule_is_broken(compose: Compose) -> None:
    nodes = ("supplier-0", "supplier-1", "supplier-2", *GATEWAYS)
    wait_until(lambda: compose.query("up") == len(nodes), "not every node is scraped", 60)
    rules = httpx.get(f"{compose.prometheus}/api/v1/rules").json()["data"]["groups"]
    written = yaml.safe_load((ROOT / "compose" / "prometheus" / "rules.yml").read_text())["groups"]

    assert [len(group["rules"]) for group in rules] == [len(each["rules"]) for each in written]
    assert all(rule["health"] == "ok" for group in rules for rule in group["rules"])


def test_every_panel_of_grafana_is_answered(compose: Compose) -> None:
    with Traffic(compose.url, compose.key()):
        wait_until(lambda: not unanswered(compose.prometheus), "a panel has no data", 180, 2.0)


def test_each_alert_fires_when_it_should_and_not_before(compose: Compose) -> None:
    compose.run(
        "run", "--rm", "--no-deps", "--entrypoint", "promtool", "prometheus",
        "test", "rules", "/etc/lode/rules_test.yml",
    )  # fmt: skip


@pytest.mark.parametrize("name", KILLED)
def test_any_container_may_be_killed_under_load(
    compose: Compose, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line of the matrix in docs/compose.md."""
    with Traffic(compose.url, compose.key(), RATE) as traffic:
        tally = traffic.tally
        wait_until(lambda: tally.requests >= BEFORE, "no answers before the kill", 60)
        assert failures(tally) == 0
        answered = tally.requests
        compose.run("kill", "-s", "KILL", name)
        sent = tally.requests + traffic.in_flight
        wait_until(lambda: tally.requests >= sent + DURING, "no answers at all", 180)
        during = failures(tally)
        began = time.monotonic()
        compose.run("up", "--wait", "--no-build", "--no-deps", name)
        wait_until(lambda: goes_well(tally), f"no answers after {name} was killed", 180)
        back_s = time.monotonic() - began
    failed = failures(tally)
    with capsys.disabled():
        sys.stdout.write(
            f"\n| `{name}` | {tally.requests} | {during} | {failed - during} | {back_s:.0f} "
            f"| {dict(tally.outcomes)}\n"
        )
    if name not in TAKES_ANSWERS_WITH_IT:
        assert failed <= sent - answered, "more failed than can have been in flight"


def test_nothing_that_was_served_is_lost_by_the_kills(compose: Compose) -> None:
    waiting = "gateway_receipts_waiting + gateway_recounts_waiting"
    wait_until(lambda: compose.query(waiting) == 0, "receipts are waiting still", 120, 2.0)

    assert compose.query('supplier_funnel_token_base_units_total{stage="lost"}') == 0


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
