"""The table of projects: what all the keys of one may use and spend together."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field, Session, select

from gateway.access.audit_log import COMMAND_LINE, note
from gateway.access.database import Database
from gateway.access.terms import Terms
from gateway.errors import ProjectNotFoundError


class Project(Terms, table=True):
    """One row a project; its keys name it."""

    __tablename__ = "project"

    id: str = Field(primary_key=True)
    name: str
    created_at: int = Field(sa_type=BigInteger)
    archived_at: int | None = Field(default=None, sa_type=BigInteger)
    """From then on none of its keys works."""


class ProjectStore:
    """The table, for the control plane and the command line; each method may raise DatabaseError.

    Changes are on record as the `actor`'s.
    """

    def __init__(self, database: Database, actor: str = COMMAND_LINE) -> None:
        self._database = database
        self._actor = actor

    def create(self, name: str, terms: Terms | None = None) -> Project:
        """A new project without keys."""
        row = Project(
            id="proj_" + secrets.token_hex(8),
            name=name,
            created_at=int(time.time()),
            **(terms or Terms()).model_dump(include=set(Terms.model_fields)),
        )
        with self._database.session() as session:
            session.add(row)
            note(session, self._actor, "create project", row.id, row.model_dump())
            session.commit()
        return row

    def list(self) -> Sequence[Project]:
        """All rows, archived ones too, oldest first."""
        with self._database.session() as session:
            return session.exec(select(Project).order_by("created_at", "id")).all()

    def update(self, project_id: str, changes: dict[str, Any]) -> Project:
        """Change terms, by their names in `Terms`; raises ProjectNotFoundError."""
        return self._change(project_id, "change project", changes)

    def archive(self, project_id: str) -> Project:
        """End a project, and with it its keys, for good; raises ProjectNotFoundError."""
        return self._change(project_id, "archive project", {"archived_at": int(time.time())})

    def _change(self, project_id: str, action: str, changes: dict[str, Any]) -> Project:
        with self._database.session() as session:
            row = require_project(session, project_id)
            row.sqlmodel_update(changes)
            session.add(row)
            note(session, self._actor, action, project_id, changes)
            session.commit()
            return row


def require_project(session: Session, project_id: str) -> Project:
    """A project that is not archived; raises ProjectNotFoundError."""
    row = session.get(Project, project_id)
    if row is None or row.archived_at is not None:
        raise ProjectNotFoundError(f"there is no project {project_id[:64]}, or it is archived")
    return row
