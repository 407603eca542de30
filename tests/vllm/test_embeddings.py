"""An embedding model behind vLLM's pooling runner, as a supplier's child."""

import base64
import math
import struct
from typing import Any

import orjson
import pytest

from localnet.provision import MODEL, MODEL_DIR
from node.http import ClientPool
from relay_mining import Recounter
from supplier.engines import read_model_files
from supplier.engines.engine import build_engine
from supplier.engines.openai_http import EngineLoad, read_load
from supplier.server.services import compute_spec
from supplier.server.usage import read_answer
from supplier.settings import EngineSettings
from tests.vllm.parts import ARGUMENTS, program

pytestmark = pytest.mark.anyio
TEXTS = ["Hello!", "What is the capital of Japan? 你好 🙂"]


async def test_an_embedding_model_is_served_checked_and_counted() -> None:
    """In float32: in half precision pooling takes an instruction that not every processor has."""
    settings = EngineSettings(
        kind="vllm", program=program(), model=str(MODEL_DIR), port=0, served_model_name=MODEL,
        dtype="float32", arguments=[*ARGUMENTS, "--runner", "pooling"],
    )  # fmt: skip
    files = read_model_files(MODEL_DIR)
    recounter = Recounter(files.tokenizer, None)

    async with ClientPool() as pool:
        engine = build_engine(settings, pool, compute_spec(settings))
        try:
            url = await engine.start()
            load = await read_load(pool, url)
            plain = await embed(pool, url, TEXTS)
            packed = await embed(pool, url, TEXTS, encoding_format="base64")
            numbered = await embed(pool, url, [[378, 3], [589]])
        finally:
            await engine.stop()

    assert load == EngineLoad(0, 0, 0.0)
    assert read_answer(plain)[0].input == sum(recounter.count_prompt(each).tokens for each in TEXTS)
    assert read_answer(numbered)[0].input == 3
    vectors = [each["embedding"] for each in orjson.loads(plain)["data"]]
    assert [math.isclose(math.hypot(*each), 1.0, abs_tol=1e-3) for each in vectors] == [True] * 2
    assert vectors == [unpack(each["embedding"]) for each in orjson.loads(packed)["data"]]


async def embed(pool: ClientPool, url: str, texts: list[Any], **more: Any) -> bytes:
    body = orjson.dumps({"model": MODEL, "input": texts, **more})
    headers = ((b"content-type", b"application/json"),)
    answer = await pool.request(b"POST", url + "/v1/embeddings", headers, body)
    assert answer.status == 200, answer.body
    return answer.body


def unpack(text: str) -> list[float]:
    raw = base64.b64decode(text)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))
