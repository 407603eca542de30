"""An engine that no one here wrote or starts: llama.cpp's server behind a supplier, by its URL.

It runs on the Python that LODE_LLAMA_CPP names, which `scripts/llama_cpp.py` installs.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from localnet import EnginePlan, LocalMarket, MarketPlan
from localnet.chain import free_port
from localnet.nodes import OK, status_of
from localnet.processes import ROOT, Node, wait_until
from localnet.provision import MODEL, MODEL_DIR, run_supplier
from tests.asking import asking

PYTHON = os.environ.get("LODE_LLAMA_CPP", "")
pytestmark = [
    pytest.mark.e2e, pytest.mark.anvil, pytest.mark.long, pytest.mark.timeout(600),
    pytest.mark.skipif(
        not PYTHON,
        reason="LODE_LLAMA_CPP names no Python: `python scripts/llama_cpp.py .make/llama-cpp` "
        "installs one and prints it",
    ),
]  # fmt: skip
STORY, CAPITAL = "Tell me a story.", "What is the capital of France?"
CLAIM_S_MAX = 240.0
OUTPUT_UNITS = 4
"""Of a token, as the service lists them."""


@dataclass(frozen=True)
class World:
    """The market, and a client of it."""

    market: LocalMarket
    client: OpenAI

    def ask(self, text: str = STORY, **options: Any) -> Any:
        messages = [{"role": "user", "content": text}]
        values: dict[str, Any] = {"max_tokens": 32, "temperature": 0.0, **options}
        return self.client.chat.completions.create(model=MODEL, messages=messages, **values)  # type: ignore[call-overload]

    def counts(self) -> dict[str, int]:
        """What the gateway has counted, once all that was served is recounted."""
        wait_until(lambda: (c := self._counts())["receipts"] == c["requests"], "not recounted")
        return self._counts()

    def _counts(self) -> dict[str, int]:
        total: dict[str, int] = self.market.run_gateway("status")["total"]
        return total


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnginePlan]:
    """The demo model as GGUF alone, beside what counts its tokens, and llama.cpp serving it."""
    folder = tmp_path_factory.mktemp("llama")
    model = folder / "model"
    shutil.copytree(MODEL_DIR, model, ignore=shutil.ignore_patterns("*.safetensors"))
    convert = [PYTHON, str(ROOT / "scripts" / "demo_gguf.py"), str(MODEL_DIR)]
    subprocess.run([*convert, str(model / "demo.gguf")], check=True)
    node, url = start_server(model / "demo.gguf", folder)
    yield EnginePlan(model=model, kind="llama.cpp", url=url, settings=('dtype = "float32"',))
    node.stop()


def start_server(file: Path, folder: Path) -> tuple[Node, str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    serve = [PYTHON, str(ROOT / "scripts" / "serve_gguf.py"), str(file)]
    node = Node.start("llama", [*serve, "--port", str(port), "--alias", MODEL], folder)
    node.wait_ready(lambda: status_of(f"{url}/health") == OK)
    return node, url


@pytest.fixture(scope="module")
def world(engine: EnginePlan) -> Iterator[World]:
    plan = MarketPlan(suppliers=1, engines=(engine,))
    with LocalMarket.start(plan) as market:
        yield World(market, OpenAI(base_url=market.base_url, api_key=market.api_key, max_retries=0))


def test_a_stream_says_what_the_plain_answer_says(world: World) -> None:
    plain = world.ask()
    chunks = list(world.ask(stream=True, stream_options={"include_usage": True}))

    text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    assert text == plain.choices[0].message.content
    assert text.startswith("One morning")
    assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens == 32
    ends = [each.choices[0].finish_reason for each in chunks if each.choices]
    assert ends[-1] == plain.choices[0].finish_reason == "length"


def test_answers_are_recounted_to_the_token_but_for_the_one_that_ends_them(world: World) -> None:
    before = world.counts()
    for tokens in range(8, 32, 4):
        world.ask(max_tokens=tokens)
        list(world.ask(max_tokens=tokens, stream=True))
    cut = world.counts()
    ended = [world.ask(CAPITAL), world.ask(CAPITAL)]
    after = world.counts()

    assert cut["requests"] == before["requests"] + 12
    assert unpaid(before, cut) == 0
    assert all(each.choices[0].finish_reason == "stop" for each in ended)
    assert unpaid(cut, after) == len(ended) * OUTPUT_UNITS
    assert after["overclaims"] == 0


def unpaid(before: dict[str, int], after: dict[str, int]) -> int:
    """Units that were signed and not receipted between two counts."""
    served = after["units_served"] - before["units_served"]
    return served - (after["units_receipted"] - before["units_receipted"])


def test_doctor_says_what_its_answers_lack(world: World) -> None:
    doctor = run_supplier(world.market.suppliers[0].config, "doctor")

    found = {each["name"]: each for each in doctor["findings"]}
    assert found["engine"]["verdict"] == "ok"
    assert found["answers"]["verdict"] == "ok"
    assert "no token ids" in found["answers"]["says"]


def test_what_it_served_is_claimed_and_paid(world: World) -> None:
    config = world.market.suppliers[0].config

    def is_paid() -> bool:
        return int(run_supplier(config, "funds")["claimable"]) > 0

    with asking(world.market, tokens=48) as asker:
        wait_until(is_paid, "nothing was paid", CLAIM_S_MAX, pause_s=3.0)
    assert asker.failed == []
