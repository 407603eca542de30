"""The control plane: API keys, usage, metrics, health; FastAPI on a port of its own."""

import asyncio
import hmac
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import BaseModel, Field

from gateway.accounts import IN_FLIGHT_MAX, Accounts, ApiKey, KeyStore
from node.errors import OperatorError, SettingsError
from node.settings import parse_hex
from relay_mining import Address

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class NewKey(BaseModel):
    """What a new API key is for."""

    name: str = Field(min_length=1, max_length=128, examples=["web shop"])
    application: str | None = Field(
        default=None, description="who pays, 0x + 40 hex; unset: the gateway's own application"
    )
    in_flight_max: int = Field(default=IN_FLIGHT_MAX, ge=1, le=65536)


class ShownKey(BaseModel):
    """An API key as it may be shown again."""

    id: str
    name: str
    shown: str
    application: str
    in_flight_max: int
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
    admin_token: str | None,
) -> FastAPI:
    """The application; `read_status` gives what `gateway status` and `/v1/usage` show."""
    app = FastAPI(
        title="Lode gateway control plane",
        summary="API keys, usage, metrics and health of one gateway.",
    )
    bearer = HTTPBearer(auto_error=False)

    def require_admin(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        given = credentials.credentials if credentials else ""
        if not admin_token or not hmac.compare_digest(given.encode(), admin_token.encode()):
            raise HTTPException(401, "send the admin token as a bearer token")

    admin = [Depends(require_admin)]

    @app.get("/healthz", tags=["health"])
    async def health() -> dict[str, str]:
        """The process is up."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["health"])
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=METRICS_TYPE)

    @app.get("/v1/usage", dependencies=admin, tags=["usage"])
    async def usage() -> dict[str, object]:
        """Requests, tokens and units by supplier and by key, and what is still undelivered."""
        return read_status()

    _add_key_routes(app, admin, keys, accounts, application)
    return app


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
        payer = application
        if new.application is not None:
            try:
                payer = parse_hex("application", new.application, 20)
            except SettingsError as error:
                raise HTTPException(422, str(error)) from error
        key, row = await asyncio.to_thread(keys.create, new.name, payer, new.in_flight_max)
        accounts.load(await asyncio.to_thread(keys.list))
        return CreatedKey(key=key, **row.model_dump())

    @app.delete("/admin/keys/{key_id}", dependencies=admin, tags=["keys"])
    async def revoke_key(key_id: str) -> ShownKey:
        """Revoke an API key; it stops working at once."""
        try:
            row: ApiKey = await asyncio.to_thread(keys.revoke, key_id)
        except OperatorError as error:
            raise HTTPException(404, str(error)) from error
        accounts.load(await asyncio.to_thread(keys.list))
        return ShownKey(**row.model_dump())
