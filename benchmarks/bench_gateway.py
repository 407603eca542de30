"""Plain relays a second through a gateway, and what it adds to one at a time.

Four processes: an instant supplier that signs for real, the gateway, its recount worker and a
closed loop of clients. The gateway is pinned to one core, the rest to the others (the recount
worker shares them). "Added" is the gateway's latency at one in flight less that of the same client
asking a server that answers the same bytes unsigned at once.

Run: python -m benchmarks.bench_gateway [--seconds 5] [--concurrency 32]
"""

import argparse
import asyncio
import hashlib
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import orjson

from node.http import ClientPool, Request, Response, run, serve
from relay_mining import (
    Ack,
    RelayResponse,
    SignedAck,
    SignedResponse,
    Status,
    build_batch,
    decode_receipts,
    decode_request_header,
    encode_ack,
    encode_response_header,
    request_body_hash,
)
from tests.factories import DOMAIN, WEIGHTS
from tests.gateway.fakes import SPEC_HASH, FakeSupplier, encode
from tests.gateway.harness import MODEL, a_gateway

TEXT = "The capital of Japan is Tokyo."
BODY = orjson.dumps(
    {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What is the capital of Japan?"}],
        "max_tokens": 64,
    }
)
PATH = "/v1/chat/completions"


class InstantSupplier(FakeSupplier):
    """Signs one prepared answer; keeps nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        ids = encode(TEXT)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": TEXT},
            "finish_reason": "stop",
            "token_ids": ids,
        }
        self.outputs = len(ids)
        self.answer = orjson.dumps({"id": "a", "object": "chat.completion", "choices": [choice]})
        self.answer_hash = hashlib.sha256(self.answer).digest()
        self.salt_hash = hashlib.sha256(b"salt").digest()

    async def handle(self, request: Request) -> Response:
        """Answer relays and receipts; anything else is the unsigned baseline."""
        if request.path == b"/lode/v1/receipts":
            delivery = decode_receipts(request.body)
            ack = Ack(build_batch([DOMAIN.digest(r) for _, r in delivery.receipts]).root)
            return Response(200, encode_ack(SignedAck(ack, self.signer.sign(DOMAIN.digest(ack)))))
        header = request.headers.get(b"lode-request")
        if header is None:
            return Response(200, self.answer)
        body_hash = request_body_hash(b"POST", request.path, request.body)
        signed = decode_request_header(header.decode(), body_hash)
        response = RelayResponse(
            DOMAIN.digest(signed.request), self.answer_hash, self.salt_hash, 35, 0, self.outputs,
            WEIGHTS.units(35, 0, self.outputs), Status.OK, SPEC_HASH,
        )  # fmt: skip
        signed_response = SignedResponse(response, self.signer.sign(DOMAIN.digest(response)))
        headers = ((b"lode-response", encode_response_header(signed_response).encode()),)
        return Response(200, self.answer, headers)


def pin(cores: set[int]) -> None:
    """Keep this process on some cores."""
    os.sched_setaffinity(0, cores)


def supplier_process(pipe: Connection, cores: set[int]) -> None:
    """Serve instantly until killed."""
    pin(cores)

    async def main() -> None:
        server = await serve(InstantSupplier("bench").handle, "127.0.0.1", 0)
        pipe.send(server.port)
        await asyncio.Event().wait()

    run(main())


def gateway_process(pipe: Connection, port: int, core: int, others: set[int]) -> None:
    """Serve through the supplier until told to stop; then report what was settled."""

    async def main() -> None:
        fake = FakeSupplier("bench")
        pin(others)  # the recount worker inherits where it may run
        with tempfile.TemporaryDirectory() as folder:
            async with a_gateway(Path(folder), fake, url=f"http://127.0.0.1:{port}") as gateway:
                pin({core})
                pipe.send((gateway.server.port, gateway.key, time.process_time()))
                while not await asyncio.to_thread(pipe.poll, 0.2):
                    pass
                pipe.send(time.process_time())
                await gateway.settled()
                pipe.send(gateway.ledger.summary()["total"])

    run(main())


async def load(url: str, key: str, concurrency: int, seconds: float) -> list[float]:
    """Latencies in seconds of a closed loop of clients."""
    headers = (
        (b"authorization", b"Bearer " + key.encode()),
        (b"content-type", b"application/json"),
    )
    latencies: list[float] = []
    async with ClientPool() as pool:
        until = time.perf_counter() + seconds

        async def work() -> None:
            while (began := time.perf_counter()) < until:
                answer = await pool.request(b"POST", url, headers, BODY)
                if answer.status != 200:
                    raise RuntimeError(answer.body.decode())
                latencies.append(time.perf_counter() - began)

        await asyncio.gather(*(work() for _ in range(concurrency)))
    return latencies


def main() -> None:
    """Start the processes, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    core, *rest = sorted(os.sched_getaffinity(0))
    others = set(rest) or {core}
    spawn = multiprocessing.get_context("spawn")
    supplier_pipe, there = spawn.Pipe()
    supplier = spawn.Process(target=supplier_process, args=(there, others), daemon=True)
    supplier.start()
    port = supplier_pipe.recv()
    gateway_pipe, there = spawn.Pipe()
    gateway = spawn.Process(target=gateway_process, args=(there, port, core, others))
    gateway.start()
    gateway_port, key, cpu_before = gateway_pipe.recv()
    pin(others)
    url, bare = f"http://127.0.0.1:{gateway_port}{PATH}", f"http://127.0.0.1:{port}{PATH}"
    run(load(url, key, options.concurrency, 1.0))
    alone = run(load(url, key, 1, options.seconds / 2))
    direct = run(load(bare, key, 1, options.seconds / 2))
    many = run(load(url, key, options.concurrency, options.seconds))
    gateway_pipe.send("stop")
    cpu_after = gateway_pipe.recv()
    settled = gateway_pipe.recv()
    gateway.join()
    supplier.kill()
    p50 = statistics.median
    print(
        f"gateway pinned to core {core}, supplier, clients and recount on {sorted(others)}\n"
        f"plain relays a second at {options.concurrency} in flight: "
        f"{len(many) / options.seconds:.0f}\n"
        f"latency at {options.concurrency} in flight: p50 {p50(many) * 1e3:.2f} ms\n"
        f"latency at one in flight: p50 {p50(alone) * 1e3:.3f} ms through the gateway, "
        f"{p50(direct) * 1e3:.3f} ms without\n"
        f"added at one in flight: {(p50(alone) - p50(direct)) * 1e3:.3f} ms\n"
        f"gateway's own processor time: "
        f"{(cpu_after - cpu_before) / settled['requests'] * 1e6:.0f} us a relay\n"
        f"settled: {settled['requests']} answers, {settled['receipts']} receipts, "
        f"{settled['units_receipted']} of {settled['units_served']} units"
    )


if __name__ == "__main__":
    main()
