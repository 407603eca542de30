"""Where the gateway's own tables are: a SQLite file, or a PostgreSQL that replicas share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import Session, create_engine

from gateway.errors import DatabaseError
from gateway.migrations import LINEAGE
from node.errors import SettingsError
from node.migrations import upgrade

SCHEMES = ("postgresql", "postgres")
WAIT_S = 5
"""How long a connection, a lock or an answer of PostgreSQL is waited for."""
KEEPALIVE_S = 2
POSTGRES: dict[str, Any] = {
    "pool_pre_ping": True,  # a server that was restarted costs nobody a failure
    "pool_size": 4,
    "max_overflow": 4,
    "pool_timeout": WAIT_S,
    "connect_args": {
        "connect_timeout": WAIT_S,
        "tcp_user_timeout": WAIT_S * 1000,
        "keepalives_idle": KEEPALIVE_S,  # a machine that is gone while it owes an answer
        "keepalives_interval": KEEPALIVE_S,
        "options": f"-c statement_timeout={WAIT_S}s -c lock_timeout={WAIT_S}s",
    },
}


class Database:
    """The tables at a place, brought to the newest version before they are first used.

    To build one asks nobody, so that a gateway can start while its PostgreSQL is away. Slow: for
    the control plane, the command line and a look now and then.
    """

    def __init__(self, place: Path | str) -> None:
        self._place = place
        self._engine = _make_engine(place)
        self._lock = threading.Lock()
        self._is_current = False

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session whose rows outlive it; raises DatabaseError where the tables fail."""
        try:
            self._bring_up()
            with Session(self._engine, expire_on_commit=False) as session:
                yield session
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise DatabaseError(f"the gateway's tables cannot be used now: {why}") from error

    def close(self) -> None:
        """Let go of the file or the connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _bring_up(self) -> None:
        with self._lock:
            if self._is_current:
                return
            upgrade(self._engine, LINEAGE)
            if isinstance(self._place, Path):
                self._place.chmod(0o600)
            self._is_current = True


def verify_database_url(url: str) -> None:
    """Raise ValueError for what is no address of a PostgreSQL; its text shows no password."""
    try:
        scheme = make_url(url).drivername
    except ArgumentError as error:
        raise ValueError("not a URL; give postgresql://user:password@host/database") from error
    if scheme not in SCHEMES:
        raise ValueError(f"{scheme}:// is not PostgreSQL; give postgresql://user@host/database")


def _make_engine(place: Path | str) -> Engine:
    if isinstance(place, Path):  # nobody else on the machine may read it
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return create_engine(f"sqlite:///{place}", hide_parameters=True)
    url = make_url(place).set(drivername="postgresql+psycopg")
    try:
        return create_engine(url, hide_parameters=True, **POSTGRES)
    except ModuleNotFoundError as error:
        raise SettingsError("database_url needs psycopg: pip install 'lode[cluster]'") from error
