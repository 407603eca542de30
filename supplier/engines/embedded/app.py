"""Puts the engine together: a model directory in, a running HTTP server out."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from node.http import Limits, Server, serve
from supplier.engines.embedded.chat_template import load_chat_template
from supplier.engines.embedded.config import load_defaults
from supplier.engines.embedded.model import load_model
from supplier.engines.embedded.openai_api import OpenAiApi
from supplier.engines.embedded.requests import RequestReader
from supplier.engines.embedded.scheduler import Scheduler
from supplier.engines.embedded.tokenizer import load_tokenizer
from supplier.engines.embedded.worker import Worker

__all__ = ["EmbeddedEngine", "EngineSettings", "run_engine"]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What to serve and where; `slots` sequences run at once and `queue` more wait."""

    directory: Path
    model_name: str
    aliases: frozenset[str] = frozenset()
    """Names that requests may use instead."""
    host: str = "127.0.0.1"
    port: int = 0
    slots: int = 16
    queue: int = 64
    context_max: int | None = None
    body_bytes_max: int = 10 << 20


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """A running engine."""

    server: Server
    worker: Worker


@asynccontextmanager
async def run_engine(
    settings: EngineSettings, drain_s: float = 5.0
) -> AsyncIterator[EmbeddedEngine]:
    """Serve a model until the block ends, then let what is in flight finish for `drain_s`.

    Raises ModelError where the directory cannot be served, OSError where the port is taken.
    """
    model = load_model(settings.directory, settings.context_max)
    tokenizer = load_tokenizer(settings.directory)
    reader = RequestReader(
        model_name=settings.model_name,
        vocabulary=model.config.vocabulary,
        context=model.config.context,
        tokenizer=tokenizer,
        template=load_chat_template(settings.directory),
        defaults=load_defaults(settings.directory),
        choices_max=settings.slots,
        aliases=settings.aliases,
    )
    scheduler = Scheduler(model, settings.slots)
    async with Worker(scheduler, tokenizer, settings.slots + settings.queue) as worker:
        api = OpenAiApi(reader, worker, int(time.time()))
        limits = Limits(body_bytes_max=settings.body_bytes_max)
        server = await serve(api.handle, settings.host, settings.port, limits)
        try:
            yield EmbeddedEngine(server, worker)
        finally:
            await server.close(drain_s)
