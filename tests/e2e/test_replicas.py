"""Two replicas of a gateway on one PostgreSQL and one Redis, before real suppliers, under load."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from localnet import LocalMarket, MarketPlan, Terms
from localnet.nodes import OK, status_of
from localnet.processes import Node, module, wait_until
from localnet.provision import MODEL, TOKEN, Place, run_gateway
from tests.databases import Postgres, Redis, postgres, redis

__all__ = ["postgres", "redis"]

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]

WORKERS = 3
"""Clients of each replica, with one request in flight each."""
ANSWERS = 60
"""What the key's budget is worth, about."""


@dataclass
class Replica:
    """One gateway process."""

    config: Path
    url: str
    node: Node

    @classmethod
    def start(cls, market: LocalMarket, name: str, shared: str) -> "Replica":
        """Start one beside others, with the settings and keys of the market's gateway."""
        place, control = Place.local(), Place.local()
        text = market.gateway_config.read_text()
        head, *sections = text.split("[server]")
        listening = (
            f'[server]\nhost = "{place.host}"\nport = {place.port}\n'
            f'[control]\nhost = "{control.host}"\nport = {control.port}\n'
        )
        token = sections[0].partition("admin_token")[2]
        config = market.folder / f"{name}.toml"
        config.write_text(
            shared
            + head.replace('data_dir = "gateway"', f'data_dir = "{name}"')
            + listening
            + f"admin_token{token}"
        )
        config.chmod(0o600)
        argv = module("gateway", "serve", "--config", str(config))
        replica = cls(config, place.url, Node.start(name, argv, market.folder))
        replica.wait()
        return replica

    def wait(self) -> None:
        """Return once it serves."""
        self.node.wait_ready(lambda: status_of(f"{self.url}/readyz") == OK)

    def status(self) -> dict[str, Any]:
        return run_gateway(self.config, "status")

    def client(self, key: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)


@dataclass
class Load:
    """Clients that ask until the key's budget is spent, and go elsewhere when cut off."""

    replicas: list[Replica]
    key: str
    answers: int = 0
    cut: int = 0
    unexpected: list[str] = field(default_factory=list)
    stop: bool = False

    def work(self, home: int) -> None:
        at = home
        while not self.stop:
            try:
                ask(self.replicas[at], self.key)
                self.answers += 1
            except openai.RateLimitError as error:
                if error.code != "insufficient_quota":
                    self.unexpected.append(str(error))
                    return
                if error.response.headers.get("x-should-retry") == "false":
                    return  # not before tomorrow
                time.sleep(0.05)  # a client's patience: others hold the rest
            except openai.APIConnectionError:
                self.cut += 1
                at = 1 - at
            except openai.APIError as error:
                self.unexpected.append(str(error))
                return


def ask(replica: Replica, key: str) -> Any:
    with replica.client(key) as client:
        return client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Once"}], max_tokens=8
        )


@pytest.fixture
def market() -> Iterator[LocalMarket]:
    """One whose session lasts: a receipt that comes after its claim is refused."""
    with LocalMarket.start(
        MarketPlan(suppliers=2, terms=Terms(cap=80 * TOKEN, session_blocks=120))
    ) as running:
        yield running


def test_replicas_share_keys_and_budgets_and_survive_each_other(
    market: LocalMarket, postgres: Postgres, redis: Redis
) -> None:
    market.gateway.stop()
    shared = f'database_url = "{postgres.create()}"\nlimits_url = "{redis.url}"\nreplicas = 2\n'
    pair = [Replica.start(market, name, shared) for name in ("one", "two")]
    one, two = pair
    try:
        made = run_gateway(one.config, "keys", "create", "load")
        key, key_id = made["key"], made["id"]
        wait_until(lambda: is_known(two, key), "the other replica does not know the key", 10)
        cost = ask(one, key).usage.cost
        budget = str(ANSWERS * cost)
        run_gateway(two.config, "keys", "update", key_id, "--daily-budget", budget)
        wait_until(
            lambda: "limits are shared" in one.node.log.read_text() + two.node.log.read_text(),
            "limits are not shared",
        )
        load = Load(pair, key)
        threads = [
            threading.Thread(target=load.work, args=[each % 2]) for each in range(2 * WORKERS)
        ]
        for each in threads:
            each.start()
        wait_until(lambda: load.answers >= 10, "nothing is answered")
        one.node.kill()
        before = load.answers
        wait_until(lambda: load.answers >= before + 5, "the other replica does not go on")
        redis.restart()
        postgres.restart()
        one.node.start_again()
        one.wait()
        for each in threads:
            each.join(180)
        load.stop = True

        assert load.unexpected == []
        assert load.cut <= WORKERS
        for each in pair:
            wait_until(lambda: each.status()["receipts_waiting"] == 0, "receipts wait")  # noqa: B023
        found = [each.status() for each in pair]
        for each in found:
            counted = dict(each["requests"])
            assert counted.pop("requests") == sum(counted.values())
            assert counted["in_flight"] == 0
            assert counted["failed"] <= WORKERS
            assert each["receipts_refused"] == 0
        spent = sum(each["spending"].get(key_id, {"today": 0})["today"] for each in found)
        assert 0.5 * int(budget) < spent <= int(budget)
        assert sum(each["total"]["requests"] for each in found) >= load.answers
    finally:
        for each in pair:
            each.node.stop()


def is_known(replica: Replica, key: str) -> bool:
    try:
        ask(replica, key)
    except openai.AuthenticationError:
        return False
    return True
