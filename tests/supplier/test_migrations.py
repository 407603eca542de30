"""The supplier's tables of any version come to the newest, with what is in them."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel

import gateway.migrations
import supplier.migrations
from node.errors import OperatorError
from node.migrations import Lineage, read_version, upgrade
from supplier.migrations import LINEAGE
from supplier.mining.store import SentAction, SessionRecord, Store
from tests.migrating import Place, engine, names_of, place, postgres, read_columns
from tests.supplier.test_earnings import a_record

__all__ = ["engine", "place", "postgres"]


@pytest.mark.parametrize("lineage", [supplier.migrations.LINEAGE, gateway.migrations.LINEAGE])
def test_the_newest_version_is_the_last_one(lineage: Lineage) -> None:
    assert names_of(lineage)[-1] == lineage.newest


def test_version_by_version_leads_where_the_models_are(engine: Engine) -> None:
    for version in names_of(LINEAGE):
        upgrade(engine, LINEAGE, version)
        assert read_version(engine) == version
    stepped, indexes = read_columns(engine), read_indexes(engine)
    with engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")
        tables = [SentAction.__table__, SessionRecord.__table__]  # type: ignore[attr-defined]
        SQLModel.metadata.create_all(connection, tables)
    assert (stepped, indexes) == (read_columns(engine), read_indexes(engine))


def read_indexes(engine: Engine) -> set[str | None]:
    """The indexes of all tables, by name."""
    seen = inspect(engine)
    return {
        each["name"]
        for table in seen.get_table_names()
        if table != "alembic_version"
        for each in seen.get_indexes(table)
    }


@pytest.mark.parametrize("version", ["funnel", "reasons"])
def test_tables_from_before_versions_were_written_down_are_known(
    engine: Engine, place: Place, version: str
) -> None:
    upgrade(engine, LINEAGE, version)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
        values = "'aa', 7, 'a1', 'b2', 'd4', 3, 900, 800, 850, 100, '850', '850', '800', 'settled'"
        more = "" if version == "funnel" else ", '1000000', '700', 5.0"
        connection.exec_driver_sql(f"INSERT INTO supplier_session VALUES ({values}{more})")

    store = Store(place)
    store.make_tables()
    (found,) = store.sessions(10)
    store.close_session(a_record(session="bb", number=8, engines='{"left":900}'))

    assert (found.paid, found.engines) == ("800", "{}")
    known = ("0", "0", 0.0) if version == "funnel" else ("1000000", "700", 5.0)
    assert (found.price, found.net, found.closed_at) == known
    assert [each.engines for each in store.sessions(10)] == ['{"left":900}', "{}"]
    store.close()


def test_tables_of_a_newer_release_are_left_alone(tmp_path: Path) -> None:
    Store(tmp_path / "supplier.db").close()
    with sqlite3.connect(tmp_path / "supplier.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of_tomorrow'")
    connection.close()

    with pytest.raises(OperatorError, match="newer release"):
        Store(tmp_path / "supplier.db")
