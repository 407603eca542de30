"""What the tests of both nodes' migrations share: new tables in SQLite and in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect

from node.migrations import Lineage, configure
from tests.databases import Postgres, postgres

__all__ = ["Place", "engine", "names_of", "place", "postgres", "read_columns"]

Column = tuple[str, str, str, bool, bool]
Place = Path | str


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where new tables go."""
    if request.param == "sqlite":
        return tmp_path / "tables.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create()


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    url = f"sqlite:///{place}"
    if isinstance(place, str):
        url = place.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url)
    yield engine
    engine.dispose()


def names_of(lineage: Lineage) -> list[str]:
    """Every version there is, the first one first."""
    walked = ScriptDirectory.from_config(configure(lineage)).walk_revisions()
    return [each.revision for each in walked][::-1]


def read_columns(place: Engine | Connection) -> set[Column]:
    """Table, name, type, whether it may be null and whether it is the key of every column."""
    seen, dialect = inspect(place), place.dialect
    return {
        (
            table,
            each["name"],
            each["type"].compile(dialect=dialect),
            each["nullable"],
            each["name"] in seen.get_pk_constraint(table)["constrained_columns"],
        )
        for table in seen.get_table_names()
        if table != "alembic_version"
        for each in seen.get_columns(table)
    }
