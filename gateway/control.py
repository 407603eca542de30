"""The control plane: API keys, usage, metrics, health; FastAPI on a port of its own."""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator
from sqlmodel import Field, SQLModel
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route

from gateway.access.accounts import Accounts
from gateway.access.api_keys import ApiKey, KeyStore, KeyTerms
from gateway.access.terms import Terms
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
HexAddress = Annotated[str, StringConstraints(pattern="^0x[0-9a-fA-F]{40}$")]


class ErrorDetail(BaseModel):
    """What was wrong, as OpenAI clients parse it."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    """Every refusal."""

    error: ErrorDetail


class Strict(SQLModel):
    """A body whose members are all known, and of their types."""

    model_config = ConfigDict(extra="forbid", strict=True)  # type: ignore[assignment]

    @field_validator("*", mode="before")
    @classmethod
    def _read_number(cls, value: object) -> object:
        """A number of JSON without a fraction is an integer, however it is written."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


class KeyChanges(Strict, KeyTerms):
    """Terms to change: what is left out stays, null lifts a limit."""


class ProjectChanges(Strict, Terms):
    """Terms to change: what is left out stays, null lifts a limit."""


class NewProject(ProjectChanges):
    """What a new project is for, and what its keys may spend together."""

    name: str = Field(min_length=1, max_length=128, schema_extra={"examples": ["research"]})


class ShownProject(Terms):
    """A project as it stands."""

    id: str
    name: str
    created_at: int
    archived_at: int | None


class NewKey(KeyChanges):
    """What a new API key is for, and what it may spend."""

    name: str = Field(min_length=1, max_length=128, schema_extra={"examples": ["web shop"]})
    application: HexAddress | None = Field(
        default=None, description="who pays, 0x + 40 hex; unset: the gateway's own application"
    )
    project: str | None = Field(
        default=None, max_length=64, description="the id of the project it is of, for good"
    )


class ShownKey(KeyTerms):
    """An API key as it may be shown again."""

    id: str
    name: str
    shown: str
    application: str
    project: str | None
    created_at: int
    revoked_at: int | None


class CreatedKey(ShownKey):
    """A new API key; `key` is shown this once."""

    key: str


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

    _add_key_routes(app, admin, keys, accounts, application)
    _add_project_routes(app, admin, keys, accounts)
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


def _add_key_routes(
    app: FastAPI, admin: list[Any], keys: KeyStore, accounts: Accounts, application: Address
) -> None:
    @app.get("/admin/keys", dependencies=admin, tags=["keys"])
    async def list_keys() -> list[ShownKey]:
        """All API keys, revoked ones too."""
        return [ShownKey(**row.model_dump()) for row in await asyncio.to_thread(keys.list)]

    @app.post("/admin/keys", dependencies=admin, status_code=201, tags=["keys"])
    async def create_key(new: NewKey) -> CreatedKey:
        """Create an API key; it works at once and is shown this once."""
        payer = application if new.application is None else bytes.fromhex(new.application[2:])
        key, row = await asyncio.to_thread(keys.create, new.name, payer, new, new.project)
        accounts.load(await asyncio.to_thread(keys.list))
        return CreatedKey(key=key, **row.model_dump())

    @app.patch("/admin/keys/{key_id}", dependencies=admin, tags=["keys"])
    async def change_key(key_id: str, changes: KeyChanges) -> ShownKey:
        """Change what an API key may do and spend; it counts from the next request."""
        named = changes.model_dump(exclude_unset=True)
        row = await asyncio.to_thread(keys.update, key_id, named)
        accounts.load(await asyncio.to_thread(keys.list))
        return ShownKey(**row.model_dump())

    @app.delete("/admin/keys/{key_id}", dependencies=admin, tags=["keys"])
    async def revoke_key(key_id: str) -> ShownKey:
        """Revoke an API key; it stops working at once."""
        row: ApiKey = await asyncio.to_thread(keys.revoke, key_id)
        accounts.load(await asyncio.to_thread(keys.list))
        return ShownKey(**row.model_dump())


def _add_project_routes(app: FastAPI, admin: list[Any], keys: KeyStore, accounts: Accounts) -> None:
    projects = keys.projects

    async def reload() -> None:
        rows = await asyncio.to_thread(keys.list)
        accounts.load(rows, await asyncio.to_thread(projects.list))

    @app.get("/admin/projects", dependencies=admin, tags=["projects"])
    async def list_projects() -> list[ShownProject]:
        """All projects, archived ones too."""
        rows = await asyncio.to_thread(projects.list)
        return [ShownProject(**row.model_dump()) for row in rows]

    @app.post("/admin/projects", dependencies=admin, status_code=201, tags=["projects"])
    async def create_project(new: NewProject) -> ShownProject:
        """Create a project; keys are made in it from then on."""
        row = await asyncio.to_thread(projects.create, new.name, new)
        await reload()
        return ShownProject(**row.model_dump())

    @app.patch("/admin/projects/{project_id}", dependencies=admin, tags=["projects"])
    async def change_project(project_id: str, changes: ProjectChanges) -> ShownProject:
        """Change what a project's keys may do and spend together, from the next request on."""
        named = changes.model_dump(exclude_unset=True)
        row = await asyncio.to_thread(projects.update, project_id, named)
        await reload()
        return ShownProject(**row.model_dump())

    @app.delete("/admin/projects/{project_id}", dependencies=admin, tags=["projects"])
    async def archive_project(project_id: str) -> ShownProject:
        """Archive a project; its keys stop working at once, for good."""
        row = await asyncio.to_thread(projects.archive, project_id)
        await reload()
        return ShownProject(**row.model_dump())
