"""The versions of the keys' table, and the way from any of them to the newest."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

FIRST = "keys"
"""The version of a file from before versions were written down."""


def upgrade(engine: Engine) -> None:
    """Bring a SQLite file to the newest version, as a whole or not at all; data is kept."""
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
        command.upgrade(config, "head")
        connection.commit()


def _begin(connection: Connection) -> None:
    """Begin one transaction around all of it, and keep other processes out.

    Left alone, Python's driver commits before every change of a table.
    """
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.isolation_level = None
    connection.exec_driver_sql("BEGIN IMMEDIATE")


__all__ = ["upgrade"]
