"""The table of API keys: a key is shown once and kept as sha256, with what it may do and spend.

A key has 256 bits of randomness, so one round of sha256 is enough: there is no dictionary to try.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field, select

from gateway.access.audit_log import COMMAND_LINE, note
from gateway.access.database import Database
from gateway.access.projects import ProjectStore, require_project
from gateway.access.terms import BUDGET_MAX, Terms
from gateway.errors import KeyNotFoundError
from relay_mining import Address

KEY_PREFIX = "lode_sk_"
IN_FLIGHT_MAX = 256


class KeyTerms(Terms):
    """What a key may do and spend; where a limit is unset there is none."""

    in_flight_max: int = Field(
        default=IN_FLIGHT_MAX, ge=1, le=65536, description="requests at the same time"
    )
    expires_at: int | None = Field(
        default=None, ge=0, le=BUDGET_MAX, sa_type=BigInteger, description="Unix seconds"
    )


class ApiKey(KeyTerms, table=True):
    """One row a key; the key itself is nowhere."""

    __tablename__ = "api_key"

    id: str = Field(primary_key=True)
    name: str
    shown: str
    """The key's first characters, to tell keys apart by."""
    sha256: str = Field(unique=True)
    application: str
    """Who pays: 0x and 40 hex digits."""
    project: str | None = None
    """The id of the project it was made in, where it stays."""
    created_at: int
    revoked_at: int | None = None


class KeyStore:
    """The table of keys, for the control plane and the command line; each method may raise
    DatabaseError. Changes are on record as the `actor`'s.
    """

    def __init__(self, database: Database, actor: str = COMMAND_LINE) -> None:
        self._database = database
        self._actor = actor
        self.projects = ProjectStore(database, actor)

    def create(
        self,
        name: str,
        application: Address,
        terms: KeyTerms | None = None,
        project: str | None = None,
    ) -> tuple[str, ApiKey]:
        """A new key and its row; the key cannot be read again.

        Raises ProjectNotFoundError where it is to be of a project that there is not.
        """
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        row = ApiKey(
            id="key_" + secrets.token_hex(8),
            name=name,
            shown=key[: len(KEY_PREFIX) + 4],
            sha256=hashlib.sha256(key.encode()).hexdigest(),
            application="0x" + application.hex(),
            project=project,
            created_at=int(time.time()),
            **(terms or KeyTerms()).model_dump(include=set(KeyTerms.model_fields)),
        )
        with self._database.session() as session:
            if project is not None:
                require_project(session, project)
            session.add(row)
            detail = row.model_dump(exclude={"sha256"})
            note(session, self._actor, "create key", row.id, detail)
            session.commit()
        return key, row

    def list(self) -> Sequence[ApiKey]:
        """All rows, revoked ones too, oldest first."""
        with self._database.session() as session:
            return session.exec(select(ApiKey).order_by("created_at", "id")).all()

    def update(self, key_id: str, changes: dict[str, Any]) -> ApiKey:
        """Change terms, by their names in `KeyTerms`.

        Raises KeyNotFoundError where there is no key of that id, or none that is not revoked.
        """

        def decide(row: ApiKey) -> dict[str, Any]:
            if row.revoked_at is not None:
                raise KeyNotFoundError(f"the key {key_id} is revoked")
            return changes

        return self._change(key_id, "change key", decide)

    def revoke(self, key_id: str) -> ApiKey:
        """End a key for good; raises KeyNotFoundError where there is none of that id."""

        def decide(row: ApiKey) -> dict[str, Any]:
            return {"revoked_at": row.revoked_at or int(time.time())}

        return self._change(key_id, "revoke key", decide)

    def _change(
        self, key_id: str, action: str, decide: Callable[[ApiKey], dict[str, Any]]
    ) -> ApiKey:
        with self._database.session() as session:
            row = session.get(ApiKey, key_id)
            if row is None:
                raise KeyNotFoundError(f"there is no key {key_id}; see `gateway keys list`")
            changes = decide(row)
            row.sqlmodel_update(changes)
            session.add(row)
            note(session, self._actor, action, key_id, changes)
            session.commit()
            return row
