"""`supplier doctor` asks an engine at a URL as gateways ask, and says what its answers lack."""

from typing import Any

import orjson
import pytest

from node.http import ClientPool, Request, Response, serve
from supplier.operation.doctor.answer_checks import Reply, check_answers, judge_answers
from supplier.operation.doctor.finding import Verdict
from supplier.server.services import compute_spec
from supplier.settings import EngineSettings
from tests.supplier.engines.sentences import write_sentence_model
from tests.supplier.operating import MODEL

USAGE = {"prompt_tokens": 3, "completion_tokens": 1}
DONE = b"data: [DONE]\n\n"


def plain(*, usage: bool = True, finish: str | None = "stop", **choice: Any) -> Reply:
    answer: dict[str, Any] = {"choices": [{"message": {}, "finish_reason": finish, **choice}]}
    return Reply(200, orjson.dumps(answer | ({"usage": USAGE} if usage else {})))


def stream(*, usage: bool = True, finish: str | None = "stop", end: bytes = DONE) -> Reply:
    events: list[dict[str, Any]] = [
        {"choices": [{"delta": {"content": "Hi"}}]},
        {"choices": [{"delta": {}, "finish_reason": finish}]},
    ]
    if usage:
        events.append({"choices": [], "usage": USAGE})
    return Reply(200, b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in events) + end)


REFUSED = Reply(422, b'{"detail":"Unexpected fields in the request: return_token_ids"}')


@pytest.mark.parametrize(
    ("whole", "streamed", "verdict", "says"),
    [
        (plain(token_ids=[7]), stream(), Verdict.OK, "usage, token ids and how they ended"),
        (plain(), stream(), Verdict.OK, "but no token ids: paid is what their text encodes to"),
        (plain(), stream(usage=False), Verdict.WARNING, "streams carry no usage"),
        (plain(finish=None), stream(), Verdict.WARNING, "`finish_reason`"),
        (plain(), stream(finish=None), Verdict.WARNING, "`finish_reason`"),
        (plain(usage=False), stream(), Verdict.FAILED, "no usage in the answer"),
        (plain(), stream(end=b""), Verdict.FAILED, "does not end with `data: [DONE]`"),
        (plain(), stream(end=b"data: no JSON\n\n" + DONE), Verdict.FAILED, "cannot be read"),
        (REFUSED, stream(), Verdict.FAILED, "Unexpected fields in the request: return_token_ids"),
        (plain(), REFUSED, Verdict.FAILED, "it refuses a stream as gateways ask for it: 422"),
    ],
)
def test_what_answers_lack_is_named(
    whole: Reply, streamed: Reply, verdict: Verdict, says: str
) -> None:
    found = judge_answers("answers", whole, streamed)

    assert found.verdict is verdict
    assert says in found.says
    assert bool(found.remedy) == (verdict is not Verdict.OK)


@pytest.mark.anyio
async def test_an_engine_is_asked_as_gateways_ask(tmp_path: Any) -> None:
    asked: list[dict[str, Any]] = []

    async def answer(request: Request) -> Response:
        assert request.path == b"/v1/chat/completions"
        asked.append(orjson.loads(request.body))
        body = (stream() if asked[-1].get("stream") else plain()).body
        return Response(200, body)

    server = await serve(answer)
    settings = EngineSettings(model=str(MODEL), url=f"http://127.0.0.1:{server.port}/v1")
    write_sentence_model(tmp_path)
    embeds = compute_spec(EngineSettings(model=str(tmp_path)))
    async with ClientPool() as pool:
        found = await check_answers(pool, settings, compute_spec(settings))
        skipped = await check_answers(pool, settings, embeds)
        await server.close(0)
        gone = await check_answers(pool, settings, compute_spec(settings))

    assert found.verdict is Verdict.OK
    assert [each["return_token_ids"] for each in asked] == [True, True]
    assert asked[1]["stream_options"] == {"include_usage": True}
    assert skipped.verdict is Verdict.SKIPPED
    assert gone.verdict is Verdict.FAILED
    assert "broke off" in gone.says
