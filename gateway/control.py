"""The control plane: API keys, usage, metrics, health; FastAPI on a port of its own."""

import hmac
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route

from gateway.access.accounts import Accounts
from gateway.access.api_keys import KeyStore
from gateway.admin import add_key_routes, add_project_routes
from gateway.dashboard import add_site
from gateway.errors import (
    BodyTooLargeError,
    GatewayError,
    InvalidKeyError,
    InvalidParameterError,
    MalformedBodyError,
    MethodNotAllowedError,
    RequestError,
    RouteNotFoundError,
)
from node.dashboard import Site
from relay_mining import Address

BODY_BYTES_MAX = 64 << 10
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ROUTE_ERRORS: Mapping[int, type[RequestError]] = MappingProxyType(
    {400: MalformedBodyError, 404: RouteNotFoundError, 405: MethodNotAllowedError}
)
"""What the framework refuses before a route has it."""


class ErrorDetail(BaseModel):
    """What was wrong, as OpenAI clients parse it."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    """Every refusal."""

    error: ErrorDetail


def create_control(
    keys: KeyStore,
    accounts: Accounts,
    application: Address,
    registry: CollectorRegistry,
    read_status: Callable[[], dict[str, object]],
    list_suppliers: Callable[[], list[dict[str, object]]],
    admin_token: str | None,
    site: Site | None = None,
) -> FastAPI:
    """The application; `read_status` gives what `gateway status` and `/v1/usage` show.

    `site` is the dashboard, which takes the paths that are left.
    """
    app = FastAPI(
        title="Lode gateway control plane",
        summary="API keys, usage, metrics and health of one gateway.",
        responses={"4XX": {"model": ErrorAnswer, "description": "The request is at fault"}},
        docs_url=None,  # these pages would load their scripts from another host
        redoc_url=None,
    )
    bearer = HTTPBearer(auto_error=False)

    def require_admin(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        given = credentials.credentials if credentials else ""
        if not admin_token or not hmac.compare_digest(given.encode(), admin_token.encode()):
            raise InvalidKeyError("send the admin token as `Authorization: Bearer ...`")

    admin = [Depends(require_admin)]

    @app.get("/healthz", tags=["health"])
    async def health() -> dict[str, str]:
        """The process is up."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=METRICS_TYPE)

    @app.get("/v1/usage", dependencies=admin, tags=["usage"])
    async def usage() -> dict[str, object]:
        """Requests, tokens and units by supplier and by key, and what is still undelivered."""
        return read_status()

    @app.get("/v1/suppliers", dependencies=admin, tags=["usage"])
    async def suppliers() -> list[dict[str, object]]:
        """Every supplier known here: its standing, credit, use and price rank."""
        return list_suppliers()

    add_key_routes(app, admin, keys, accounts, application)
    add_project_routes(app, admin, keys, accounts)
    _answer_errors(app)
    if site is not None:
        add_site(app, site)
    return app


def _answer_errors(app: FastAPI) -> None:
    """Give every error the shape that errors of the data plane have, and bodies a bound."""

    @app.exception_handler(GatewayError)
    async def refuse(request: Request, error: GatewayError) -> Response:
        later = {} if error.status != 503 else {"retry-after": str(error.retry_after_s)}
        return Response(error.body(), error.status, later, "application/json")

    @app.exception_handler(RequestValidationError)
    async def refuse_fields(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(each for each in first["loc"][1:] if isinstance(each, str))
        return await refuse(request, InvalidParameterError(first["msg"], param=where or None))

    @app.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> Response:
        kind = ROUTE_ERRORS[error.status_code]
        wrong = kind(f"{request.method} {request.url.path}: see /openapi.json")
        answer = await refuse(request, wrong)
        if error.status_code == MethodNotAllowedError.status:
            answer.headers["allow"] = ", ".join(_methods(app, request))
        return answer

    @app.middleware("http")
    async def bound_body(request: Request, call_next: RequestResponseEndpoint) -> Response:
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or int(length) > BODY_BYTES_MAX:
            return await refuse(request, BodyTooLargeError(f"send at most {BODY_BYTES_MAX} bytes"))
        return await call_next(request)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """What a path takes, over all of its routes."""
    routes = (each for each in app.routes if isinstance(each, Route))
    partial = (each for each in routes if each.matches(request.scope)[0] is Match.PARTIAL)
    return sorted(method for each in partial for method in each.methods or ())
