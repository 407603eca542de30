"""What an endpoint of the chain answers with, read through web3 and our own readers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import orjson

from contracts import Chain, UnreadableAnswerError
from contracts.endpoints import Endpoints
from tests.fuzz.target import Target

WORD = "0x" + "ab" * 32
LOG = {
    "address": "0x" + "ab" * 20, "topics": [WORD], "data": "0x01", "blockNumber": "0x1",
    "blockHash": WORD, "transactionHash": WORD, "logIndex": "0x0", "transactionIndex": "0x0",
}  # fmt: skip
RECEIPT = {
    "transactionHash": WORD, "blockNumber": "0x1", "blockHash": WORD, "status": "0x1",
    "gasUsed": "0x5208", "effectiveGasPrice": "0x7", "contractAddress": None, "logs": [LOG],
}  # fmt: skip
BLOCK = {
    "number": "0x1", "timestamp": "0x2", "hash": WORD, "parentHash": WORD, "extraData": "0x",
    "baseFeePerGas": "0x7", "transactions": [WORD],
}  # fmt: skip
FEES = {"oldestBlock": "0x1", "baseFeePerGas": ["0x7", "0x8"], "reward": [["0x1"]]}


class OneAnswer(Endpoints):
    """Endpoints that have one answer to everything."""

    result: object = None

    async def request(self, method: str, body: bytes) -> dict[str, Any]:
        """The answer."""
        return {"jsonrpc": "2.0", "id": 0, "result": self.result}


@cache
def _chain() -> tuple[asyncio.AbstractEventLoop, OneAnswer, Chain]:
    """One chain for all inputs: web3 takes its time to be set up."""
    endpoints = OneAnswer(["http://127.0.0.1:1"], 1)
    return asyncio.new_event_loop(), endpoints, Chain(endpoints, 1)


def asks(question: Callable[[Chain], Awaitable[object]]) -> Callable[[bytes], bool]:
    """A `run` of what is asked, answered with the input."""

    def run(data: bytes) -> bool:
        loop, endpoints, chain = _chain()
        try:
            endpoints.result = orjson.loads(data)
        except orjson.JSONDecodeError:
            return False  # `contracts.endpoints` passes over what is no JSON
        try:
            loop.run_until_complete(question(chain))
        except UnreadableAnswerError:
            return False
        return True

    return run


def _bytes(document: object) -> bytes:
    return json.dumps(document).encode()


TARGETS = (
    Target("block of an endpoint", (_bytes(BLOCK),), asks(lambda chain: chain.head())),
    Target("receipt of an endpoint", (_bytes(RECEIPT),), asks(lambda chain: chain.receipt(b""))),
    Target("logs of an endpoint", (_bytes([LOG]),), asks(lambda chain: chain.logs([], 0, 1))),
    Target("fees of an endpoint", (_bytes(FEES),), asks(lambda chain: chain.fees())),
)
