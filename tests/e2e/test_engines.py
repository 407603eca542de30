"""A supplier whose engines are changed, restarted and killed while a gateway sends it relays."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from openai import APIError, OpenAI

from localnet import LocalMarket, MarketPlan, Terms
from localnet.processes import wait_until
from localnet.provision import MODEL, MODEL_DIR, TOKEN, run_supplier

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long]

ENGINE = """
[[engines]]
name = "{name}"
model = "{model}"
served_model_name = "{served}"
arguments = ["--max-num-seqs", "{slots}"]
watch_interval_s = 0.2
"""


@pytest.fixture
def small_market() -> Iterator[LocalMarket]:
    """One supplier, so that no other one can stand in for it, and a gateway."""
    with LocalMarket.start(MarketPlan(suppliers=1, terms=Terms(cap=800 * TOKEN))) as running:
        yield running


@dataclass
class Asker:
    """Asks without end; a client that retries nothing."""

    client: OpenAI
    answers: int = 0
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator["Asker"]:
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    self.client.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": "Hello!"}], max_tokens=8
                    )
                except APIError as error:
                    self.failed.append(str(error))
                else:
                    self.answers += 1

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for each in threads:
            each.start()
        try:
            yield self
        finally:
            over.set()
            for each in threads:
                each.join()

    def wait_for_more(self) -> None:
        goal = self.answers + 4
        wait_until(lambda: self.answers >= goal or bool(self.failed), "no more answers", 60.0)


def set_engines(config: Path, slots: int) -> None:
    """Two engines in the file, in the place of whatever there was."""
    head, _, rest = config.read_text().partition("[engine]\n")
    if rest:
        rest = rest[rest.index("\n[admission]") :]
    else:
        head, _, rest = head.partition("\n[[engines]]")
        rest = rest[rest.index("\n[admission]") :]
    tables = "".join(
        ENGINE.format(name=name, model=MODEL_DIR, served=MODEL, slots=slots)
        for name in ("left", "right")
    )
    config.write_text(head + tables + rest)


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


def test_no_request_fails_while_engines_are_changed_restarted_and_killed(
    small_market: LocalMarket,
) -> None:
    supplier = small_market.suppliers[0]
    config, node = supplier.config, supplier.node.process

    def engines() -> dict[str, bool]:
        live = small_market.supplier_status(supplier)["live"]
        return {each["name"]: each["up"] for each in live["engines"]}

    assert engines() == {"engine": True}
    client = OpenAI(
        base_url=small_market.base_url, api_key=small_market.api_key, max_retries=0, timeout=60
    )
    with client, Asker(client).asking() as asker:
        asker.wait_for_more()
        set_engines(config, 16)
        assert run_supplier(config, "engine", "change") == {"changed": True}
        asker.wait_for_more()
        wait_until(lambda: engines() == {"left": True, "right": True}, "not both are up", 30.0)

        set_engines(config, 4)
        node.send_signal(signal.SIGHUP)
        wait_until(lambda: limits(small_market) == {4}, "the flags were not taken up", 60.0)
        asker.wait_for_more()

        assert run_supplier(config, "engine", "restart", "left")["restarted"]
        asker.wait_for_more()

        wait_until(lambda: len(children_of(node.pid)) == 2, "one too many engines", 30.0)
        os.kill(children_of(node.pid)[0], signal.SIGKILL)
        asker.wait_for_more()
        wait_until(lambda: set(engines().values()) == {True}, "it did not come back", 60.0)
        asker.wait_for_more()

    assert asker.failed == []


def limits(market: LocalMarket) -> set[int]:
    live = market.supplier_status(market.suppliers[0])["live"]
    return {each["limit"] for each in live["engines"]}
