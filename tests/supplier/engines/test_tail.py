"""The tail of a network as an engine of its own, and what its service says of itself."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from edge import load_network, make_request, parse_profile
from node.errors import OperatorError
from supplier.engines.embedded.app import EngineSettings as EmbeddedSettings
from supplier.engines.embedded.errors import ModelError
from supplier.engines.spec import hash_service_spec
from supplier.engines.tail.app import run_tail_engine
from supplier.engines.tail.spec import TailServiceSpec
from supplier.errors import MalformedRelayError
from supplier.server.services import build_face, compute_spec
from supplier.server.usage import CHAT_PATH, EDGE_PATH, parse_body, read_answer
from supplier.settings import EngineSettings
from tests.supplier.engines.parts import engine

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "edge"
NETWORK = load_network(MODEL / "network.npz")
SETTINGS = EngineSettings(model=str(MODEL), served_model_name="tail")
PIXELS = bytes(range(64))


def asked(way_out: int = 2, cut: int = 1, **more: Any) -> dict[str, Any]:
    return make_request(NETWORK, "tail", "plan_1", (way_out, cut), PIXELS) | more


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with engine(MODEL, "--served-model-name", "tail") as running:
        yield running


def test_every_tail_is_the_rest_of_the_uncut_network(client: httpx.Client) -> None:
    for way_out in range(len(NETWORK.branches)):
        for cut in range(len(NETWORK.layers(way_out))):
            response = client.post(EDGE_PATH, json=asked(way_out, cut))
            assert response.status_code == 200, response.text
            answer = response.json()
            whole = NETWORK.run(PIXELS, way_out)
            assert np.float32(answer["logits"]).tobytes() == whole.tobytes()
            assert answer["label"] == int(whole.argmax())
            usage, is_length = read_answer(response.content)
            assert (usage.cached, is_length) == (0, False)


def test_what_is_no_activation_of_this_network_is_refused(client: httpx.Client) -> None:
    huge = make_request(NETWORK, "tail", "p", (2, 1), PIXELS)
    for change, param, status in (
        ({"shape": [4, 16, 1]}, "shape", 400),  # as many bytes, another shape
        ({"cut": 2}, "shape", 400),
        ({"activation": "AAAA"}, "activation", 400),
        ({"model": "other"}, "model", 404),
        ({"temperature": 1}, "temperature", 400),
    ):
        response = client.post(EDGE_PATH, json=huge | change)
        assert response.status_code == status
        assert response.json()["error"]["param"] == param
    assert client.post(EDGE_PATH, content=b"{").status_code == 400
    assert client.post("/v1/chat/completions", json={}).status_code == 404
    assert client.get("/health").json() == {"status": "ok", "in_flight": 0}
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["max_model_len"]) == ("tail", 1024)


def test_the_spec_holds_the_profile_and_the_digest_of_the_network() -> None:
    face, spec = build_face(SETTINGS)
    assert isinstance(spec, TailServiceSpec)
    assert (spec.task, spec.edge_rate, spec.context_length) == ("edge", 100, 1024)
    document = orjson.loads(face.spec)
    assert parse_profile(document["network"]) == NETWORK.profile()
    assert face.files["network.npz"] == (MODEL / "network.npz").read_bytes()
    assert len(hash_service_spec(spec)) == 32


def test_the_most_a_tail_takes_is_what_it_will_take() -> None:
    face, _ = build_face(SETTINGS)
    demand = face.counter.demand(EDGE_PATH, parse_body(EDGE_PATH, orjson.dumps(asked())))
    assert (demand.input_tokens_max, demand.output_tokens_max) == (256, 73)
    for path, body in (
        (EDGE_PATH, asked(shape=[8, 8, 8])),
        (EDGE_PATH, asked(exit=9)),
        (CHAT_PATH, {"messages": [{"role": "user", "content": "hi"}]}),
    ):
        with pytest.raises(MalformedRelayError):
            face.counter.demand(path, parse_body(path, orjson.dumps(body)))


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("network.npz", b"no archive"),
        ("config.json", b'{"model_type": "multi_exit"}'),
        ("config.json", b'{"model_type": "multi_exit", "edge_rate": 0}'),
    ],
)
def test_a_directory_that_holds_no_network_is_the_operators_to_mend(
    tmp_path: Path, file: str, data: bytes
) -> None:
    for name in ("network.npz", "config.json"):
        shutil.copy(MODEL / name, tmp_path)
    (tmp_path / file).write_bytes(data)
    with pytest.raises(OperatorError, match=r"engine\.model"):
        compute_spec(EngineSettings(model=str(tmp_path)))


@pytest.mark.anyio
async def test_an_engine_without_its_network_does_not_start(tmp_path: Path) -> None:
    settings = EmbeddedSettings(directory=tmp_path, model_name="tail")
    with pytest.raises(ModelError, match="no network"):
        async with run_tail_engine(settings):
            pass
