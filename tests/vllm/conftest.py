"""Every test here talks to real vLLM: `make test-vllm` installs one and names it in LODE_VLLM."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vllm.parts import ENVIRONMENT, Vllm, start_vllm

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = pytest.mark.skip(reason="LODE_VLLM names no vllm: run `make test-vllm`")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.xdist_group("vllm"))
            item.add_marker(pytest.mark.timeout(900))
            if not os.environ.get("LODE_VLLM"):
                item.add_marker(absent)


@pytest.fixture(scope="session", autouse=True)
def _environment() -> Iterator[None]:
    """What vLLM is started with, by us and by suppliers."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    """The demo model behind a vLLM that nobody's supplier started; not healthy yet."""
    server = start_vllm(tmp_path_factory.mktemp("vllm"))
    yield server
    server.node.stop()
