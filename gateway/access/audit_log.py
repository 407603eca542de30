"""Who changed what: every change of keys and of the deny-list, written with the change itself."""

import time
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, Session, SQLModel, col, select

from gateway.access.database import Database
from gateway.access.revision import raise_revision

COMMAND_LINE, CONTROL_PLANE = "command line", "control plane"
SHOWN_MAX = 1000


class AdminAction(SQLModel, table=True):
    """One row a change; rows are never changed."""

    __tablename__ = "admin_action"

    id: int | None = Field(default=None, primary_key=True)
    at: int
    """Unix seconds."""
    actor: str
    action: str
    target: str
    detail: dict[str, Any] = Field(sa_type=JSON)


def note(
    session: Session, actor: str, action: str, target: str, detail: dict[str, Any] | None = None
) -> None:
    """Write an action in the transaction of the change that it is about, for gateways to see."""
    raise_revision(session)
    session.add(
        AdminAction(
            at=int(time.time()), actor=actor, action=action, target=target, detail=detail or {}
        )
    )


def read_actions(database: Database, limit: int = SHOWN_MAX) -> list[dict[str, Any]]:
    """The last actions, the newest first."""
    with database.session() as session:
        newest = select(AdminAction).order_by(col(AdminAction.id).desc()).limit(limit)
        return [each.model_dump() for each in session.exec(newest).all()]
