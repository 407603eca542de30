"""Puts the tail engine together: a network in, a running HTTP server out."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from edge import (
    INFER_PATH,
    MalformedActivationError,
    MultiExitNetwork,
    TailRequest,
    count_tail,
    parse_answer,
    parse_network,
    read_request,
    run_tail,
    verify_request,
    write_answer,
)
from node.http import Limits, Request, Response, Server, serve
from supplier.engines.embedded.app import EngineSettings
from supplier.engines.embedded.errors import (
    ModelError,
    ModelNotFoundError,
    OverloadedError,
    RequestError,
)
from supplier.engines.embedded.fields import parse_object
from supplier.engines.embedded.refusals import error_response, refuse
from supplier.engines.tail.spec import longest_activation, read_network_file

__all__ = ["TailApi", "run_tail_engine"]


class TailApi:
    """Answers requests, one tail after another in one thread; give `handle` to a server."""

    def __init__(self, network: MultiExitNetwork, model_name: str, places: int) -> None:
        """`places`: how many requests may run or wait at once."""
        self._network = network
        self._profile = network.profile()
        self._model_name = model_name
        self._places = places
        self._created = int(time.time())
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tail-engine")
        self._in_flight = 0

    async def handle(self, request: Request) -> Response:
        """Return the answer to one request."""
        try:
            match request.method, request.path.decode("latin-1"):
                case b"POST", path if path == INFER_PATH:
                    return await self._infer(request)
                case b"GET", "/v1/models":
                    return Response(200, orjson.dumps(self._models()))
                case b"GET", "/health":
                    state = {"status": "ok", "in_flight": self._in_flight}
                    return Response(200, orjson.dumps(state))
            return error_response(404, f"this engine serves {INFER_PATH} only", "not_found")
        except RequestError as error:
            return refuse(error)

    async def _infer(self, request: Request) -> Response:
        asked = self._read(request.body)
        if self._in_flight >= self._places:
            raise OverloadedError("the engine is at capacity; try again later")
        self._in_flight += 1
        try:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._executor, self._answer, asked)
        finally:
            self._in_flight -= 1
        return Response(200, orjson.dumps(answer))

    def _read(self, body: bytes) -> TailRequest:
        try:
            asked = read_request(parse_object(body))
            verify_request(self._profile, asked)
        except MalformedActivationError as error:
            raise RequestError(str(error), error.param) from error
        if asked.model != self._model_name:
            raise ModelNotFoundError(f"The model `{asked.model[:128]}` does not exist.", "model")
        shape = self._network.shapes(asked.way_out)[asked.cut]
        if asked.shape != shape:
            raise RequestError(f"shape must be {list(shape)} after {asked.cut} layers", "shape")
        return asked

    def _answer(self, asked: TailRequest) -> dict[str, Any]:
        try:
            numbers = run_tail(self._network, asked.message)
        except MalformedActivationError as error:
            raise RequestError(str(error), error.param) from error
        logits = parse_answer(self._network, asked.way_out, numbers)
        return write_answer(asked, logits, count_tail(self._profile, asked.way_out, asked.cut))

    def _models(self) -> dict[str, Any]:
        model = {
            "id": self._model_name,
            "object": "model",
            "created": self._created,
            "owned_by": "lode",
            "max_model_len": longest_activation(self._network),
        }
        return {"object": "list", "data": [model]}

    def close(self) -> None:
        """End the thread once its tail is done."""
        self._executor.shutdown(wait=True, cancel_futures=True)


@asynccontextmanager
async def run_tail_engine(settings: EngineSettings, drain_s: float = 5.0) -> AsyncIterator[Server]:
    """Serve a network until the block ends, then let what is in flight finish for `drain_s`.

    Raises ModelError where the directory cannot be served, OSError where the port is taken.
    """
    api = TailApi(_load(settings.directory), settings.model_name, settings.slots + settings.queue)
    limits = Limits(body_bytes_max=settings.body_bytes_max)
    server = await serve(api.handle, settings.host, settings.port, limits)
    try:
        yield server
    finally:
        await server.close(drain_s)
        api.close()


def _load(directory: Path) -> MultiExitNetwork:
    try:
        return parse_network(read_network_file(directory))
    except (OSError, ValueError) as error:
        raise ModelError(f"{directory} holds no network: {error}") from error
