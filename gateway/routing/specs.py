"""A service's spec, tokenizer and template: fetched from its suppliers, believed by digest only."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from contracts.service import Service
from gateway.edge.counting import TailFiles
from gateway.edge.terms import read_terms
from gateway.errors import UpstreamError, UpstreamInvalidError
from gateway.routing.sessions import ServiceSpec, ServiceView
from gateway.routing.upstream import translate
from gateway.settlement.counting import CountFiles
from gateway.settlement.recounting import RecountWorker
from node.http import ClientPool, HttpClientError, Timeout
from node.nesting import is_deeper
from relay_mining import Hash32, RelayMiningError

logger = logging.getLogger("gateway.routing.specs")

TIMEOUT = Timeout(3.0, 10.0, 10.0, 30.0)
SPECIAL_TOKENS_MAX = 64
DEPTH_MAX = 32
"""Of the document that a spec is looked for in."""
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def find_spec(document: Any, spec_hash: Hash32) -> ServiceSpec:
    """The spec inside a JSON document whose canonical form has the hash on the chain.

    Raises UpstreamInvalidError where none has, and for a document nested too deep to write it.
    """
    if is_deeper(document, DEPTH_MAX):
        raise UpstreamInvalidError(f"the supplier's specs are nested deeper than {DEPTH_MAX}")
    for each in _objects(document):
        canonical = json.dumps(each, sort_keys=True, separators=(",", ":")).encode()
        if hashlib.sha256(canonical).digest() == spec_hash:
            return _read_spec(each)
    raise UpstreamInvalidError("no spec there has the hash on the chain")


def _objects(document: Any, depth: int = 4) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
        inner: Iterable[Any] = document.values()
    elif isinstance(document, list):
        inner = document
    else:
        return
    if depth > 0:
        for each in inner:
            yield from _objects(each, depth - 1)


def _read_spec(document: dict[str, Any]) -> ServiceSpec:
    try:
        adds = document["add_special_tokens"]
        return ServiceSpec(
            name=str(document["name"]),
            context_length=int(document["context_length"]),
            tokenizer_sha256=str(document["tokenizer_sha256"]),
            chat_template_sha256=str(document["chat_template_sha256"]),
            document=document,
            task=str(document["task"]),
            special_tokens=_read_special_tokens(document["special_tokens"]),
            chat_adds_special_tokens=adds["chat"] is True,
            prompt_adds_special_tokens=adds["prompt"] is True,
            edge=read_terms(document) if document["task"] == "edge" else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamInvalidError(f"the service's spec lacks a field: {error}") from error


def _read_special_tokens(named: Any) -> dict[str, str]:
    """Strings for the chat template, whose names cannot hide what else it is given."""
    if not isinstance(named, dict) or len(named) > SPECIAL_TOKENS_MAX:
        raise ValueError(f"special_tokens is no object of at most {SPECIAL_TOKENS_MAX}")
    for name, text in named.items():
        is_text = isinstance(text, str) and len(text) <= 256
        if not is_text or not name.endswith("_token") or len(name) > 64:
            raise ValueError(f"a special token {name[:64]!r}")
    return dict(named)


@dataclass(slots=True)
class SpecLibrary:
    """Verified services by id, fetched once and kept for the life of the process."""

    pool: ClientPool
    worker: RecountWorker
    _views: dict[Hash32, ServiceView]
    audit_ppm: int = 0
    """Of the tails, computed again."""

    async def view(self, service_id: Hash32, service: Service, urls: Sequence[str]) -> ServiceView:
        """A service ready to be served and recounted; raises UpstreamError where no supplier
        among `urls` has its files."""
        view = self._views.get(service_id)
        if view is not None:
            return view
        failure: UpstreamError = UpstreamError("no supplier to fetch the service's spec from")
        for url in urls:
            try:
                view = await self._fetch(service_id, service, url)
            except UpstreamError as error:
                failure = error
                logger.info("a spec is not usable", extra={"url": url, "why": str(error)})
            else:
                self._views[service_id] = view
                return view
        raise failure

    async def _fetch(self, service_id: Hash32, service: Service, url: str) -> ServiceView:
        try:
            document = orjson.loads(await self._get(url + "/lode/v1/spec"))
        except orjson.JSONDecodeError as error:
            raise UpstreamInvalidError("the supplier's spec is not JSON") from error
        spec = find_spec(document, service.spec_hash)
        base = f"{url}/lode/v1/spec/{service_id.hex()}"
        try:
            files = await self._fetch_files(service_id, spec, base)
            overhead = await self.worker.load(files)
        except (RelayMiningError, UnicodeDecodeError) as error:
            raise UpstreamInvalidError(f"the service cannot be recounted: {error}") from error
        return ServiceView(
            service_id, service.name, service.source, service.spec_hash, service.weights, spec,
            overhead,
        )  # fmt: skip

    async def _fetch_files(
        self, service_id: Hash32, spec: ServiceSpec, base: str
    ) -> CountFiles | TailFiles:
        """What the service is counted with; raises UpstreamError or UnicodeDecodeError."""
        if spec.edge is not None:
            network = await self._get_verified(f"{base}/network.npz", spec.edge.weights_sha256)
            return TailFiles(service_id, network, spec.edge.network, self.audit_ppm)
        tokenizer, template = await asyncio.gather(
            self._get_verified(f"{base}/tokenizer.json", spec.tokenizer_sha256),
            self._get_verified(f"{base}/chat_template.jinja", spec.chat_template_sha256),
        )
        return CountFiles(
            service_id,
            tokenizer,
            template.decode() if template else None,
            spec.special_tokens,
            spec.chat_adds_special_tokens,
            spec.prompt_adds_special_tokens,
        )

    async def _get_verified(self, url: str, digest: str) -> bytes:
        if digest == EMPTY_SHA256:
            return b""
        data = await self._get(url)
        if hashlib.sha256(data).hexdigest() != digest:
            raise UpstreamInvalidError("a file has not the digest its spec states")
        return data

    async def _get(self, url: str) -> bytes:
        try:
            answer = await self.pool.request(b"GET", url, (), b"", TIMEOUT)
        except HttpClientError as error:
            raise translate(error) from error
        if answer.status != 200:
            raise UpstreamError(f"status {answer.status}")
        return answer.body
