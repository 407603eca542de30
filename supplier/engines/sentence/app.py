"""Puts the sentence engine together: a model directory in, a running HTTP server out."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import orjson

from node.http import Limits, Request, Response, Server, serve
from supplier.engines.embedded.app import EngineSettings
from supplier.engines.embedded.errors import OverloadedError, RequestError
from supplier.engines.embedded.fields import parse_object
from supplier.engines.embedded.refusals import error_response, refuse
from supplier.engines.embedded.safetensors import Floats
from supplier.engines.embedded.tokenizer import load_tokenizer
from supplier.engines.sentence.config import load_sentence_config
from supplier.engines.sentence.model import SentenceModel, load_sentence_model
from supplier.engines.sentence.requests import EmbeddingAsk, EmbeddingReader, write_answer

__all__ = ["SentenceApi", "run_sentence_engine"]


class SentenceApi:
    """Answers requests, one text after another in one thread; give `handle` to a server."""

    def __init__(self, model: SentenceModel, reader: EmbeddingReader, places: int) -> None:
        """`places`: how many requests may run or wait at once."""
        self._model = model
        self._reader = reader
        self._places = places
        self._created = int(time.time())
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sentence-engine")
        self._in_flight = 0

    async def handle(self, request: Request) -> Response:
        """Return the answer to one request."""
        try:
            match request.method, request.path:
                case b"POST", b"/v1/embeddings":
                    return await self._embed(request)
                case b"GET", b"/v1/models":
                    return Response(200, orjson.dumps(self._models()))
                case b"GET", b"/health":
                    state = {"status": "ok", "in_flight": self._in_flight}
                    return Response(200, orjson.dumps(state))
            return error_response(404, "this engine embeds, and does nothing else", "not_found")
        except RequestError as error:
            return refuse(error)

    async def _embed(self, request: Request) -> Response:
        ask = self._reader.read(parse_object(request.body))
        if self._in_flight >= self._places:
            raise OverloadedError("the engine is at capacity; try again later")
        self._in_flight += 1
        try:
            # a client that leaves cancels this task, and no text after the present one is computed
            request.cancel_on_disconnect()
            vectors = await self._compute(ask)
        finally:
            self._in_flight -= 1
        return Response(200, orjson.dumps(write_answer(ask, vectors, self._reader.model_name)))

    async def _compute(self, ask: EmbeddingAsk) -> list[Floats]:
        loop = asyncio.get_running_loop()
        return [
            await loop.run_in_executor(self._executor, self._model.embed, ids) for ids in ask.inputs
        ]

    def _models(self) -> dict[str, Any]:
        model = {
            "id": self._reader.model_name,
            "object": "model",
            "created": self._created,
            "owned_by": "lode",
            "max_model_len": self._reader.config.context,
        }
        return {"object": "list", "data": [model]}

    def close(self) -> None:
        """End the thread once its text is done."""
        self._executor.shutdown(wait=True, cancel_futures=True)


@asynccontextmanager
async def run_sentence_engine(
    settings: EngineSettings, drain_s: float = 5.0
) -> AsyncIterator[Server]:
    """Serve a model until the block ends, then let what is in flight finish for `drain_s`.

    Raises ModelError where the directory cannot be served, OSError where the port is taken.
    """
    config = load_sentence_config(settings.directory, settings.context_max)
    model = load_sentence_model(settings.directory, config)
    reader = EmbeddingReader(settings.model_name, load_tokenizer(settings.directory), config)
    api = SentenceApi(model, reader, settings.slots + settings.queue)
    limits = Limits(body_bytes_max=settings.body_bytes_max)
    server = await serve(api.handle, settings.host, settings.port, limits)
    try:
        yield server
    finally:
        await server.close(drain_s)
        api.close()
