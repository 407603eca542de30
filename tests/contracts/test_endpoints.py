"""Several endpoints: the chain is reached while one of them is good, and no secret gets out."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from contracts import (
    Call,
    Chain,
    ChainUnavailableError,
    Registry,
    RpcError,
    UnreadableAnswerError,
    WrongChainError,
    name_endpoint,
)
from contracts.endpoints import ANSWER_BYTES_MAX
from tests.contracts.anvil import Anvil, start_anvil

pytestmark = [pytest.mark.anyio]

CLOSED = "http://user:secret@127.0.0.1:1/v1/apikey?token=secret"


@asynccontextmanager
async def endpoint(answer: Callable[[dict[str, object]], bytes]) -> AsyncIterator[str]:
    """An endpoint that answers each connection's request with these bytes, then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        writer.write(answer(json.loads(await reader.readexactly(length))))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret"


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def result(value: object) -> bytes:
    return http(json.dumps({"jsonrpc": "2.0", "id": 0, "result": value}).encode())


def failure(code: int, message: str) -> bytes:
    error = {"code": code, "message": message}
    return http(json.dumps({"jsonrpc": "2.0", "id": 0, "error": error}).encode())


HOSTILE = {
    "hangs up": b"",
    "no HTTP": b"garbage\r\n\r\n",
    "cut short": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    "no JSON": http(b"<html>"),
    "nested without end": http(b"[" * 100_000),
    "an error without words": http(b'{"error": {"code": [1], "message": [1]}}'),
    "a list": http(b"[]"),
    "neither result nor error": http(b"{}"),
    "a malformed error": http(b'{"error": "no"}'),
    "an error of its own": http(b'{"error": {"code": 1}}', b"503 Unavailable"),
    "too many requests": http(b'{"error": {"code": 1}}', b"429 Too Many"),
    "a spent quota": failure(-32005, "limit exceeded"),
    "a pruned block": failure(-32000, "header not found"),
    "no chain id": result("what"),
    "another chain": result("0x1"),
}


@pytest.mark.anvil
@pytest.mark.parametrize("lie", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_bad_endpoint_is_passed_over(anvil: Anvil, lie: bytes) -> None:
    async with (
        endpoint(lambda _: lie) as url,
        await Chain.connect([url, anvil.url], 31337) as chain,
    ):
        assert (await chain.head()).number == anvil.height
        assert chain.endpoint == anvil.url


async def test_an_answer_without_end_is_cut_off() -> None:
    body = http(b'"' + b"a" * (ANSWER_BYTES_MAX + 1) + b'"')
    async with endpoint(lambda _: body) as url:
        with pytest.raises(ChainUnavailableError, match="answered more than"):
            await Chain.connect([url], 31337)


@pytest.mark.anvil
async def test_an_endpoint_that_dies_is_replaced_and_the_good_one_kept(anvil: Anvil) -> None:
    mortal = start_anvil()
    async with await Chain.connect([mortal.url, anvil.url]) as chain:
        await chain.head()
        assert chain.endpoint == mortal.url
        mortal.stop()
        heads = await asyncio.gather(*(chain.head() for _ in range(5)))
        assert {each.number for each in heads} == {anvil.height}
        assert chain.endpoint == anvil.url


async def test_no_endpoint_answers_and_no_secret_is_told() -> None:
    with pytest.raises(ChainUnavailableError) as raised:
        await Chain.connect([CLOSED, "http://[broken", "gopher://127.0.0.1/x"], 31337)
    assert len(raised.value.failures) == 3
    assert "127.0.0.1:1" in str(raised.value)
    for secret in ("secret", "user", "apikey", "token"):
        assert secret not in str(raised.value) + repr(raised.value.failures)
    assert name_endpoint(CLOSED) == "http://127.0.0.1:1"


@pytest.mark.anvil
async def test_another_chain_is_refused(anvil: Anvil) -> None:
    with pytest.raises(WrongChainError, match="serves chain 31337 instead of 1"):
        await Chain.connect([anvil.url, anvil.url], 1)


@pytest.mark.anvil
async def test_a_refused_request_is_not_asked_elsewhere(anvil: Anvil) -> None:
    asked = []

    def answer(request: dict[str, object]) -> bytes:
        asked.append(request["method"])
        return result("0x7a69") if request["method"] == "eth_chainId" else failure(-32602, "no")

    async with endpoint(answer) as url, await Chain.connect([url, anvil.url]) as chain:
        with pytest.raises(RpcError, match="no"):
            await chain.head()
        assert chain.endpoint == name_endpoint(url)
    assert asked == ["eth_chainId", "eth_getBlockByNumber"]


MISSHAPEN: list[object] = [
    None, True, -1, "", "0x", "what", "0x" + "f" * 65, [], [None], [{}], {}, {"number": "what"},
    {"number": "0x1", "timestamp": "0x1", "hash": "0x12", "parentHash": None, "extraData": "0x"},
    {"baseFeePerGas": [], "reward": []}, {"baseFeePerGas": ["0x1"], "reward": [[None]]},
]  # fmt: skip
READS: dict[str, Callable[[Chain], Awaitable[object]]] = {
    "head": lambda chain: chain.head(),
    "balance": lambda chain: chain.balance(bytes(20)),
    "nonce": lambda chain: chain.nonce(bytes(20)),
    "fees": lambda chain: chain.fees(),
    "gas": lambda chain: chain.estimate_gas(Call(bytes(20), b""), bytes(20)),
    "send": lambda chain: chain.send_raw(b"\x02"),
}


@pytest.mark.anvil
@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
async def test_an_answer_of_another_form_is_named_and_another_endpoint_is_asked(
    anvil: Anvil, read: Callable[[Chain], Awaitable[object]]
) -> None:
    for value in MISSHAPEN:

        def lie(request: dict[str, object], value: object = value) -> bytes:
            return result("0x7a69" if request["method"] == "eth_chainId" else value)

        async with endpoint(lie) as url, await Chain.connect([url, anvil.url]) as chain:
            if value is True and read is not READS["head"]:
                continue  # a truth is an integer to Python, and harmless
            with pytest.raises(UnreadableAnswerError, match=name_endpoint(url)):
                await read(chain)
            assert (await chain.head()).number == anvil.height


HASHES = dict.fromkeys(("blockHash", "transactionHash"), "0x" + "00" * 32)
LOG = HASHES | {
    "address": "0x" + "00" * 20, "topics": ["0x" + "00" * 32], "data": "0x",
    "blockNumber": "0x1", "logIndex": "0x0",
}  # fmt: skip
RECEIPT = HASHES | {
    "blockNumber": "0x1", "status": "0x1", "gasUsed": "0x1", "effectiveGasPrice": "0x1",
    "contractAddress": None, "logs": [LOG],
}  # fmt: skip
TORN: dict[str, object] = {
    "address": "0x12", "topics": [None], "data": "what", "blockNumber": None,
    "logIndex": "0x" + "f" * 17, "blockHash": "0x12", "transactionHash": None,
    "status": None, "gasUsed": "-1", "effectiveGasPrice": [], "contractAddress": "what",
    "logs": [{}],
}  # fmt: skip


@pytest.mark.parametrize("name", TORN)
async def test_a_log_or_a_receipt_with_one_torn_field_is_not_taken(name: str) -> None:
    found: object = None

    def answer(request: dict[str, object]) -> bytes:
        return result("0x7a69" if request["method"] == "eth_chainId" else found)

    async with endpoint(answer) as url, await Chain.connect([url]) as chain:
        found = RECEIPT
        assert await chain.receipt(bytes(32)) is not None
        found = [LOG]
        assert len(await chain.logs([bytes(20)], 0, 1)) == 1
        if name in RECEIPT:
            found = RECEIPT | {name: TORN[name]}
            with pytest.raises(UnreadableAnswerError):
                await chain.receipt(bytes(32))
        if name in LOG:
            found = [LOG | {name: TORN[name]}]
            with pytest.raises(UnreadableAnswerError):
                await chain.logs([bytes(20)], 0, 1)


@pytest.mark.parametrize("answered", ["0x", "0x" + "00" * 31, "0x" + "ff" * 32])
async def test_a_result_that_no_contract_returns_is_not_taken(answered: str) -> None:
    def answer(request: dict[str, object]) -> bytes:
        return result("0x7a69" if request["method"] == "eth_chainId" else answered)

    async with endpoint(answer) as url, await Chain.connect([url]) as chain:
        with pytest.raises(UnreadableAnswerError, match=r"a result of Registry\.isSupplier"):
            await Registry(chain, bytes(20), 0).is_supplier(bytes(20))


@pytest.mark.anvil
async def test_blocks_are_explicit(anvil: Anvil, chain: Chain) -> None:
    anvil.mine(3)
    head = await chain.head()
    before = await chain.block(head.number - 1)
    assert before is not None
    assert head.parent_hash == before.hash
    assert await chain.block(head.number + 1) is None
    assert await chain.finalized(0) == head
    assert await chain.finalized(1) == before
    assert (await chain.finalized(head.number)).number == 0  # type: ignore[union-attr]
    assert await chain.finalized(head.number + 1) is None
