"""The engine as a client meets it: a process of its own, spoken to over HTTP."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from relay_mining import Recounter, read_conversation
from supplier.engines import read_model_files
from tests.supplier.engines.parts import DEMO, engine

CAPITAL = {"role": "user", "content": "What is the capital of Japan?"}
STORY = {"role": "user", "content": "Tell me a story."}
VOCABULARY = 868
TOKYO = "The capital of Japan is Tokyo."


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with engine(DEMO) as running:
        yield running


@pytest.fixture(scope="module")
def small() -> Iterator[httpx.Client]:
    """An engine of two slots and one place to wait, with two more names."""
    names = ("--alias", "small", "tiny")
    with engine(DEMO, "--max-num-seqs", "2", "--max-queue", "1", *names) as running:
        yield running


def chat(client: httpx.Client, **fields: Any) -> Any:
    body = {"model": "lode-demo", "messages": [CAPITAL], "temperature": 0, **fields}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def complete(client: httpx.Client, **fields: Any) -> Any:
    body = {"prompt": "One morning", "temperature": 0, **fields}
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def stream(client: httpx.Client, path: str, **fields: Any) -> list[Any]:
    """Return the chunks of a stream, after checking how it is written and ended."""
    body = {"temperature": 0, "stream": True, **fields}
    with client.stream("POST", path, json=body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        frames = b"".join(response.iter_raw()).split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-2]]


def wait_for(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "never came true"


def in_flight(client: httpx.Client) -> int:
    return int(client.get("/health").json()["in_flight"])


def test_a_chat_answer_with_all_its_parts(client: httpx.Client) -> None:
    answer = chat(client, tools=None, logprobs=True, top_logprobs=2, return_token_ids=True, n=2)
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "lode-demo"
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    prompt = client.post("/tokenize", json={"messages": [CAPITAL]}).json()
    assert answer["prompt_token_ids"] == prompt["tokens"]
    for choice in answer["choices"]:
        assert choice["message"] == {"role": "assistant", "content": TOKYO}
        assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", None)
        assert len(choice["token_ids"]) == len(choice["logprobs"]["content"]) == 8
        shown = b"".join(bytes(token["bytes"]) for token in choice["logprobs"]["content"])
        assert shown.decode() == TOKYO + "<|im_end|>"
        for token in choice["logprobs"]["content"]:
            assert len(token["top_logprobs"]) == 2
            assert token["top_logprobs"][0]["token"] == token["token"]
            assert token["top_logprobs"][0]["logprob"] == token["logprob"] <= 0
    assert answer["usage"] == {"prompt_tokens": 15, "completion_tokens": 16, "total_tokens": 31}


def test_a_streamed_chat_equals_the_plain_one(client: httpx.Client) -> None:
    fields = {
        "messages": [STORY], "temperature": 1.2, "seed": 11, "max_tokens": 60, "logprobs": True,
        "top_logprobs": 1, "return_token_ids": True, "stop": ["garden"],
    }  # fmt: skip
    plain = chat(client, **fields)
    options = {"include_usage": True}
    first, *chunks, last = stream(client, "/v1/chat/completions", stream_options=options, **fields)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["prompt_token_ids"] == plain["prompt_token_ids"]
    assert (last["choices"], last["usage"]) == ([], plain["usage"])
    assert all("usage" not in chunk for chunk in chunks)
    assert all(len(chunk["choices"][0]["token_ids"]) == 1 for chunk in chunks)
    (choice,) = plain["choices"]
    parts = [chunk["choices"][0] for chunk in chunks]
    assert [part["token_ids"][0] for part in parts] == choice["token_ids"]
    assert "".join(part["delta"]["content"] for part in parts) == choice["message"]["content"]
    noted = [part["logprobs"]["content"][0] for part in parts]
    assert noted == choice["logprobs"]["content"]
    assert [part["finish_reason"] for part in parts[:-1]] == [None] * (len(parts) - 1)
    assert parts[-1]["finish_reason"] == choice["finish_reason"]
    assert parts[-1]["stop_reason"] == choice["stop_reason"]
    assert len({chunk["id"] for chunk in (first, *chunks, last)}) == 1


def test_a_streamed_completion_equals_the_plain_one(client: httpx.Client) -> None:
    fields = {
        "prompt": ["One morning", "Hello"], "n": 2, "seed": 4, "temperature": 1, "logprobs": 2,
        "max_tokens": 9, "echo": True, "return_token_ids": True,
    }  # fmt: skip
    plain = complete(client, **fields)
    parts: dict[int, list[Any]] = {index: [] for index in range(4)}
    for chunk in stream(client, "/v1/completions", **fields):
        for choice in chunk["choices"]:
            parts[choice["index"]].append(choice)
    for choice in plain["choices"]:
        own = parts[choice["index"]]
        assert "".join(part["text"] for part in own) == choice["text"]
        assert [i for part in own for i in part["token_ids"]] == choice["token_ids"]
        assert own[0]["prompt_token_ids"] == choice["prompt_token_ids"]
        for name, whole in choice["logprobs"].items():
            assert [item for part in own for item in part["logprobs"][name]] == whole


def test_echo_shows_the_prompt_and_its_logprobs(client: httpx.Client) -> None:
    (choice,) = complete(client, echo=True, logprobs=1, max_tokens=1)["choices"]
    shown = choice["logprobs"]
    assert choice["text"].startswith("One morning")
    assert "".join(shown["tokens"]) == choice["text"]
    assert shown["token_logprobs"][0] is shown["top_logprobs"][0] is None
    assert all(logprob <= 0 for logprob in shown["token_logprobs"][1:])
    assert [choice["text"][offset] for offset in shown["text_offset"]] == [
        token[0] for token in shown["tokens"]
    ]


def test_a_prompt_of_token_ids_equals_its_text(client: httpx.Client) -> None:
    tokens = client.post("/tokenize", json={"prompt": "One morning"}).json()["tokens"]
    texts = [
        complete(client, prompt=prompt)["choices"][0]["text"]
        for prompt in ("One morning", tokens, [tokens], ["One morning"])
    ]
    assert len(set(texts)) == 1
    assert client.post("/detokenize", json={"tokens": tokens}).json() == {"prompt": "One morning"}


def test_one_seed_one_answer_however_many_ask(client: httpx.Client) -> None:
    def ask(seed: int) -> str:
        fields = {"messages": [STORY], "temperature": 1.3, "max_tokens": 40, "seed": seed}
        return str(chat(client, **fields)["choices"][0]["message"]["content"])

    alone = ask(9)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, [9, 1, 9, 2, 9, 3, 9, 4]))
    assert together[::2] == [alone] * 4
    assert len({alone, *together[1::2]}) == 5


def test_a_gateway_s_recount_confirms_what_is_billed(client: httpx.Client) -> None:
    files = read_model_files(DEMO)
    recounter = Recounter(files.tokenizer, files.chat_template.decode())
    parts = [{"type": "text", "text": "Hello."}, {"type": "text", "text": "Tell me a story."}]
    for messages in ([CAPITAL], [STORY], [{"role": "user", "content": parts}]):
        for fields in ({}, {"temperature": 1, "seed": 2}, {"max_tokens": 3}, {"stop": ["e"]}):
            answer = chat(client, messages=messages, return_token_ids=True, **fields)
            usage, (choice,) = answer["usage"], answer["choices"]
            conversation = read_conversation({"messages": messages})
            assert recounter.count_chat(conversation).tokens == usage["prompt_tokens"]
            counted = recounter.recount_output(
                choice["message"]["content"], choice["token_ids"], fields.get("stop", ())
            )
            assert counted.tokens == usage["completion_tokens"]


def test_what_was_answered_may_be_sent_back_beside_what_changes_nothing(
    client: httpx.Client,
) -> None:
    said = {"role": "assistant", "content": "Hello!"}
    nothing = dict.fromkeys(("refusal", "audio", "function_call", "reasoning"))
    harmless = {"verbosity": "low", "modalities": ["text"], "prompt_cache_key": "a"}
    plain = chat(client, messages=[STORY, said, CAPITAL], temperature=0)
    full = {**said, **nothing, "annotations": [{"type": "url_citation"}]}
    same = chat(
        client, messages=[STORY, full, CAPITAL], temperature=0, safety_identifier="b", **harmless
    )
    assert (same["choices"], same["usage"]) == (plain["choices"], plain["usage"])


def test_openai_s_own_client_is_served(client: httpx.Client) -> None:
    with openai.OpenAI(base_url=str(client.base_url.join("/v1")), api_key="none") as official:
        assert [model.id for model in official.models.list()] == ["lode-demo"]
        with official.chat.completions.create(
            model="lode-demo", messages=[CAPITAL], temperature=0, stream=True
        ) as chunks:
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TOKYO
        with pytest.raises(openai.NotFoundError):
            official.chat.completions.create(model="other", messages=[CAPITAL])
        with pytest.raises(openai.BadRequestError) as refused:
            official.chat.completions.create(model="lode-demo", messages=[CAPITAL], max_tokens=4096)
        assert refused.value.code == "context_length_exceeded"


def test_the_context_length_is_exact(client: httpx.Client) -> None:
    assert complete(client, prompt=[5] * 1023, max_tokens=1)["usage"]["total_tokens"] == 1024
    long = {"prompt": [5] * 1023, "max_tokens": 2}
    error = client.post("/v1/completions", json=long).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    for prompt in ([5] * 1024, [5] * 5000, "word " * 400_000):
        response = client.post("/v1/completions", json={"prompt": prompt, "max_tokens": 1})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "context_length_exceeded"


MANY = [f"x{index}" for index in range(17)]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [CAPITAL, {"role": "user"}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
         "messages[0].content"),
        ({"messages": [{**CAPITAL, "tool_calls": [{}]}]}, "messages[0]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_completion_tokens": 1 << 31}, "max_completion_tokens"),
        ({"max_completion_tokens": 1025}, "messages"),
        ({"temperature": 2.01}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"top_k": VOCABULARY + 1}, "top_k"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"seed": 1 << 63}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": MANY}, "stop"),
        ({"stop": [5]}, "stop"),
        ({"stop_token_ids": [VOCABULARY]}, "stop_token_ids"),
        ({"stop_token_ids": [-1]}, "stop_token_ids"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {str(VOCABULARY): 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "5"),
        ({"logprobs": 5}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"other": True}}, "other"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"min_tokens": 6, "max_tokens": 5}, "min_tokens"),
        ({"tools": [{}]}, "tools"),
        ({"surprise": 1}, "surprise"),
    ],
)  # fmt: skip
def test_a_malformed_chat_names_what_is_wrong(
    client: httpx.Client, fields: dict[str, Any], param: str
) -> None:
    body = {"messages": [CAPITAL], **fields}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_the_last_token_id_is_accepted(client: httpx.Client) -> None:
    last = VOCABULARY - 1
    fields = {"prompt": [last], "logit_bias": {str(last): 100}, "top_k": VOCABULARY}
    answer = complete(client, stop_token_ids=[last], return_token_ids=True, **fields)
    assert answer["choices"][0]["token_ids"] == [last]
    assert answer["choices"][0]["stop_reason"] == last


@pytest.mark.parametrize(
    "prompt", [None, "", [], [[]], [-1], [VOCABULARY], [True], [1.5], ["a", 5], [["a"]], {}, 5]
)
def test_a_malformed_prompt_is_refused(client: httpx.Client, prompt: Any) -> None:
    response = client.post("/v1/completions", json={"prompt": prompt})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "prompt"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"prompt": "\xed\xa0\x80"}',
        b'{"prompt": "\\ud800"}', b'{"prompt": NaN}', b'{"a": ' * 33 + b"1" + b"}" * 33,
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_body_that_is_no_bounded_json_object_is_refused(
    client: httpx.Client, body: bytes
) -> None:
    response = client.post("/v1/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_depth_is_refused_only_beyond_the_limit(client: httpx.Client) -> None:
    for depth, message in ((32, "unrecognized"), (33, "nested")):
        body = b'{"a": ' * depth + b"1" + b"}" * depth
        error = client.post("/v1/completions", content=body).json()["error"]
        assert message in error["message"]


def test_paths_and_methods_beyond_the_list_are_refused(client: httpx.Client) -> None:
    assert client.get("/").status_code == 404
    assert client.get("/metrics").status_code == 404
    assert client.get("/v1/completions").status_code == 405
    assert client.post("/v1/models").status_code == 405
    other = client.post("/v1/completions", json={"model": "other", "prompt": "x"})
    assert other.status_code == 404
    assert other.json()["error"]["code"] == "model_not_found"


def test_an_engine_answers_to_its_further_names(small: httpx.Client) -> None:
    for name in ("small", "tiny", "lode-demo"):
        assert complete(small, model=name, max_tokens=1)["model"] == "lode-demo"
    assert small.post("/v1/completions", json={"model": "other", "prompt": "x"}).status_code == 404


LONG = {"prompt": "One morning", "max_tokens": 1000, "ignore_eos": True, "stream": True}


def leave_after_first_chunk(client: httpx.Client, fields: dict[str, Any]) -> None:
    with client.stream("POST", "/v1/completions", json=fields) as response:
        next(response.iter_raw())


def test_a_client_that_leaves_a_stream_frees_its_slots(small: httpx.Client) -> None:
    for _ in range(6):
        leave_after_first_chunk(small, {**LONG, "n": 2})
    wait_for(lambda: in_flight(small) == 0)
    assert complete(small, n=2)["usage"]["completion_tokens"] == 32


def test_a_client_that_leaves_a_plain_answer_frees_its_slot(small: httpx.Client) -> None:
    plain = {**LONG, "stream": False}
    started = time.monotonic()
    complete(small, **plain)
    whole_s = time.monotonic() - started
    body = json.dumps(plain).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection((small.base_url.host, small.base_url.port or 0)) as wire:
        wire.sendall(head + body)
        wait_for(lambda: in_flight(small) == 1)
    started = time.monotonic()
    wait_for(lambda: in_flight(small) == 0)
    assert time.monotonic() - started < whole_s / 2


def test_more_than_fits_is_refused_and_later_served(small: httpx.Client) -> None:
    whole = {**LONG, "n": 2}
    with (
        small.stream("POST", "/v1/completions", json=whole) as first,
        small.stream("POST", "/v1/completions", json=LONG) as second,
    ):
        assert (first.status_code, second.status_code) == (200, 200)
        refused = small.post("/v1/completions", json={"prompt": "x"})
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "engine_overloaded")
    wait_for(lambda: in_flight(small) == 0)
    assert complete(small)["choices"][0]["text"]


def test_an_unusable_model_or_port_ends_it_with_a_reason(tmp_path: Any) -> None:
    command = [sys.executable, "-m", "supplier.engines.embedded"]
    environment = {**os.environ, "PYTHONPATH": str(DEMO.parents[1])}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments in ([str(tmp_path)], [str(DEMO), "--port", port]):
            done = subprocess.run(
                [*command, *arguments], capture_output=True, env=environment, check=False
            )
            assert (done.returncode, done.stdout) == (1, b"")
            assert done.stderr.count(b"\n") == 1
