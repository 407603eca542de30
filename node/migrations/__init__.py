"""A node's tables: the versions of them that a node has had, and the way from any to the newest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, Inspector, inspect

from node.errors import OperatorError

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The versions of one node's tables."""

    versions: Path
    """The folder of Alembic's files, a version each."""
    newest: str
    """The name of the last one: tables of it are used without loading Alembic, which is slow."""
    find_unversioned: Callable[[Inspector], str | None]
    """The version of tables from before versions were written down; None where there are none."""
    lock: int
    """PostgreSQL's advisory lock that whoever changes the tables holds."""


def upgrade(engine: Engine, lineage: Lineage, to: str = "") -> None:
    """Bring tables to a version, the newest if none is named, as a whole or not at all.

    Data is kept. Of several processes at once, one does it and the others wait. Raises
    OperatorError for tables of a newer release, and SQLAlchemyError.
    """
    if not to and read_version(engine) == lineage.newest:
        return
    from alembic import command
    from alembic.util import CommandError

    config = configure(lineage)
    with engine.connect() as connection:
        connection.detach()  # the pool never sees what `_begin` does to it
        _begin(connection, lineage.lock)
        config.attributes["connection"] = connection
        seen = inspect(connection)
        if VERSION_TABLE not in seen.get_table_names():
            unversioned = lineage.find_unversioned(seen)
            if unversioned is not None:
                command.stamp(config, unversioned)
        try:
            command.upgrade(config, to or "head")
        except CommandError as error:
            raise OperatorError(f"the tables are of a newer release than this: {error}") from error
        connection.commit()


def read_version(engine: Engine) -> str | None:
    """The version that is written down in a database, None where none is."""
    with engine.connect() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    return None if found is None else str(found)


def configure(lineage: Lineage) -> Config:
    """What Alembic works with."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _option(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", _option(lineage.versions))
    return config


def _option(path: Path) -> str:
    return str(path).replace("%", "%%")


def _begin(connection: Connection, lock: int) -> None:
    """Begin one transaction around all of it, and keep other processes out.

    Left alone, SQLite's driver commits before every change of a table.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock})")
        return
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.isolation_level = None
    connection.exec_driver_sql("BEGIN IMMEDIATE")


__all__ = ["Lineage", "configure", "read_version", "upgrade"]
