"""A proxy as one writes it in ten minutes: FastAPI and httpx, nothing checked, nothing signed."""

import sys

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask


def create_app(upstream: str) -> FastAPI:
    """An application that forwards chat completions to `upstream`."""
    app = FastAPI()
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=60)

    @app.post("/v1/chat/completions")
    async def forward(request: Request) -> Response:
        body = await request.body()
        headers = {"content-type": "application/json"}
        asked = client.build_request("POST", upstream, content=body, headers=headers)
        if b'"stream":true' not in body:
            answer = await client.send(asked)
            return Response(answer.content, answer.status_code, media_type="application/json")
        answer = await client.send(asked, stream=True)
        return StreamingResponse(
            answer.aiter_raw(), answer.status_code, media_type="text/event-stream",
            background=BackgroundTask(answer.aclose),
        )  # fmt: skip

    return app


if __name__ == "__main__":
    port, upstream = int(sys.argv[1]), sys.argv[2]
    uvicorn.run(create_app(upstream), port=port, log_level="error", access_log=False)
