"""The engine over HTTP: OpenAI's chat, completions and models, vLLM's tokenize and health."""

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from node.http import Request, Response, StreamWriter
from supplier.engines.embedded.errors import EngineError, RequestError
from supplier.engines.embedded.fields import Fields, parse_object
from supplier.engines.embedded.formats import AnswerFormat, Json, make_format, make_usage
from supplier.engines.embedded.refusals import error_body, error_response, refuse
from supplier.engines.embedded.requests import Ask, RequestReader
from supplier.engines.embedded.sequence import TokenEvent
from supplier.engines.embedded.worker import Generation, Worker

__all__ = ["OpenAiApi"]

Route = Callable[[Request], Awaitable[Response | None]]

TOKENIZE = {"model", "prompt", "messages", "add_special_tokens", "add_generation_prompt"}
DETOKENIZE = {"model", "tokens"}


class OpenAiApi:
    """Answers requests; give `handle` to a server."""

    def __init__(self, reader: RequestReader, worker: Worker, created: int) -> None:
        """`created`: unix seconds, shown as the model's."""
        self._reader = reader
        self._worker = worker
        self._created = created
        self._routes: dict[bytes, tuple[bytes, Route]] = {
            b"/v1/chat/completions": (b"POST", self._chat),
            b"/v1/completions": (b"POST", self._completion),
            b"/v1/models": (b"GET", self._models),
            b"/tokenize": (b"POST", self._tokenize),
            b"/detokenize": (b"POST", self._detokenize),
            b"/health": (b"GET", self._health),
        }

    async def handle(self, request: Request) -> Response | None:
        """Return the answer; None where it has been streamed."""
        method, route = self._routes.get(request.path, (b"", None))
        if route is None:
            return error_response(404, "unknown path", "invalid_request_error")
        if request.method != method:
            return error_response(405, f"use {method.decode()}", "invalid_request_error")
        try:
            return await route(request)
        except RequestError as error:
            return refuse(error)
        except EngineError as error:
            return error_response(500, str(error), "server_error")

    async def _chat(self, request: Request) -> Response | None:
        return await self._generate(request, self._reader.read_chat)

    async def _completion(self, request: Request) -> Response | None:
        return await self._generate(request, self._reader.read_completion)

    async def _generate(
        self, request: Request, read: Callable[[dict[str, Any]], Ask]
    ) -> Response | None:
        ask = read(parse_object(request.body))
        generation = self._worker.submit(ask.jobs)
        try:
            # a client that leaves cancels this task, and the slots are free before the next step
            request.cancel_on_disconnect()
            answer = Answer(ask, make_format(ask, self._reader.tokenizer), self._head(ask))
            if not ask.stream:
                return _json(await answer.collect(generation))
            writer = request.respond_stream(200, content_type=b"text/event-stream")
            async with writer:
                await answer.stream(generation, writer)
            return None
        finally:
            self._worker.abort(generation)

    def _head(self, ask: Ask) -> Json:
        prefix = "chatcmpl" if ask.is_chat else "cmpl"
        return {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": self._reader.model_name,
        }

    async def _models(self, request: Request) -> Response:
        model = {
            "id": self._reader.model_name,
            "object": "model",
            "created": self._created,
            "owned_by": "lode",
            "max_model_len": self._reader.context,
        }
        return _json({"object": "list", "data": [model]})

    async def _tokenize(self, request: Request) -> Response:
        fields = Fields(parse_object(request.body), TOKENIZE)
        self._reader.verify_model(fields)
        text = fields.text("prompt")
        if (text is None) == (fields.get("messages") is None):
            raise RequestError("give either prompt or messages", "prompt")
        if text is None:
            opens = fields.flag("add_generation_prompt", True)
            tokens = self._reader.encode_chat(fields.get("messages"), add_generation_prompt=opens)
        else:
            special = fields.flag("add_special_tokens", True)
            tokens = self._reader.encode_text(text, add_special_tokens=special)
        length = self._reader.context
        return _json({"count": len(tokens), "max_model_len": length, "tokens": tokens})

    async def _detokenize(self, request: Request) -> Response:
        fields = Fields(parse_object(request.body), DETOKENIZE)
        self._reader.verify_model(fields)
        tokens = fields.token_ids("tokens", self._reader.vocabulary, self._reader.context)
        text = self._reader.tokenizer.decode(tokens, skip_special_tokens=False)
        return _json({"prompt": text})

    async def _health(self, request: Request) -> Response:
        if not self._worker.is_running:
            return error_response(503, "the engine has stopped", "server_error")
        return _json({"status": "ok", "in_flight": self._worker.in_flight})


class Answer:
    """One answer in the making."""

    def __init__(self, ask: Ask, form: AnswerFormat, head: Json) -> None:
        self._ask = ask
        self._format = form
        self._head = head
        self._tokens = 0

    async def collect(self, generation: Generation) -> Json:
        """Return the whole answer once every choice has ended."""
        events: list[list[TokenEvent]] = [[] for _ in self._ask.jobs]
        async for event in generation:
            events[event.choice].append(event)
        choices = [self._format.choice(index, own) for index, own in enumerate(events)]
        return {
            **self._head,
            "object": self._format.object_name,
            "choices": choices,
            "usage": make_usage(self._ask, sum(map(len, events))),
            **self._format.envelope(),
        }

    async def stream(self, generation: Generation, writer: StreamWriter) -> None:
        """Write a chunk for each token as it comes, then usage where asked, then [DONE]."""
        opening = self._format.opening()
        if opening:
            await writer.write(self._chunk(opening, self._format.envelope()))
        try:
            async for event in generation:
                self._tokens += 1
                await writer.write(self._chunk([self._format.delta(event)]))
        except EngineError as error:
            await writer.write(_event(error_body(str(error), "server_error")))
        else:
            if self._ask.include_usage:
                usage = make_usage(self._ask, self._tokens)
                await writer.write(self._chunk([], {"usage": usage}))
        await writer.write(b"data: [DONE]\n\n")

    def _chunk(self, choices: list[Json], more: Json | None = None) -> bytes:
        name = self._format.chunk_name
        return _event({**self._head, "object": name, "choices": choices, **(more or {})})


def _event(value: Json) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(value)


def _json(value: Json, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))
