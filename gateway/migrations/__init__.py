"""The versions of the gateway's tables, and the way from any of them to the newest."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

FIRST = "keys"
"""The version of a file from before versions were written down."""
LOCK = 0x6C6F6465
"""PostgreSQL's advisory lock that whoever changes the versions holds."""


def upgrade(engine: Engine, to: str = "head") -> None:
    """Bring a database to a version, as a whole or not at all; data is kept.

    Of several processes at once, one does it and the others wait.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection:
        if MigrationContext.configure(connection).get_current_revision() == newest:
            return
        connection.rollback()
        connection.detach()  # the pool never sees what `_begin` does to it
        _begin(connection)
        config.attributes["connection"] = connection
        tables = inspect(connection).get_table_names()
        if "api_key" in tables and "alembic_version" not in tables:
            command.stamp(config, FIRST)
        command.upgrade(config, to)
        connection.commit()


def _begin(connection: Connection) -> None:
    """Begin one transaction around all of it, and keep other processes out.

    Left alone, SQLite's driver commits before every change of a table.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        return
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.isolation_level = None
    connection.exec_driver_sql("BEGIN IMMEDIATE")


__all__ = ["upgrade"]
