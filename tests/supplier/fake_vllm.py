"""A program that takes vLLM's command line and shows its face, with workers it leaves behind.

FAKE_VLLM in the environment tells it to misbehave: `late` never listens, `ends` ends at once.
"""

import argparse
import asyncio
import os
import subprocess
import sys

import orjson

from node.http import Request, Response, run, serve

METRICS = b"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("model")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--served-model-name")
    parser.add_argument("--max-model-len", type=int, default=1024)
    parser.add_argument("--enable-prompt-tokens-details", action="store_true")
    given = parser.parse_args()
    fault = os.environ.get("FAKE_VLLM", "")
    if fault == "ends":
        sys.exit(3)
    worker = subprocess.Popen(["sleep", "600"])
    inherited = sorted(name for name in os.environ if name.startswith(("SUPPLIER_", "FAKE_")))

    async def handle(request: Request) -> Response:
        if request.path == b"/version":
            return Response(200, b'{"version":"0.32.1+cpu"}')
        if request.path == b"/metrics":
            return Response(200, METRICS, content_type=b"text/plain")
        if request.path == b"/about":
            about = {"pid": os.getpid(), "worker": worker.pid, "inherited": inherited}
            return Response(200, orjson.dumps(about))
        model = {"id": given.served_model_name, "max_model_len": given.max_model_len}
        return Response(200, orjson.dumps({"data": [model]}))

    async def listen() -> None:
        if fault != "late":
            await serve(handle, given.host, given.port)
        await asyncio.Event().wait()

    run(listen())
