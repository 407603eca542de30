"""The market of compose.yaml, run for real: `make test-compose`."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from openai import OpenAI

from localnet.compose import GATEWAYS
from localnet.processes import wait_until
from localnet.provision import MODEL
from tests.compose.books import read_books
from tests.compose.kills import SERVICES, Kill, kill, kill_rows, write_page
from tests.compose.panels import unanswered
from tests.compose.project import ROOT, SUPPLIERS, Compose, left_behind, market
from tests.compose.traffic import Traffic

PAID = 'supplier_funnel_token_base_units_total{stage="paid"}'

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1500)]


@dataclass
class Up:
    """The market that the tests share, and when it was begun."""

    compose: Compose
    began: float


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """The market, up; nothing of it is left afterwards."""
    with market() as (compose, up_s):
        yield Up(compose, time.monotonic() - up_s)
    assert left_behind() == []


@pytest.fixture
def compose(up: Up) -> Compose:
    """The market, up."""
    return up.compose


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Shows a line that is for the docs."""

    def line(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return line


def test_it_answers_as_soon_as_it_is_up(up: Up, say: Callable[[str], None]) -> None:
    say(f"up after {time.monotonic() - up.began:.0f} s")
    assert "Tokyo" in up.compose.ask()
    say(f"first answer after {time.monotonic() - up.began:.0f} s")


def test_what_is_served_is_paid(up: Up, say: Callable[[str], None]) -> None:
    def has_paid() -> bool:
        up.compose.ask("Tell me a story.")
        return up.compose.query(PAID) > 0

    wait_until(has_paid, "no claim was paid", 300, pause_s=1.0)
    say(f"first claim paid after {time.monotonic() - up.began:.0f} s")


def test_every_target_is_scraped_and_no_rule_is_broken(compose: Compose) -> None:
    nodes = (*SUPPLIERS, *GATEWAYS)
    wait_until(lambda: compose.query("up") == len(nodes), "not every node is scraped", 60)
    rules = httpx.get(f"{compose.prometheus}/api/v1/rules").json()["data"]["groups"]
    written = yaml.safe_load((ROOT / "compose" / "prometheus" / "rules.yml").read_text())["groups"]

    assert [len(group["rules"]) for group in rules] == [len(each["rules"]) for each in written]
    assert all(rule["health"] == "ok" for group in rules for rule in group["rules"])


def test_both_replicas_serve_and_all_suppliers_are_asked(compose: Compose) -> None:
    answered = 'gateway_tries_total{result="ok"}'
    each = [f'{answered[:-1]},instance=~"{name}:.*"}}' for name in GATEWAYS]
    each += [f'supplier_relays_total{{instance=~"{name}:.*"}}' for name in SUPPLIERS]
    with Traffic(compose.url, compose.key):
        wait_until(lambda: all(compose.query(one) > 0 for one in each), "somebody is left out", 120)


def test_a_batch_is_served_whichever_replica_is_asked(compose: Compose) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}
    line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": body}
    with OpenAI(base_url=compose.url, api_key=compose.key) as client:
        file = client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        for _ in GATEWAYS:  # the front asks them in turn
            wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", "no answer")
        done = client.batches.retrieve(batch.id)
        assert done.output_file_id is not None
        assert "one" in client.files.content(done.output_file_id).text


def test_every_panel_of_grafana_is_answered(compose: Compose) -> None:
    with Traffic(compose.url, compose.key):
        wait_until(lambda: not unanswered(compose.prometheus), "a panel has no data", 180, 2.0)


def test_each_alert_fires_when_it_should_and_not_before(compose: Compose) -> None:
    compose.run(
        "run", "--rm", "--no-deps", "--entrypoint", "promtool", "prometheus",
        "test", "rules", "/etc/lode/rules_test.yml",
    )  # fmt: skip


def test_a_steady_load_is_answered(compose: Compose) -> None:
    answers = 'gateway_requests_total{status="200"}'
    before = compose.query(answers)
    compose.run("--profile", "load", "up", "--wait", "--no-build", "load")
    wait_until(lambda: compose.query(answers) >= before + 20, "the load is not answered", 120)
    compose.run("--profile", "load", "stop", "load")
    said = compose.run("--profile", "load", "logs", "--no-log-prefix", "load")

    assert "plain" in said
    assert "failed" not in said


def test_a_cheat_joins(compose: Compose) -> None:
    compose.run("--profile", "cheats", "up", "--wait", "--no-build")

    assert "supplier-3 is staked and listed" in compose.run("logs", "provision-cheat")


@pytest.fixture(scope="module")
def kills() -> list[Kill]:
    """What came of those so far."""
    return []


@pytest.mark.parametrize("service", SERVICES)
def test_any_container_may_be_killed_under_load(
    compose: Compose, service: str, kills: list[Kill], say: Callable[[str], None]
) -> None:
    killed = kill(compose, service)

    kills.append(killed)
    say(" | ".join(*kill_rows([killed])))
    assert killed.is_as_promised


def test_nothing_that_was_accepted_is_lost_by_the_kills(
    compose: Compose, kills: list[Kill], say: Callable[[str], None]
) -> None:
    """What a killed gateway had not taken note of, its supplier has served on credit."""
    books = read_books(compose)

    say("\n".join(map(str, books)))
    if page := os.environ.get("KILLS_PAGE"):
        Path(page).write_text(write_page(kills, books))
    assert all(each.is_whole for each in books)
    relays = sum(each.in_flight for each in kills if each.service in GATEWAYS)
    bound = relays * max(each.relay_max for each in books)
    assert sum(each.unreceipted for each in books) <= bound


def test_the_cheat_is_slashed_and_nobody_else(compose: Compose) -> None:
    with Traffic(compose.url, compose.key):
        wait_until(lambda: _slashed(compose) != [], "the cheat keeps its stake", 600, 2.0)

    assert _slashed(compose) == ["http://supplier-3:8800"]


def test_the_market_goes_on_after_down_and_up(compose: Compose) -> None:
    height = _height(compose)
    compose.down()
    compose.run("up", "--wait", "--no-build")

    assert _height(compose) >= height
    assert "Tokyo" in compose.ask()


def test_down_leaves_nothing_and_a_second_market_is_as_good(
    compose: Compose, say: Callable[[str], None]
) -> None:
    compose.down("-v")
    assert left_behind() == []
    began = time.monotonic()
    compose.run("up", "--wait", "--no-build")

    say(f"up again after {time.monotonic() - began:.0f} s")
    assert "Tokyo" in compose.ask()


def _slashed(compose: Compose) -> list[str]:
    """Where suppliers are reached that have lost stake, as the dashboard has it."""
    control = f"http://127.0.0.1:{compose.ports['CONTROL_PORT']}"
    page = httpx.get(f"{control}/dashboard/api/suppliers", params={"order": "slashed"}).json()
    return [each["url"] for each in page["suppliers"] if int(each["slashed"])]


def _height(compose: Compose) -> int:
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
    return int(httpx.post(compose.chain, json=body).json()["result"], 16)
