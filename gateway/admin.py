"""The control plane's routes for API keys and projects, and what they take and answer with."""

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import ConfigDict, StringConstraints, field_validator
from sqlmodel import Field, SQLModel

from gateway.access.accounts import Accounts
from gateway.access.api_keys import ApiKey, KeyStore, KeyTerms
from gateway.access.terms import Terms
from relay_mining import Address

HexAddress = Annotated[str, StringConstraints(pattern="^0x[0-9a-fA-F]{40}$")]


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


def add_key_routes(
    app: FastAPI, admin: list[Any], keys: KeyStore, accounts: Accounts, application: Address
) -> None:
    """Add the routes under /admin/keys; each change counts here at once."""

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


def add_project_routes(app: FastAPI, admin: list[Any], keys: KeyStore, accounts: Accounts) -> None:
    """Add the routes under /admin/projects; each change counts here at once."""
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
