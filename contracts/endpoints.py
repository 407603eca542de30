"""Several JSON-RPC endpoints asked as one: the first that answers is kept.

What an endpoint may do to us is bounded: a deadline for each answer, a size for each answer, and
its chain id is checked before its first answer is believed.
"""

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import orjson

from contracts.errors import ChainUnavailableError, RpcError, WrongChainError

ANSWER_BYTES_MAX = 64 << 20
CHAIN_ID = b'{"jsonrpc": "2.0", "id": 0, "method": "eth_chainId", "params": []}'
_LIMIT_CODES = frozenset({-32005, -32097, 429})
"""Codes by which providers say that they are overloaded or that a quota is spent."""


_BEHIND = ("header not found", "unknown block", "block not found", "missing trie node")
"""What an endpoint says of a block that it does not have, or no longer has."""


class _EndpointFailedError(Exception):
    """One endpoint gave no answer that can be used."""


class _OtherChainError(_EndpointFailedError):
    """One endpoint serves another chain."""


class Endpoints:
    """Asks the endpoint that answered last; on failure each of the others once, in order.

    Raises:
        ChainUnavailableError: no endpoint gave an answer.
        WrongChainError: those that answered all serve another chain.
        RpcError: the answer is an error of the request itself.
    """

    def __init__(self, urls: Sequence[str], chain_id: int | None, timeout_s: float = 10.0) -> None:
        if not urls:
            raise ValueError("no endpoint of the chain is given")
        self._urls = tuple(urls)
        self._chain_id = chain_id
        self._verified: set[int] = set()
        self._current = 0
        self._http = httpx.AsyncClient(
            timeout=timeout_s, headers={"content-type": "application/json"}, trust_env=False
        )

    @property
    def endpoint(self) -> str:
        """Name of the endpoint in use, without credentials."""
        return name_endpoint(self._urls[self._current])

    async def connect_chain(self) -> int:
        """Chain id that the endpoints have to serve: the one asked for, or the first one found."""
        answer = await self.request("eth_chainId", CHAIN_ID)
        if self._chain_id is None:
            self._chain_id = int(answer["result"], 16)
            self._verified.add(self._current)
        return self._chain_id

    async def request(self, method: str, body: bytes) -> dict[str, Any]:
        """The first endpoint's answer that is one; `body` is the request for `method`."""
        failures: list[tuple[str, str]] = []
        is_wrong_chain = True
        for step in range(len(self._urls)):
            index = (self._current + step) % len(self._urls)
            try:
                await self._verify_chain(index)
                response = await self._ask(index, body)
            except _EndpointFailedError as failure:
                failures.append((name_endpoint(self._urls[index]), str(failure)))
                is_wrong_chain = is_wrong_chain and isinstance(failure, _OtherChainError)
                continue
            self._current = index
            return _accept(method, response)
        if is_wrong_chain:
            raise WrongChainError("; ".join(f"{name}: {why}" for name, why in failures))
        raise ChainUnavailableError(tuple(failures))

    def pass_over(self) -> str:
        """Ask another endpoint from now on; returns the name of the one that was in use."""
        name = self.endpoint
        self._current = (self._current + 1) % len(self._urls)
        return name

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _verify_chain(self, index: int) -> None:
        if self._chain_id is None or index in self._verified:
            return
        response = await self._ask(index, CHAIN_ID)
        try:
            found = int(response["result"], 16)
        except (KeyError, TypeError, ValueError) as error:
            raise _EndpointFailedError("answered without a chain id") from error
        if found != self._chain_id:
            raise _OtherChainError(f"serves chain {found} instead of {self._chain_id}")
        self._verified.add(index)

    async def _ask(self, index: int, body: bytes) -> dict[str, Any]:
        try:
            async with self._http.stream("POST", self._urls[index], content=body) as response:
                content = await _read_limited(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _EndpointFailedError(type(error).__name__) from error
        document = _parse(response.status_code, content)
        if "error" in document:
            _check_ability(document["error"])
        return document


def name_endpoint(url: str) -> str:
    """Scheme, host and port of an endpoint: what may be shown, as paths and users hold keys."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an unreadable URL"
    return f"{parts.scheme}://{parts.hostname}{port}"


async def _read_limited(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            raise _EndpointFailedError(f"answered more than {ANSWER_BYTES_MAX} bytes")
    return bytes(content)


def _parse(status: int, content: bytes) -> dict[str, Any]:
    """The answer's object; an HTTP error that carries a JSON-RPC error is that error."""
    try:
        document = orjson.loads(content)  # which bounds the depth; json would use up the stack
    except orjson.JSONDecodeError as error:
        raise _EndpointFailedError(f"answered HTTP {status} without JSON") from error
    is_answer = isinstance(document, dict) and ("result" in document or "error" in document)
    if status == 429 or status >= 500 or not is_answer:
        raise _EndpointFailedError(f"answered HTTP {status}")
    if "error" in document and not isinstance(document["error"], dict):
        raise _EndpointFailedError("answered with a malformed error")
    return cast(dict[str, Any], document)


def _check_ability(error: dict[str, Any]) -> None:
    """An error that is this endpoint's own, not the request's, is for another to answer."""
    message, code = _message(error).lower(), error.get("code")
    if isinstance(code, int) and code in _LIMIT_CODES:
        raise _EndpointFailedError("refused for its limits")
    if any(each in message for each in _BEHIND):
        raise _EndpointFailedError("does not have the block")


def _accept(method: str, response: dict[str, Any]) -> dict[str, Any]:
    error: dict[str, Any] | None = response.get("error")
    if error is None:
        return response
    code = error.get("code")
    raise RpcError(
        method,
        code if isinstance(code, int) else 0,
        _message(error)[:500],
        _revert_data(error.get("data")),
    )


def _message(error: dict[str, Any]) -> str:
    message = error.get("message")
    return message if isinstance(message, str) else ""


def _revert_data(data: object) -> bytes | None:
    """Revert data where nodes put it: as a string, or inside an object."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if not isinstance(data, str) or not data.startswith("0x"):
        return None
    try:
        return bytes.fromhex(data[2:])
    except ValueError:
        return None
